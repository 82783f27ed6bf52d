"""R25, R32: before a message goes to a provider, a linked user id is looked up as its number."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from processor.core.blocks import Block
from processor.core.partitions import partition_of
from processor.metrics import Metrics
from processor.stages.last_look import LastLook
from schemas.carrier_send import CarrierSend
from tests.builders import ACCOUNT, WHATSAPP_SENDER
from tests.match_lanes import PARTITIONS, MatchLanes
from tests.one_lane import EmptyList, Services
from tests.one_person import ID, LINK, NUMBER, lanes


def a_look(at: MatchLanes, partition: int) -> LastLook:
    needs: Any = SimpleNamespace(
        partitions=PARTITIONS,
        store=at.store,
        block_list=EmptyList(),
        services=Services(),
        accounts=SimpleNamespace(ended=()),
        metrics=Metrics(),
        clock=lambda: datetime.now(UTC),
        max_staleness_s=None,
    )
    return LastLook(partition, needs)


def a_message(to: str, reply_to: str | None = None) -> CarrierSend:
    return CarrierSend.model_validate(
        {
            "message_sid": "SM1",
            "account_sid": ACCOUNT,
            "from": WHATSAPP_SENDER,
            "to": f"whatsapp:{to}",
            "body": "Tomorrow at 9.",
            "reply_to": reply_to,
        }
    )


@pytest.mark.parametrize("body", ["stop", "start"])
@pytest.mark.parametrize("by", [NUMBER, ID])
async def test_a_block_on_either_address_stops_a_message_to_the_other(body: str, by: str) -> None:
    at = lanes()
    at.text("stop", NUMBER, user_id=ID, message_sid="M1")
    await at.settle()
    at.text(body, by, message_sid="M2")
    await at.settle()
    for to in (NUMBER, ID):
        look = a_look(at, partition_of(to.encode(), PARTITIONS))
        await look.learn()
        assert isinstance((await look.at(a_message(to))).stopped, Block) is (body == "stop")


async def test_a_reply_to_a_linked_id_lies_with_its_number_and_is_looked_up_all_the_same() -> None:
    at = lanes()
    at.command(LINK)
    at.text("stop", ID)
    await at.settle()
    look = a_look(at, partition_of(NUMBER.encode(), PARTITIONS))
    await look.learn()
    assert isinstance((await look.at(a_message(ID, reply_to="START"))).stopped, Block)
    assert (await look.at(a_message(ID, reply_to="STOP"))).stopped is None
