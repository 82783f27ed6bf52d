"""Limits on login attempts: an attack does not lock the right users out."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from processor import config
from processor.cli import main
from processor.config import Settings
from processor.configuration.accounts import new_account
from processor.errors import ConfigError
from processor.http.auth import Caller, Credentials
from processor.http.errors import ApiError
from processor.http.failures import Failures, Tries, place_of
from processor.kafka.topics.accounts_topic import AccountsView
from tests.builders import ACCOUNT, KEY, OTHER_ACCOUNT

MINE, THEIRS = "192.0.2.1", "203.0.113.9"
OPERATORS = "jane:a token of jane's,joe:a token of joe's,a token of nobody's"
MADE, CHOSEN = "0123456789abcdef" * 2, "chosen by a person"


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


class Logins:
    """Credentials of two accounts and three operators, and the results of logins."""

    def __init__(self) -> None:
        settings = Settings(secret_keys=SecretStr(KEY), operator_tokens=SecretStr(OPERATORS))
        accounts = AccountsView(settings, "accounts")
        accounts._take(
            {
                ACCOUNT: new_account(settings, ACCOUNT, MADE, "One", made=True),
                OTHER_ACCOUNT: new_account(settings, OTHER_ACCOUNT, CHOSEN, "Other"),
            }
        )
        self.refused: Counter[str] = Counter()
        self.clock = Clock()
        self.credentials = Credentials(
            settings, accounts, lambda why: self.refused.update([why]), self.clock
        )

    async def status(self, user: str, password: str, address: str = MINE) -> int:
        try:
            await self.credentials.caller(user, password, None, address=address)
        except ApiError as refused:
            self.retry_after = (refused.headers or {}).get("Retry-After")
            return refused.status
        return 200


def test_failures_run_out_and_come_back_one_by_one() -> None:
    clock = Clock()
    failures = Failures(clock)
    for _ in range(20):
        assert failures.wait_s("a") == 0
        failures.add("a")
    assert failures.wait_s("a") == 3
    assert failures.wait_s("b") == 0
    clock.now_s += 2
    assert failures.wait_s("a") == 1
    clock.now_s += 1
    assert failures.wait_s("a") == 0
    failures.add("a")
    assert failures.wait_s("a") == 3
    failures.forgive("a")
    assert failures.wait_s("a") == 0
    clock.now_s += 60
    assert failures.is_clean("a")


def test_a_name_that_failed_too_often_is_open_to_who_did_not_fail() -> None:
    clock = Clock()
    tries = Tries(clock)
    for number in range(20):
        tries.begin(f"198.51.100.{number}", "jane", exists=True)
    assert tries.wait_s(MINE, "jane", exists=True) == 0
    tries.begin(MINE, "jane", exists=True)  # a wrong password
    assert tries.wait_s(MINE, "jane", exists=True) > 0
    assert tries.wait_s(MINE, "joe", exists=True) == 0
    tries.take_back(MINE, "jane", exists=True)
    assert tries.wait_s(MINE, "jane", exists=True) == 0


def test_invented_names_displace_no_name_that_exists() -> None:
    tries = Tries(Clock())
    for number in range(20):
        tries.begin(f"198.51.100.{number}", "jane", exists=True)
    for number in range(20_000):
        tries.begin(THEIRS, f"stranger {number}", exists=False)
    tries.begin(MINE, "jane", exists=True)
    assert tries.wait_s(MINE, "jane", exists=True) > 0


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::7", "2001:db8:1:2::/64"),
        ("", ""),
        ("testclient", "testclient"),
    ],
)
def test_one_machine_is_one_place_however_many_addresses_it_has(address: str, place: str) -> None:
    assert place_of(address) == place


async def test_who_failed_too_often_waits_before_anything_is_computed() -> None:
    logins = Logins()
    tried = [await logins.status(OTHER_ACCOUNT, f"wrong {number}") for number in range(21)]
    assert tried == [401] * 20 + [429]
    assert logins.retry_after == "3"
    # Even the right token is refused, or an attacker could tell it from the wrong tokens.
    assert await logins.status(OTHER_ACCOUNT, CHOSEN) == 429
    assert await logins.status(OTHER_ACCOUNT, CHOSEN, THEIRS) == 200
    assert await logins.status(OTHER_ACCOUNT, CHOSEN) == 429
    assert logins.refused == {"credentials": 20, "limited": 3}
    logins.clock.now_s += 3
    assert await logins.status(OTHER_ACCOUNT, CHOSEN) == 200
    assert await logins.status(OTHER_ACCOUNT, "wrong") == 401
    assert await logins.status(OTHER_ACCOUNT, "wrong") == 429
    assert await logins.status(OTHER_ACCOUNT, CHOSEN) == 200  # right from here before


async def test_a_flood_of_wrong_passwords_keeps_nobody_out_who_comes_from_elsewhere() -> None:
    logins = Logins()

    async def flood(user: str, number: int) -> int:
        return await logins.status(user, f"wrong {number}", THEIRS)

    names = ("operator/jane", OTHER_ACCOUNT, ACCOUNT, *(f"SK{number:032}" for number in range(97)))
    attack = [asyncio.create_task(flood(name, number)) for number in range(3) for name in names]
    await asyncio.sleep(0)
    assert await logins.status("operator/jane", "a token of jane's") == 200
    assert await logins.status(OTHER_ACCOUNT, CHOSEN) == 200
    assert await logins.status(ACCOUNT, MADE) == 200
    answers = Counter(await asyncio.gather(*attack))
    assert answers == {401: 20, 429: 280}


async def test_a_flood_from_many_addresses_fills_its_own_queue_only() -> None:
    logins = Logins()
    attack = [
        asyncio.create_task(logins.status(f"SK{number:032}", "wrong", f"198.51.100.{number}"))
        for number in range(100)
    ]
    await asyncio.sleep(0)
    assert await logins.status(OTHER_ACCOUNT, CHOSEN) == 200
    assert sum(task.done() and task.result() == 401 for task in attack) < 20  # it did not wait
    assert Counter(await asyncio.gather(*attack)) == {401: 20, 429: 80}


async def test_a_client_that_opens_many_connections_at_once_has_one_answer_for_all() -> None:
    logins = Logins()
    answers = await asyncio.gather(*(logins.status(OTHER_ACCOUNT, CHOSEN) for _ in range(200)))
    assert set(answers) == {200}


async def test_a_made_token_is_good_whatever_else_fails_from_its_address() -> None:
    logins = Logins()
    for number in range(30):
        await logins.status(ACCOUNT, f"wrong {number}")
    assert logins.refused == {"credentials": 20, "limited": 10}
    assert await logins.status(ACCOUNT, MADE) == 200


async def test_a_refused_login_is_logged_without_what_was_typed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logins = Logins()
    await logins.status("operator/joe", "secret", THEIRS)
    await logins.status("+15550100001", "secret", THEIRS)
    told = [vars(one) for one in caplog.records if one.message == "auth.refused"]
    assert [(one["user"], one["address"], one["why"]) for one in told] == [
        ("operator/joe", THEIRS, "credentials"),
        ("unknown", THEIRS, "credentials"),
    ]
    assert {one.levelno for one in caplog.records} == {logging.WARNING}
    assert "secret" not in str(told)
    assert "+1555" not in str(told)


async def test_a_suspended_accounts_programs_do_not_fill_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logins = Logins()
    accounts = logins.credentials._accounts
    before = accounts.get(ACCOUNT)
    assert before
    accounts._take({ACCOUNT: before.model_copy(update={"status": "suspended"})})
    assert [await logins.status(ACCOUNT, MADE) for _ in range(100)] == [401] * 100
    assert logins.refused == {"inactive": 100}
    assert len([one for one in caplog.records if one.message == "auth.refused"]) == 20


async def test_operators_have_names() -> None:
    credentials = Logins().credentials
    for user, token in (
        ("operator/jane", "a token of jane's"),
        ("operator/joe", "a token of joe's"),
        ("operator", "a token of nobody's"),
    ):
        found = await credentials.caller(user, token, "AC1")
        assert found == Caller("AC1", user, operator=True)
    for user, token in (
        ("operator", "a token of jane's"),
        ("operator/jane", "a token of joe's"),
        ("operator/jim", "a token of joe's"),
        ("jane", "a token of jane's"),
    ):
        with pytest.raises(ApiError):
            await credentials.caller(user, token, None)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("short", "entry 1: the token has fewer than 16 characters"),
        (f"{'s' * 20},jane:short", "entry 2: the token has fewer than 16 characters"),
        (f"jane doe:{'s' * 20}", "entry 1: a name has up to 32 letters, digits and . _ -"),
        (f"jane:{'s' * 20},jane:{'t' * 20}", "entry 2: the name is used twice"),
        (f"{'s' * 20},{'t' * 20}", "entry 2: the name is used twice; by default it is operator"),
    ],
)
def test_operators_that_cannot_be_told_apart_or_guarded_are_named_by_their_place(
    given: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTOUT_OPERATOR_TOKENS", given)
    with pytest.raises(ConfigError) as refused:
        config.load()
    [problem] = refused.value.problems
    assert problem.startswith("OPTOUT_OPERATOR_TOKENS: ")
    assert why in problem
    for secret in ("short", "ssss", "tttt", "jane"):
        assert secret not in problem


def test_only_an_operators_token_lets_the_command_line_disable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def said(token: str) -> str:
        options = ("services", "disable", "MG1", "--operator-token", token)
        result = CliRunner().invoke(main, options)
        assert result.exit_code == 2
        return result.stderr

    assert "OPTOUT_OPERATOR_TOKENS: not set" in said("a token of jane's")
    monkeypatch.setenv("OPTOUT_OPERATOR_TOKENS", OPERATORS)
    for token in ("a token of jim's", "jane:a token of jane's", OPERATORS):
        assert "only an operator may disable" in said(token)
    monkeypatch.setenv("OPTOUT_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    for token in ("a token of jane's", "a token of nobody's"):
        assert (
            "only an operator"
            not in CliRunner()
            .invoke(main, ("services", "disable", "MG1", "--operator-token", token))
            .stderr
        )
