"""R31, R32: the made-up traffic of `optout simulate` has people with a number, an id, or both."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from processor.cli.traffic import Sender, Traffic
from processor.wire import inbound_messages, outbound_messages
from tests.builders import ACCOUNT, LONG_CODE, NOW_MS


def a_traffic(sender: str) -> Traffic:
    return Traffic(7, Sender(ACCOUNT, None, sender), recipients=40, keyword_share=0.2)


def fields_of(records: Sequence[tuple[bytes, bytes]]) -> list[dict[str, str]]:
    return [orjson.loads(value) for _, value in records]


def test_r32_on_whatsapp_some_people_have_a_number_and_a_user_id() -> None:
    traffic = a_traffic(f"whatsapp:{LONG_CODE}")
    texts, sends = traffic.inbound(2_000, NOW_MS), traffic.sends(2_000, NOW_MS)
    both = {one["from"]: one["user_id"] for one in fields_of(texts) if "user_id" in one}
    assert len(both) == 4  # one person in ten
    assert all(one.startswith("whatsapp:+") for one in both)
    ids = {f"whatsapp:{one.removeprefix('whatsapp:')}" for one in both.values()}
    assert ids <= {one["from"] for one in fields_of(texts)}  # they write under either
    sent_to = {one["to"] for one in fields_of(sends)}
    assert ids <= sent_to
    assert set(both) <= sent_to


def test_r31_every_made_up_record_is_valid_and_has_its_recipients_key() -> None:
    traffic = a_traffic(f"whatsapp:{LONG_CODE}")
    for key, value in traffic.inbound(500, NOW_MS):
        assert inbound_messages.read(value).from_.removeprefix("whatsapp:").encode() == key
    for key, value in traffic.sends(500, NOW_MS):
        assert outbound_messages.read(value).to.removeprefix("whatsapp:").encode() == key


def test_on_other_channels_everyone_has_a_number() -> None:
    traffic = a_traffic(LONG_CODE)
    texts = fields_of(traffic.inbound(500, NOW_MS))
    assert all(one["from"].startswith("+1555") and "user_id" not in one for one in texts)
    assert all(one["to"].startswith("+1555") for one in fields_of(traffic.sends(500, NOW_MS)))
