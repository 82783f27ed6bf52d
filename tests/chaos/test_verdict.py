"""The second model finds nothing in a healthy run, and finds each fact that is changed."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from processor.kafka.fetched import UnreadBatch
from processor.wire.topics import Topics
from tests.chaos.healthy import Run, a_run
from tests.chaos.limits import near_limits, over
from tests.chaos.traffic import CODECS, LAST, Traffic, id_of
from tests.chaos.verdict import deviations
from tests.chaos.world import ACCOUNTS, ONE, OTHER, SCOPES, scope_of, way

INBOUND, OUTBOUND = "inbound-messages.v1", "outbound-messages.v1"
COMMANDS = "consent-commands.v1"
CHANGES, REPLIES, NOTIFICATIONS = "block-changes.v1", "reply-sends.v1", "opt-out-notifications.v1"
ALLOWED, STATUSES, LETTERS = "allowed-sends.v1", "message-statuses.v1", "dead-letters.v1"
REASON = "__connect.errors.exception.message"
OF_MESSAGES = (CHANGES, REPLIES, NOTIFICATIONS)


@pytest.fixture(scope="module")
def healthy() -> Run:
    return asyncio.run(a_run("account"))


@pytest.fixture
def run(healthy: Run) -> Run:
    """A separate copy, for changes."""
    applications = copy.copy(healthy.applications)
    applications.asked = copy.deepcopy(healthy.applications.asked)
    return Run([*healthy.records], {**healthy.written}, applications, healthy.scope)


def found(run: Run) -> list[str]:
    return deviations(run.seen(), run.written, run.scope)[0]


def fields_of(record: Any) -> dict[str, Any]:
    try:
        fields = orjson.loads(record.value or b"")
    except orjson.JSONDecodeError:
        return {}
    return fields if isinstance(fields, dict) else {}


def the(run: Run, topic: str, is_it: Callable[[dict[str, Any]], bool]) -> Any:
    """The first record of a topic that fulfils a condition."""
    return next(one for one in run.of(topic) if is_it(fields_of(one)))


def drop(run: Run, topic: str, is_it: Callable[[dict[str, Any]], bool]) -> None:
    """Remove the records of a topic that fulfil a condition."""
    run.records = [one for one in run.records if one.topic != topic or not is_it(fields_of(one))]


def replace(run: Run, record: Any, **changes: Any) -> None:
    """Change fields of a record."""
    value = orjson.dumps(fields_of(record) | changes)
    other = SimpleNamespace(**{**vars(record), "value": value})
    run.records[run.records.index(record)] = other


def is_within(record: Any) -> bool:
    return not isinstance(record, UnreadBatch) and (
        over("inbound-messages", len(record.value), fields_of(record) or None) is None
    )


def keywords(run: Run) -> Iterator[dict[str, Any]]:
    """The notifications, whose messages are keywords."""
    return (fields_of(one) for one in run.of(NOTIFICATIONS))


def forget(run: Run, message: dict[str, Any]) -> None:
    """Remove all results of a message, as if it had been handled before."""
    account, sid, recipient, sender = (
        message[name] for name in ("account_sid", "message_sid", "from", "to")
    )

    def is_of(fields: dict[str, Any]) -> bool:
        cause = fields.get("cause") or {}
        sids = (fields.get("message_sid"), fields.get("in_reply_to"), cause.get("id"))
        others = {fields.get("to"), fields.get("from"), cause.get("sender")}
        return fields["account_sid"] == account and sid in sids and sender in others

    for topic in OF_MESSAGES:
        drop(run, topic, is_of)
    for delivery in list(run.applications.asked):
        if (delivery.account, delivery.sid, delivery.sender) == (account, sid, sender):
            assert delivery.recipient == recipient
            del run.applications.asked[delivery]


@pytest.mark.parametrize("scope", SCOPES)
def test_nothing_is_found_in_a_healthy_run(scope: str) -> None:
    run = asyncio.run(a_run(scope, rounds=300, seed=SCOPES.index(scope)))
    wrong, compared = deviations(run.seen(), run.written, scope)
    assert wrong == []
    assert compared > 500
    assert {delivery.account for delivery in run.applications.asked} == set(ACCOUNTS)
    assert {one.codec for one in run.written.values()} == set(CODECS)


def test_a_run_has_every_kind_of_record_near_a_limit() -> None:
    traffic = Traffic(1, Topics.under(""))
    edges = near_limits(traffic)
    first = [one for _ in range(43) for one in next(edges)]
    within = [one for one in first if not one.refused]
    assert {one.record.topic for one in within} == {
        one.record.topic for one in first if one.refused
    }
    for one in first:
        if one.readable:
            topic, value = one.record.topic, one.record.value or b""
            assert (over(topic.partition(".")[0], len(value), orjson.loads(value)) is None) is (
                not one.refused
            )


def test_three_seeds_have_three_scopes() -> None:
    assert {scope_of(seed) for seed in (7, 8, 9)} == set(SCOPES)


def test_a_clash_that_is_taken_for_the_same_message_is_found(run: Run) -> None:
    of_one = {
        (one["message_sid"], one["from"], one["to"])
        for one in keywords(run)
        if one["account_sid"] == ONE
    }
    twin = next(
        one
        for one in keywords(run)
        if one["account_sid"] == OTHER
        and (one["message_sid"], one["from"], one["to"]) in of_one
        and way(OTHER, one["to"]).inbound
    )
    forget(run, twin)
    wrong = found(run)
    assert any(f"notifications of a recipient of {OTHER}" in one for one in wrong)
    assert any(twin["message_sid"] in one and "is due" in one for one in wrong)
    assert not any(f"a recipient of {ONE}" in one for one in wrong)


def test_a_custom_keyword_that_is_missed_is_found(run: Run) -> None:
    spanish = next(one for one in keywords(run) if one["language"] == "es")
    forget(run, spanish)
    assert any(
        f"notifications of a recipient of {ONE}" in one and spanish["message_sid"] in one
        for one in found(run)
    )


def test_a_keyword_that_is_read_as_the_other_account_means_it_is_found(run: Run) -> None:
    halt = the(
        run, NOTIFICATIONS, lambda one: one["account_sid"] == OTHER and one["body"] == "halt"
    )
    assert fields_of(halt)["kind"] == "START"
    replace(run, halt, kind="STOP")
    [wrong] = found(run)
    assert f"notifications of a recipient of {OTHER}" in wrong


def test_a_reply_of_the_other_accounts_service_is_found(run: Run) -> None:
    reply = the(run, REPLIES, lambda one: one["account_sid"] == ONE and "One clinic" in one["body"])
    replace(run, reply, body="The other's clinic: out. START undoes it.")
    [wrong] = found(run)
    assert f"replies of a recipient of {ONE}" in wrong


def test_a_block_of_another_scope_is_found(run: Run) -> None:
    run.scope = "sender"
    assert any("changes of a recipient" in one for one in found(run))


def test_a_webhook_to_the_other_accounts_application_is_found(run: Run) -> None:
    asked = run.applications.asked
    delivery = next(one for one in asked if one.account == ONE)
    asked[delivery._replace(path=delivery.path.replace(ONE, OTHER))] = asked.pop(delivery)
    wrong = found(run)
    assert any(delivery.sid in one and "to the other account's application" in one for one in wrong)
    assert any(delivery.sid in one and "is due, was tried 0 times" in one for one in wrong)


def test_a_webhook_that_was_never_answered_nor_put_aside_is_found(run: Run) -> None:
    delivery, asked = next(iter(run.applications.asked.items()))
    asked.answered = 0
    [wrong] = found(run)
    assert delivery.sid in wrong
    assert "is due, was tried 1 times and was not put aside" in wrong


def test_a_dead_letter_of_a_webhook_that_is_missing_is_found(run: Run) -> None:
    letter = the(run, LETTERS, lambda one: "delivery_id" in one)
    run.records.remove(letter)
    [wrong] = found(run)
    assert fields_of(letter)["message_sid"] in wrong
    assert "is due, was tried 0 times" in wrong


@pytest.mark.parametrize("said", [("something else", None), ("see you at ten", "STOP")])
def test_a_webhook_that_is_not_due_is_found(run: Run, said: tuple[str, str | None]) -> None:
    asked = run.applications.asked
    delivery = next(one for one in asked if one.said == ("see you at ten", None))
    asked[delivery._replace(said=said)] = copy.deepcopy(asked[delivery])
    assert any(delivery.sid in one and "was made and is not due" in one for one in found(run))


def test_a_wrong_signature_and_a_token_of_another_delivery_are_found(run: Run) -> None:
    (one, asked), (_, other) = list(run.applications.asked.items())[:2]
    asked.unsigned, asked.tokens = 1, set(other.tokens)
    wrong = found(run)
    assert any(one.sid in what and "is not signed" in what for what in wrong)
    assert any(one.sid in what and "has the token of" in what for what in wrong)


@pytest.mark.parametrize("codec", CODECS)
def test_a_batch_of_a_codec_that_nobody_reads_is_found(run: Run, codec: str) -> None:
    lost = {one.id for one in run.written.values() if one.codec == codec}
    for record in run.of(INBOUND):
        if is_within(record) and id_of(fields_of(record)) in lost:
            forget(run, fields_of(record))
    wrong = found(run)
    assert any("notifications of a recipient" in one for one in wrong)
    assert any("is due, was tried 0 times" in one for one in wrong)


@pytest.mark.parametrize("topic", [INBOUND, OUTBOUND, "consent-commands.v1"])
def test_a_record_that_is_gone_is_found_with_its_codec(run: Run, topic: str) -> None:
    gone = next(
        one for one in reversed(run.written.values()) if one.record.topic == topic and one.readable
    )
    drop(run, topic, lambda one: str(one.get("message_sid", one.get("command_id"))) in gone.id)
    assert f"{gone.id} ({gone.codec}) was written to {topic} and is gone" in found(run)


def test_a_value_just_over_a_limit_that_is_not_put_aside_is_found(run: Run) -> None:
    letters = [one for one in run.of(LETTERS) if "delivery_id" not in fields_of(one)]
    assert len(letters) > 10
    for letter in letters:
        run.records.remove(letter)
        [wrong] = found(run)
        assert wrong.startswith(place_of(letter))
        assert wrong.endswith("and was not put aside")
        run.records.append(letter)


def test_a_block_more_than_there_may_be_is_put_aside(run: Run) -> None:
    letter = next(one for one in run.of(LETTERS) if b"has 100 blocks" in dict(one.headers)[REASON])
    assert place_of(letter).startswith("consent-commands.v1")


def place_of(letter: Any) -> str:
    said = {name.rpartition(".")[2]: value.decode() for name, value in letter.headers}
    return f"{said['topic']}[{said['partition']}]@{said['offset']} is over a limit"


def test_a_value_within_all_limits_that_is_put_aside_is_found(run: Run) -> None:
    letter = the(run, LETTERS, lambda one: "received_at" in one)
    good = next(one for one in run.of(INBOUND) if is_within(one))
    headers = [
        (name, str(good.offset).encode() if name.endswith("offset") else value)
        for name, value in letter.headers
    ]
    run.records.append(SimpleNamespace(**{**vars(letter), "headers": headers}))
    expected = f"{INBOUND}[0]@{good.offset} was put aside, and is within all limits"
    assert expected in found(run)


@pytest.mark.parametrize(
    ("reason", "is_found"),
    [("the recipient made this block: give a reason", False), ("something else", True)],
)
def test_a_command_to_lift_the_recipients_own_block_may_be_put_aside(
    run: Run, reason: str, is_found: bool
) -> None:
    text = next(
        one for one in run.of(INBOUND) if is_within(one) and fields_of(one)["from"].startswith("+")
    )
    command = the(run, COMMANDS, lambda one: not one.get("link"))
    author = {"account_sid": fields_of(text)["account_sid"], "recipient": fields_of(text)["from"]}
    value = orjson.dumps(fields_of(command) | author | {"command_id": "C0", "blocked": False})
    run.records.append(SimpleNamespace(**{**vars(command), "value": value, "offset": 1_000}))
    said = {"topic": COMMANDS, "partition": command.partition, "offset": 1_000, "stage": "match"}
    headers = {**said, "exception.message": reason}
    named = [(f"__connect.errors.{name}", str(one).encode()) for name, one in headers.items()]
    letter = the(run, LETTERS, lambda one: "delivery_id" not in one)
    run.records.append(SimpleNamespace(**{**vars(letter), "headers": named}))
    place = f"{COMMANDS}[{command.partition}]@1000"
    assert (f"{place} was put aside, and is within all limits" in found(run)) is is_found


def test_a_reason_that_does_not_say_which_limit_is_found(run: Run) -> None:
    letter = the(run, LETTERS, lambda one: "delivery_id" not in one)
    headers = [
        (name, b"something is wrong" if name.endswith("exception.message") else value)
        for name, value in letter.headers
    ]
    run.records[run.records.index(letter)] = SimpleNamespace(**{**vars(letter), "headers": headers})
    assert any("the reason does not name" in one for one in found(run))


def test_a_send_refused_for_the_other_accounts_block_is_found(run: Run) -> None:
    blocked = {
        (fields["account_sid"], fields["recipient"]) for fields in map(fields_of, run.of(CHANGES))
    }
    send = the(
        run,
        ALLOWED,
        lambda one: (
            (OTHER, one["to"]) in blocked
            and one["account_sid"] == ONE
            and (ONE, one["to"]) not in blocked
        ),
    )
    status = run.of(STATUSES)[0]
    same = ("account_sid", "message_sid", "messaging_service_sid", "from", "to")
    run.records.remove(send)
    value = fields_of(status) | {name: fields_of(send)[name] for name in same}
    run.records.append(SimpleNamespace(**{**vars(status), "value": orjson.dumps(value)}))
    assert any("and its account never blocked its recipient" in one for one in found(run))


def test_a_last_send_that_is_allowed_in_spite_of_a_block_is_found(run: Run) -> None:
    refused = the(run, STATUSES, lambda one: one["message_sid"].startswith(LAST))
    send = the(run, OUTBOUND, lambda one: id_of(one) == id_of(fields_of(refused)))
    run.records.remove(refused)
    run.records.append(SimpleNamespace(**{**vars(send), "topic": ALLOWED}))
    wrong = [one for one in found(run) if "was allowed in the end" in one]
    assert [id_of(fields_of(refused)) in one and "['account'] stop" in one for one in wrong] == [
        True
    ]


def test_a_last_send_that_is_refused_where_no_block_stands_any_more_is_found(run: Run) -> None:
    blocked = {
        (one["account_sid"], one["recipient"])
        for one in map(fields_of, run.of(CHANGES))
        if one["channel_group"] == "sms"
    }
    allowed = the(
        run,
        ALLOWED,
        lambda one: (
            one["message_sid"].startswith(LAST) and (one["account_sid"], one["to"]) in blocked
        ),
    )
    run.records.remove(allowed)
    value = fields_of(run.of(STATUSES)[0]) | fields_of(allowed)
    run.records.append(
        SimpleNamespace(**{**vars(run.of(STATUSES)[0]), "value": orjson.dumps(value)})
    )
    assert any("was refused in the end, where [] stop it" in one for one in found(run))


def test_a_send_without_a_verdict_and_one_with_two_are_found(run: Run) -> None:
    allowed, refused = run.of(ALLOWED)[0], run.of(STATUSES)[0]
    run.records.remove(allowed)
    send = the(run, OUTBOUND, lambda one: id_of(one) == id_of(fields_of(refused)))
    run.records.append(SimpleNamespace(**{**vars(send), "topic": ALLOWED}))
    wrong = found(run)
    assert f"send {id_of(fields_of(allowed))} has no verdict" in wrong
    assert f"send {id_of(fields_of(refused))} was allowed and refused" in wrong


def test_headers_that_are_lost_are_found(run: Run) -> None:
    allowed = run.of(ALLOWED)[0]
    bare = SimpleNamespace(**{**vars(allowed), "headers": allowed.headers[-1:]})
    run.records[run.records.index(allowed)] = bare
    [wrong] = found(run)
    assert "carries other headers" in wrong


def test_a_command_that_is_taken_for_the_other_accounts_is_found(run: Run) -> None:
    texts = {fields_of(one)["from"] for one in run.of(INBOUND) if is_within(one)}
    ids = {
        (one["cause"]["id"], one["account_sid"])
        for one in map(fields_of, run.of(CHANGES))
        if one["cause"]["kind"] is None and one["recipient"] not in texts
    }
    twin = next(id_ for id_, account in sorted(ids) if account == OTHER and (id_, ONE) in ids)
    drop(run, CHANGES, lambda one: (one["cause"]["id"], one["account_sid"]) == (twin, OTHER))
    wrong = found(run)
    assert wrong
    assert all(f"changes of a recipient of {OTHER}" in one for one in wrong)
