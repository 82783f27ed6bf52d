"""The check of what carriers were handed finds nothing in a healthy run, and each change of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from tests.chaos.carrier import Handed, Times
from tests.chaos.handed_over import Visible, senders_of, wrong_hand_overs
from tests.chaos.healthy import Run, a_run
from tests.chaos.seen import Carried, Key, Seen, key_of
from tests.chaos.world import ACCOUNTS, LONG_CODE, ONE, SCOPES

_AT_S = 100.0
_BLOCK = {"scope": "account", "messaging_service_sid": "", "sender": "", "carrier": ""}


@dataclass
class Handing:
    """A run whose carriers took every message once."""

    seen: Seen
    handed: dict[Handed, Times]
    visible: Visible

    def first(self, kind: str) -> tuple[Carried, Handed]:
        its = next(one for one in self.seen.to_carry.values() if one.kind == kind and in_it(one))
        handed = next(one for one in self.handed if (one.key, one.to) == (its.sid, its.to))
        return its, handed

    def see_block(self, key: Key, at_s: float, *, blocked: bool = True) -> None:
        self.visible.add(key, _BLOCK, at_s, blocked=blocked)

    def found(self, *frozen: tuple[float, float]) -> list[str]:
        return wrong_hand_overs(self.seen, self.handed, self.visible, frozen)[0]


def in_it(one: Carried) -> bool:
    return bool(senders_of(one)) and one.parts < 2


def handing(run: Run) -> Handing:
    made = Handing(run.seen(), {}, Visible())
    for place, its in made.seen.to_carry.items():
        if not senders_of(its):
            continue
        if its.parts > 1:
            made.seen.outcomes[place] = {("failed", None)}
            continue
        made.seen.outcomes[place] = {("sent", None)}
        handed = Handed(its.account, its.sid, min(senders_of(its)), its.to, its.body)
        made.handed[handed] = Times([_AT_S], 1)
    return made


@pytest.fixture(scope="module")
def run() -> Run:
    return asyncio.run(a_run("account"))


@pytest.fixture
def healthy(run: Run) -> Handing:
    return handing(run)


@pytest.mark.parametrize("scope", SCOPES)
def test_nothing_is_found_where_carriers_took_everything_once(scope: str) -> None:
    made = handing(asyncio.run(a_run(scope, rounds=300, seed=SCOPES.index(scope))))
    wrong, compared = wrong_hand_overs(made.seen, made.handed, made.visible, ())
    assert wrong == []
    assert compared > 100
    assert {one.account for one in made.handed} == set(ACCOUNTS)
    kinds = {one.kind for one in made.seen.to_carry.values() if senders_of(one)}
    assert kinds == {"send", "STOP", "START", "HELP"}
    without = [one for one in made.seen.to_carry.values() if not one.sender and senders_of(one)]
    assert without


def test_a_message_that_never_reached_its_carrier_is_lost(healthy: Handing) -> None:
    its, handed = healthy.first("send")
    del healthy.handed[handed]
    assert healthy.found() == [
        f"send {its.sid} of {its.account} was lost: its carrier has not taken it"
    ]
    healthy.seen.outcomes.pop((its.account, its.sid, its.to))
    [wrong] = healthy.found()
    assert "it has no status of its carrier" in wrong


def test_a_message_that_was_only_refused_is_lost(healthy: Handing) -> None:
    _, handed = healthy.first("STOP")
    healthy.handed[handed] = Times([_AT_S, _AT_S + 1])
    [wrong] = healthy.found()
    assert wrong.endswith("its carrier has not taken it")


@pytest.mark.parametrize("field", ["key", "to"])
def test_a_message_that_nobody_wrote_is_found(healthy: Handing, field: str) -> None:
    _, handed = healthy.first("send")
    healthy.handed[handed._replace(**{field: "another"})] = Times([_AT_S], 1)
    assert any("was handed over, and is none that was to be" in one for one in healthy.found())


@pytest.mark.parametrize("field", ["sender", "body"])
def test_another_text_or_sender_is_found(healthy: Handing, field: str) -> None:
    _, handed = healthy.first("HELP")
    healthy.handed[handed._replace(**{field: "another"})] = healthy.handed.pop(handed)
    [wrong] = healthy.found()
    assert wrong.endswith("was handed over with another sender or text")


def test_two_messages_with_one_key_are_found(healthy: Handing) -> None:
    _, handed = healthy.first("send")
    healthy.handed[handed._replace(body="another")] = Times([_AT_S], 1)
    assert (
        f"2 messages have the idempotency key {handed.key} of {handed.account}" in healthy.found()
    )


def test_a_failure_that_no_limit_explains_is_found(healthy: Handing) -> None:
    its, _ = healthy.first("send")
    healthy.seen.outcomes[its.account, its.sid, its.to] = {("failed", 30008)}
    [wrong] = healthy.found()
    assert "failed: " in wrong


def test_a_send_that_was_stopped_without_a_block_is_found(healthy: Handing) -> None:
    its = next(
        one
        for one in healthy.seen.to_carry.values()
        if one.kind == "send" and in_it(one) and not healthy.seen.changes.get(_key(one))
    )
    healthy.seen.outcomes[its.account, its.sid, its.to] = {("failed", 21610)}
    [wrong] = healthy.found()
    assert wrong.endswith("was stopped, and its account never blocked its recipient")


def _key(one: Carried | Handed) -> Key:
    return key_of({"account_sid": one.account}, one.to)


# When a change of the recipient's block was visible, and whether it blocked.
BEFORE = {
    "long blocked": [(90.0, True)],
    "blocked again": [(90.0, True), (99.5, True)],
    "blocked after an opt-in": [(80.0, True), (85.0, False), (90.0, True)],
}
OTHERWISE = {
    "just blocked": [(99.5, True)],
    "blocked later": [(101.0, True)],
    "no longer blocked": [(80.0, True), (90.0, False)],
    "about to be free": [(80.0, True), (101.0, False)],
}


@pytest.mark.parametrize("name", BEFORE)
@pytest.mark.parametrize("kind", ["send", "START"])
def test_r25_a_message_after_a_visible_block_is_found(
    healthy: Handing, name: str, kind: str
) -> None:
    _, handed = healthy.first(kind)
    before = healthy.found()
    for at_s, blocked in BEFORE[name]:
        healthy.see_block(_key(handed), at_s, blocked=blocked)
    assert before == []
    assert any(f"message {handed.key} of" in one and "(R25)" in one for one in healthy.found())
    assert healthy.found((95.0, 99.0)) == []


@pytest.mark.parametrize("name", OTHERWISE)
def test_r25_a_message_before_a_block_was_visible_is_not_found(healthy: Handing, name: str) -> None:
    _, handed = healthy.first("send")
    for at_s, blocked in OTHERWISE[name]:
        healthy.see_block(_key(handed), at_s, blocked=blocked)
    healthy.see_block(_key(handed)._replace(account="another"), 80.0)
    assert healthy.found() == []


def test_r25_a_block_ends_when_its_end_was_asked_for(healthy: Handing) -> None:
    _, handed = healthy.first("send")
    healthy.see_block(_key(handed), 80.0)
    assert len(healthy.found()) > 0
    healthy.visible.add(_key(handed), _BLOCK, 120.0, blocked=False, asked_s=95.0)
    assert healthy.found() == []


def test_r25_a_confirmation_of_a_stop_goes_after_its_block(healthy: Handing) -> None:
    its, handed = healthy.first("STOP")
    healthy.handed = {handed: healthy.handed[handed]}
    place = its.account, its.sid, its.to
    healthy.seen.to_carry = {place: its}
    healthy.see_block(_key(handed), 80.0)
    assert healthy.found() == []


def test_a_send_without_a_sender_does_not_go_out_from_a_blocked_sender() -> None:
    given = Carried(ONE, "S1", "+15557654321", "", None, "hi")
    assert senders_of(given) == frozenset()
    clinic = given._replace(service="MG0000000000000000000000000436c696e6963" + ONE[-1])
    assert senders_of(clinic._replace(excepted=frozenset({LONG_CODE}))) == frozenset()
