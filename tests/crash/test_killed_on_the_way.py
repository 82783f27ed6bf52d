"""R25, R32: workers die while a STOP links a number and a user id; both are blocked, once."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from processor.config import Settings
from processor.core.partitions import partition_of
from tests.builders import LONG_CODE
from tests.clinic import CLINIC, a_send, a_text, configure
from tests.crash.history import whole
from tests.crash.stopped_worker import killed
from tests.installation import Installation, running

pytestmark = pytest.mark.crash
WHATSAPP = f"whatsapp:{LONG_CODE}"
NUMBER = "+15557654321"

KILLS: dict[str, Sequence[str]] = {
    "after the link is written": ["written"],
    "twice after the link is written": ["written", "written"],
    "once the link is sent, and once it is committed": ["emit", "commit"],
    "with each commit sent and not answered": ["committing", "committing", "committing"],
    "after each commit": ["committed_batch", "committed_batch", "committed_batch"],
    "after the write, and while the next worker undoes it": ["written", "recover", "undone"],
    "before each commit, and after a write": ["commit", "last_look", "written"],
}


def an_id(settings: Settings) -> str:
    """A user id in another partition than the number's."""
    at = partition_of(NUMBER.encode(), settings.partitions)
    ids = (f"US.2000000000{number}" for number in range(100))
    return next(one for one in ids if partition_of(one.encode(), settings.partitions) != at)


@pytest.mark.parametrize("steps", KILLS.values(), ids=KILLS)
async def test_r25_r32_a_stop_that_links_blocks_both_once_whenever_workers_die(
    settings: Settings, steps: Sequence[str]
) -> None:
    at = Installation(settings)
    await configure(settings, CLINIC | {"senders": [{"address": WHATSAPP}]})
    id_ = an_id(settings)
    addresses = [f"whatsapp:{one}" for one in (NUMBER, id_)]
    await at.texts(
        a_text("M1", "halt", to=WHATSAPP, user_id=id_, **{"from": addresses[0]}),
        a_text("M2", "help", to=WHATSAPP, **{"from": addresses[1]}),
    )
    for step in steps:
        await killed(settings, step)
    async with running(settings):
        await at.wait_for_no_lag("match")
        await at.wait_for(at.topics.opt_out_notifications, 2)
        await at.sends(
            *(a_send(f"S{n}", to=to, **{"from": WHATSAPP}) for n, to in enumerate(addresses))
        )
        failed = await at.wait_for(at.topics.message_statuses, 2)
        await at.texts(a_text("M3", "start", to=WHATSAPP, **{"from": addresses[1]}))
        await at.wait_for(at.topics.opt_out_notifications, 3)
        await at.sends(
            *(a_send(f"T{n}", to=to, **{"from": WHATSAPP}) for n, to in enumerate(addresses))
        )
        await at.wait_for(at.topics.allowed_sends, 2)
        assert await whole(at)
    assert {one["error_code"] for one in failed} == {21610}
    changes = await at.values(at.topics.block_changes)
    assert [(one["recipient"], one["blocked"]) for one in changes] == [
        (NUMBER, True),
        (NUMBER, False),
    ]
    stops = [one for one in await at.values(at.topics.reply_sends) if one["kind"] == "STOP"]
    assert [one["to"] for one in stops] == [addresses[0]]
    notes = await at.values(at.topics.opt_out_notifications)
    assert sorted(one["message_sid"] for one in notes) == ["M1", "M2", "M3"]
    assert await at.records(at.topics.dead_letters) == []
