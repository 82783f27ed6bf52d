"""A form gives what the full path gives, byte by byte, for any batch and state of the list."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.core.blocks import Mark
from processor.core.brakes import Replies
from processor.core.fold import Hit, Item, fold, handled_of, key_of
from processor.core.messages import Arrival, OptOutType, Scope
from processor.core.policy import KeywordSet, OptOutConfig
from processor.core.services import Directory, Webhook
from processor.kafka.fetched import FetchedRecord
from processor.stages import forms as making_forms
from processor.stages.classify import Pair
from processor.stages.forms import Form, Forms
from processor.stages.match_outputs import MatchOutputs, Told
from processor.stages.tracing import Traces
from processor.stores.owned_list import Entries
from processor.wire import blocks as wire_blocks
from processor.wire.cloud_events import CloudEvents
from processor.wire.topics import Topics
from tests.builders import (
    ACCOUNT,
    LONG_CODE,
    MARK,
    NOW_MS,
    OTHER_SERVICE,
    RCS_SENDER,
    RECIPIENT,
    SHORT_CODE,
    TOLL_FREE,
    WHATSAPP_SENDER,
    a_hit,
    a_service,
)
from tests.one_lane import Kept
from tests.strategies import UNOWNED, batches, commands, conversations, hits, redelivered

TOPICS = Topics.under("")
OUTPUTS = MatchOutputs(TOPICS, 12, CloudEvents("urn:test"))
HOOK = Webhook("https://example.com/a%20path")
NUMBERS = (RECIPIENT, *(f"+4479{number:08}" for number in range(6)), "+5215550001111")


def a_directory(config: OptOutConfig, webhook: Webhook | None) -> Directory:
    """One service with AOO, one without, and senders in neither."""
    senders = LONG_CODE, TOLL_FREE, SHORT_CODE, RCS_SENDER, WHATSAPP_SENDER
    aoo = a_service(*senders, active=config, webhook=webhook)
    return Directory([aoo, a_service(UNOWNED, sid=OTHER_SERVICE, active=None)])


@st.composite
def histories(draw: st.DrawFn) -> list[Item]:
    """Keywords of several recipients, a few commands; some messages were received long ago."""
    webhook = draw(st.sampled_from([None, HOOK]))
    directory = a_directory(draw(conversations), webhook)
    items: list[Item] = []
    for number in range(draw(st.integers(1, 16))):
        if draw(st.integers(0, 7)) == 0:
            items.append(draw(commands(directory, number)))
        elif hit := draw(hits(directory, number)):
            prefix = hit.message.recipient.rpartition("+")[0]
            changes: dict[str, Any] = {
                "recipient": prefix + draw(st.sampled_from(NUMBERS)),
                "received_at_ms": NOW_MS - draw(st.sampled_from([0, 7, 90_000_000])),
                "num_media": draw(st.sampled_from([0, 0, 1])),
                "carrier_replied": draw(st.sampled_from([False, False, True])),
            }
            items.append(replace(hit, message=replace(hit.message, **changes)))
    return items


def put(
    pairs: Sequence[Pair], before: Entries, scope: Scope, found: Mapping[int, Form]
) -> tuple[Kept, Told]:
    out = Kept()
    items = [item for _, item in pairs]
    folded = fold(
        items,
        before.blocks,
        before.seen,
        replied=before.replied,
        passed=found,
        scope=scope,
        mark=before.mark,
    )
    traces = Traces().begin()
    told = OUTPUTS.put_decided(pairs, folded, found, before.mark, None, traces, out)
    return out, told


def events_of(out: Kept) -> dict[str, list[Any]]:
    """The events of each topic in their order; the order of two topics says nothing."""
    found: dict[str, list[Any]] = defaultdict(list)
    for one in out.put_out:
        if one.topic != TOPICS.block_list:
            found[one.topic].append(one)
    return found


def entries_of(out: Kept) -> dict[bytes | None, Any]:
    return {one.key: one for one in out.of(TOPICS.block_list)}


def a_record(offset: int, headers: bool) -> FetchedRecord:
    own = (("traceparent", b"00-1"),) if headers else ()
    return FetchedRecord(TOPICS.inbound_messages, 0, offset, NOW_MS, 1, b"", b"", own)


@given(st.data(), st.sampled_from(Scope))
def test_a_form_gives_what_the_full_path_gives(data: st.DataObject, scope: Scope) -> None:
    forms = Forms()
    lists: dict[str, Any] = {}
    seen: set[bytes] = set()
    replied: dict[bytes, Replies] = {}
    items = data.draw(redelivered(data.draw(histories())))
    for number, batch in enumerate(data.draw(batches(items))):
        pairs: list[Pair] = [
            (a_record(offset, data.draw(st.integers(0, 5)) == 0), item)
            for offset, item in enumerate(batch)
        ]
        before = Entries(
            Mark(MARK.epoch, number),
            {},
            {key: lists.get(key, ()) for key in map(key_of, batch)},
            {},
            frozenset({handled_of(item).id for item in batch} & seen),
            replied,
        )
        for _ in range(3):  # the first is seen, the second makes forms
            found = forms.fit(pairs, before, scope, OUTPUTS.render)
        out, told = put(pairs, before, scope, found)
        wanted, wanted_told = put(pairs, before, scope, {})
        assert events_of(out) == events_of(wanted)
        assert entries_of(out) == entries_of(wanted)
        assert told.after == wanted_told.after
        assert sorted(told.handled) == sorted(wanted_told.handled)
        assert told.replied == wanted_told.replied
        assert told.stopped_ms == wanted_told.stopped_ms
        assert told.suspected == wanted_told.suspected
        for one, other in zip(told.matched, wanted_told.matched, strict=True):
            assert (one.match, one.braked) == (other.match, other.braked)
        lists |= {
            key: wire_blocks.unpack(value) if value else () for key, value in told.after.items()
        }
        seen |= {one.id for one in told.handled}
        replied |= told.replied


SERVICES = a_directory(OptOutConfig(), None)


def a_text(number: int, body: str = "STOP", **changes: Any) -> Pair:
    changes = {"handling": SERVICES.handling(ACCOUNT, None, LONG_CODE)} | changes
    recipient = f"+1555{number:07}"
    hit = a_hit(body, recipient=recipient, message_sid=f"SM{number}", **changes)
    return a_record(number, headers=False), hit


said = st.tuples(
    st.sampled_from(["STOP", "stop", "start", "HELP", "“STOP”"]),
    st.sampled_from([LONG_CODE, TOLL_FREE, UNOWNED]),
    st.integers(0, 5),  # 0: its record has a header, so it is folded
)


@given(st.lists(said, min_size=2, max_size=12), st.sampled_from(Scope))
def test_forms_among_other_messages_keep_the_order_of_each_topic(
    texts: Sequence[tuple[str, str, int]], scope: Scope
) -> None:
    forms, pairs = Forms(), []
    for number, (body, sender, header) in enumerate(texts):
        handling = SERVICES.handling(ACCOUNT, None, sender)
        _, hit = a_text(number, body, handling=handling, sender=sender)
        pairs.append((a_record(number, headers=header == 0), hit))
    before = nothing_before(*pairs)
    for _ in range(3):  # the first is seen, the second makes forms
        found = forms.fit(pairs, before, scope, OUTPUTS.render)
    usual = [header for _, sender, header in texts if header and sender != TOLL_FREE]
    assert len(found) >= len(usual) or scope is not Scope.ACCOUNT
    out, told = put(pairs, before, scope, found)
    wanted, wanted_told = put(pairs, before, scope, {})
    assert events_of(out) == events_of(wanted)
    assert entries_of(out) == entries_of(wanted)
    assert told.after == wanted_told.after
    assert told.replied == wanted_told.replied


def nothing_before(*pairs: Pair) -> Entries:
    keys = [key_of(item) for _, item in pairs]
    return Entries(MARK, {}, dict.fromkeys(keys, ()), {}, frozenset())


@pytest.mark.parametrize("body", ["STOP", "start", "Help"])
def test_a_keyword_of_someone_without_blocks_has_a_form_once_one_came_before(body: str) -> None:
    forms = Forms()
    pairs = [a_text(number, body) for number in range(3)]
    found = forms.fit(pairs, nothing_before(*pairs), Scope.ACCOUNT, OUTPUTS.render)
    assert list(found) == [1, 2]
    assert found[1] is found[2]


@pytest.mark.parametrize(
    "changes",
    [
        {"body": "Stop"},
        {"from_country": None},
        {"num_media": 1},
        {"carrier_replied": True},
        {"arrival": Arrival(NOW_MS, NOW_MS - 1)},
    ],
)
def test_a_message_that_says_something_else_has_another_form(changes: Any) -> None:
    forms = Forms()
    pairs = [a_text(1), a_text(2), a_text(3, **changes)]
    found = forms.fit(pairs, nothing_before(*pairs), Scope.ACCOUNT, OUTPUTS.render)
    assert list(found) == [1]


def test_services_share_the_records_of_their_forms() -> None:
    senders = LONG_CODE, TOLL_FREE
    services = [
        a_service(sender, sid=f"MG{number}", active=with_reply(f'Bye "{number}" é'))
        for number, sender in enumerate(senders)
    ]
    directory, forms = Directory(services), Forms()
    pairs = [
        a_text(number, "HELP", handling=directory.handling(ACCOUNT, None, sender), sender=sender)
        for number, sender in enumerate(senders * 2)
    ]
    found = forms.fit(pairs, nothing_before(*pairs), Scope.ACCOUNT, OUTPUTS.render)
    assert list(found) == [2, 3]
    assert found[2].own != found[3].own
    for (_, one), (_, other) in zip(found[2].records, found[3].records, strict=True):
        assert one is other


def with_reply(reply: str) -> OptOutConfig:
    return OptOutConfig(standard={OptOutType.HELP: KeywordSet(("help",), reply)})


def test_a_form_in_use_outlives_many_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making_forms, "_MOST", 6)
    monkeypatch.setattr(making_forms, "_MOST_SHARED", 2)
    forms = Forms()

    def fit(*bodies: str) -> Mapping[int, Form]:
        pairs = [a_text(number, body) for number, body in enumerate(bodies)]
        return forms.fit(pairs, nothing_before(*pairs), Scope.ACCOUNT, OUTPUTS.render)

    form = fit("STOP", "STOP")[1]
    for number in range(9):
        assert fit("STOP")[0] is form
        assert fit("HELP" + "!" * number, "help" + "!" * number) == {}
    fit(*("help" + "!" * number for number in range(9)))
    assert fit("STOP") == {}


def test_two_messages_of_one_recipient_are_folded() -> None:
    forms = Forms()
    pairs = [a_text(1), a_text(2), a_text(3), a_text(3, "HELP")]
    found = forms.fit(pairs, nothing_before(*pairs), Scope.ACCOUNT, OUTPUTS.render)
    assert list(found) == [1]


def test_a_changed_configuration_makes_another_form() -> None:
    forms = Forms()
    pairs = [a_text(number) for number in range(2)]
    before = nothing_before(*pairs)
    assert list(forms.fit(pairs, before, Scope.ACCOUNT, OUTPUTS.render)) == [1]
    other = a_directory(OptOutConfig(repeat_reply=True), None).handling(ACCOUNT, None, LONG_CODE)
    pairs = [
        (record, replace(item, handling=other)) for record, item in pairs if isinstance(item, Hit)
    ]
    assert list(forms.fit(pairs, before, Scope.ACCOUNT, OUTPUTS.render)) == [1]


def test_what_derives_more_from_a_message_than_a_form_repeats_has_none() -> None:
    """The id of a change of a service's block is of its own digest."""
    forms = Forms()
    pairs = [a_text(number) for number in range(3)]
    assert forms.fit(pairs, nothing_before(*pairs), Scope.SERVICE, OUTPUTS.render) == {}
