"""R25, R32: a number and a user id that are linked are one person, in different partitions."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from processor.core.blocks import NO_NAMES, Names, Stored
from processor.core.links import CONTRADICTS
from processor.core.messages import ChannelGroup, MoveCommand
from processor.core.partitions import partition_of
from processor.core.services import Webhook
from processor.wire import dead_letters
from processor.wire.headers import WAY
from tests.builders import ACCOUNT, NOW_MS, a_command
from tests.match_lanes import PARTITIONS, TOPICS
from tests.one_person import AT_NUMBER, ID, LINK, NUMBER, OTHER_NUMBER, SERVICE, entry, kinds, lanes

pytestmark = pytest.mark.usefixtures("readers")
TOLD = replace(SERVICE, webhook=Webhook("https://example.com/told"))


async def test_r32_a_stop_that_names_both_is_one_block_one_reply_and_links_them() -> None:
    at = lanes()
    at.text("stop", NUMBER, user_id=ID)
    await at.settle()
    assert await entry(at, ID) == Stored((), Names(link=NUMBER))
    person = await entry(at, NUMBER)
    assert (kinds(person), person.names) == (["keyword"], Names(ids=(ID,)))
    [change] = at.of(TOPICS.block_changes)
    assert change["recipient"] == NUMBER
    [reply] = at.of(TOPICS.reply_sends)
    assert reply["to"] == f"whatsapp:{NUMBER}"
    [notification] = at.of(TOPICS.opt_out_notifications)
    assert notification["user_id"] == ID
    assert (at.counts["misplaced"], at.counts["sent_along"], at.counts["refused"]) == (0, 2, 0)


async def test_r25_the_link_is_in_force_before_the_stop_that_makes_it() -> None:
    at = lanes()
    at.text("stop", NUMBER, user_id=ID)
    await at.step()
    assert (await entry(at, NUMBER), await entry(at, ID)) == (Stored(()), Stored(()))
    await at.step()
    assert (await entry(at, ID)).names.link == NUMBER
    assert at.of(TOPICS.reply_sends) == []
    await at.step()
    assert kinds(await entry(at, NUMBER)) == ["keyword"]
    assert len(at.of(TOPICS.reply_sends)) == 1


async def test_r32_a_stop_of_a_linked_id_blocks_its_number_and_is_answered_to_the_id() -> None:
    at = lanes()
    at.command(LINK)
    at.text("stop", ID)
    await at.settle()
    assert kinds(await entry(at, NUMBER)) == ["keyword"]
    assert kinds(await entry(at, ID)) == []
    [change] = at.of(TOPICS.block_changes)
    assert change["recipient"] == NUMBER
    for topic in (TOPICS.reply_sends, TOPICS.opt_out_notifications):
        [one] = [one for one in at.out if one.topic == topic]
        assert one.key == NUMBER.encode()  # its partition remembers what was handled
        assert orjson.loads(one.value or b"")["to" if "reply" in topic else "from"].endswith(ID)


async def test_r32_a_later_stop_under_the_other_address_widens_nothing() -> None:
    at = lanes()
    at.command(LINK)
    at.text("stop", ID)
    at.text("stop", NUMBER)
    await at.settle()
    assert len(at.of(TOPICS.reply_sends)) == 1
    assert [one["reply_sent"] for one in at.of(TOPICS.opt_out_notifications)] == ["aoo", "none"]


@pytest.mark.parametrize("by_message", [False, True])
async def test_r32_blocks_from_before_a_link_are_merged_with_their_causes(
    by_message: bool,
) -> None:
    at = lanes()
    at.text("stop", ID)
    at.command(a_command(recipient=NUMBER, channel_group=ChannelGroup.WHATSAPP))
    await at.settle()
    if by_message:
        at.text("see you", NUMBER, user_id=ID)
    else:
        at.command(LINK)
    await at.settle()
    assert kinds(await entry(at, NUMBER)) == ["keyword", "command"]
    assert kinds(await entry(at, ID)) == ["keyword"]  # as it was when the link was made
    assert len(at.of(TOPICS.reply_sends)) == 1
    *_, change = at.of(TOPICS.block_changes)
    assert (change["recipient"], change["cause"]["source"]) == (NUMBER, "link")


async def test_r32_a_start_under_either_address_lifts_what_both_said() -> None:
    at = lanes()
    at.text("stop", ID)
    at.command(LINK)
    at.text("start", ID)
    await at.settle()
    assert (await entry(at, NUMBER)).blocks == ()
    assert at.of(TOPICS.opt_out_notifications)[-1]["effective"]
    at.command(replace(LINK, command_id="CC2"))  # blocks that were lifted do not come back
    at.text("hello", NUMBER, user_id=ID)
    await at.settle()
    assert (await entry(at, NUMBER)).blocks == ()


async def test_r19_a_stop_and_a_start_that_wait_for_one_lane_keep_their_order() -> None:
    at = lanes()
    at.command(LINK)
    await at.settle()
    at.text("stop", ID)
    at.now_ms += 1_000
    at.text("start", ID)
    at.now_ms += 60_000  # the id's lane is away; both are sent on a minute later
    await at.settle()
    assert (await entry(at, NUMBER)).blocks == ()
    assert at.of(TOPICS.opt_out_notifications)[-1]["effective"]


async def test_r22_what_comes_again_under_a_linked_id_has_no_second_effect() -> None:
    at = lanes()
    for sid in ("M1", "M1"):
        at.text("stop", NUMBER, user_id=ID, message_sid=sid)
    await at.settle()
    for sid in ("M2", "M2"):
        at.text("start", ID, message_sid=sid)
    await at.settle()
    kinds_of = [one["kind"] for one in at.of(TOPICS.opt_out_notifications)]
    assert kinds_of == ["STOP", "START"]
    assert (await entry(at, NUMBER)).blocks == ()


async def test_r32_a_link_that_contradicts_an_earlier_one_is_refused_by_name() -> None:
    at = lanes()
    at.command(LINK)
    at.command(replace(LINK, command_id="CC2", number=OTHER_NUMBER))
    await at.settle()
    assert (await entry(at, ID)).names.link == NUMBER
    assert (await entry(at, OTHER_NUMBER)).names == NO_NAMES
    [letter] = [one for one in at.out if one.topic == TOPICS.dead_letters]
    assert dead_letters.said(letter.headers, "exception.message") == CONTRADICTS


async def test_r32_a_message_whose_id_has_another_link_is_decided_for_its_number() -> None:
    at = lanes()
    at.command(LINK)
    at.text("stop", OTHER_NUMBER, user_id=ID)
    await at.settle()
    assert kinds(await entry(at, OTHER_NUMBER)) == ["keyword"]
    assert (await entry(at, ID)).names.link == NUMBER
    assert kinds(await entry(at, NUMBER)) == []
    assert at.counts["contradictions"] == 1


async def test_r32_a_message_takes_the_way_once() -> None:
    at = lanes(TOLD)
    at.text("see you", NUMBER, user_id=ID)
    await at.settle()
    assert at.counts["sent_along"] == 2
    at.text("see you soon", NUMBER, user_id=ID)
    await at.settle()
    assert at.counts["sent_along"] == 2
    assert len(at.of(TOPICS.webhook_deliveries)) == 2


async def test_r32_a_command_about_a_linked_id_changes_its_number() -> None:
    at = lanes()
    at.command(LINK)
    command = a_command(recipient=ID, channel_group=ChannelGroup.WHATSAPP)
    at.command(command)
    await at.settle()
    assert kinds(await entry(at, NUMBER)) == ["command"]
    at.command(replace(command, command_id="CC9", blocked=False))
    await at.settle()
    assert (await entry(at, NUMBER)) == Stored((), Names(ids=(ID,)))


async def test_r32_a_message_from_an_unlinked_id_or_another_channel_is_not_linked() -> None:
    at = lanes()
    at.text("stop", ID, user_id="US.9")
    await at.settle()
    assert kinds(await entry(at, ID)) == ["keyword"]
    assert at.counts["sent_along"] == 0


NEW_ID = next(
    one
    for one in (f"GB.{number}" for number in range(100))
    if partition_of(one.encode(), PARTITIONS) != AT_NUMBER
)
MOVE = MoveCommand("CC3", ACCOUNT, NUMBER, OTHER_NUMBER, "whatsapp", None, NOW_MS)


@pytest.mark.parametrize(
    ("before", "now"), [(NUMBER, OTHER_NUMBER), (NUMBER, NEW_ID), (ID, NEW_ID), (ID, OTHER_NUMBER)]
)
async def test_r32_blocks_move_along_to_a_new_address_once(before: str, now: str) -> None:
    at = lanes()
    at.text("stop", before)
    at.command(replace(MOVE, recipient=before, to=now))
    await at.settle()
    assert kinds(await entry(at, now)) == ["keyword"]
    assert kinds(await entry(at, before)) == ["keyword"]  # another person may get the number
    at.text("start", now)
    at.command(replace(MOVE, recipient=before, to=now))  # comes again
    await at.settle()
    assert kinds(await entry(at, now)) == []
    assert len(at.of(TOPICS.reply_sends)) == 2
    *_, move, lift = at.of(TOPICS.block_changes)
    assert (move["recipient"], move["cause"]["source"], lift["blocked"]) == (now, "link", False)


async def test_r32_a_move_between_linked_addresses_is_one_between_their_numbers() -> None:
    at = lanes()
    at.command(LINK)
    at.command(replace(LINK, command_id="CC2", user_id=NEW_ID, number=OTHER_NUMBER))
    at.text("stop", ID)
    await at.settle()
    at.command(replace(MOVE, recipient=ID, to=NEW_ID))
    await at.settle()
    assert kinds(await entry(at, OTHER_NUMBER)) == ["keyword"]
    assert kinds(await entry(at, NUMBER)) == ["keyword"]
    assert at.counts["refused"] == 0


async def test_r32_a_move_of_an_address_without_blocks_changes_nothing() -> None:
    at = lanes()
    at.command(MOVE)
    await at.settle()
    assert (at.of(TOPICS.block_list), at.counts["sent_along"]) == ([], 0)


@pytest.mark.parametrize(
    "way",
    [
        b"",
        b"{}",
        b'{"step":"follow","id":"US.9","number":"+15557654321"}',
        b'{"step":"merge","id":"US.1","number":"+1555"}',
        b'{"step":"merge","id":"US.1","number":"+15557654321","blocks":[7]}',
    ],
)
async def test_a_forged_way_is_refused_and_a_stop_with_it_blocks_its_writer(way: bytes) -> None:
    at = lanes()
    record = at.text("stop", NUMBER, user_id=ID)
    at._waiting[0] = record._replace(headers=((WAY, way),))
    await at.settle()
    [letter] = [one for one in at.out if one.topic == TOPICS.dead_letters]
    reason = dead_letters.said(letter.headers, "exception.message") or ""
    assert reason == "its header optout.way is none that a lane writes: remove it"
    assert kinds(await entry(at, NUMBER)) == ["unread-stop"]
    assert at.counts["faults"] == 0  # a stranger's header stops no lane
