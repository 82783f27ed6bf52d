"""Who may ask an endpoint when, and what happens to those who would wait too long."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from processor.core.circuit import CircuitRules
from processor.core.requests import Answered
from processor.core.retries import Failure, Why
from processor.endpoints import endpoint as module
from processor.endpoints.endpoint import Endpoint, Endpoints, Rules

ANSWERED = Answered(200, None, b"")
RULES = Rules(concurrency=2, circuit=CircuitRules(failures=3, pause_s=1000))


def an_endpoint() -> Endpoint:
    return Endpoints(RULES, Counter()).of("AC1", "https://example.com/x")


class Asking:
    """Requests that end when they are told to."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.begun: list[str] = []
        self.end = asyncio.Event()
        self.outcome: Answered | Failure = ANSWERED

    def start(self, name: str, line: str) -> asyncio.Task[Answered | Failure]:
        async def ask() -> Answered | Failure:
            self.begun.append(name)
            await self.end.wait()
            return self.outcome

        return asyncio.create_task(self.endpoint.run(line, ask))


async def a_turn() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_one_recipients_requests_are_made_one_after_another_in_order() -> None:
    asking = Asking(an_endpoint())
    tasks = [asking.start(name, name[0]) for name in ("a1", "a2", "a3", "b1", "c1")]
    await a_turn()
    assert asking.begun == ["a1", "b1"]
    asking.end.set()
    await asyncio.gather(*tasks)
    assert [name for name in asking.begun if name[0] == "a"] == ["a1", "a2", "a3"]
    assert asking.endpoint.idle


async def test_who_waits_too_long_is_put_off_and_nobody_waits_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_PATIENCE_S", 0.0)
    asking = Asking(an_endpoint())
    hanging = [asking.start(name, name) for name in ("a", "b")]
    await a_turn()
    assert isinstance(await asking.start("c", "c"), Failure)
    monkeypatch.setattr(module, "_PATIENCE_S", 1000.0)
    put_off = await asking.start("d", "d")
    assert isinstance(put_off, Failure)
    assert put_off.why is Why.BUSY
    asking.end.set()
    assert await asyncio.gather(*hanging) == [ANSWERED, ANSWERED]
    assert await asking.start("e", "e") == ANSWERED
    assert asking.begun == ["a", "b", "e"]


async def test_a_full_queue_that_moves_is_waited_for_and_one_that_does_not_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_QUEUE", 1)
    monkeypatch.setattr(module, "_SLOW_S", 1000.0)
    asking = Asking(an_endpoint())
    tasks = [asking.start(name, name) for name in ("a", "b", "c")]
    await a_turn()
    room = asyncio.create_task(asking.endpoint.wait_for_room())
    await a_turn()
    assert not room.done()
    monkeypatch.setattr(module, "_SLOW_S", 0.0)
    await room
    assert isinstance(await asking.start("d", "d"), Failure)
    asking.end.set()
    await asyncio.gather(*tasks)
    await asking.endpoint.wait_for_room()


async def test_an_open_circuit_puts_off_those_that_wait_and_those_that_come() -> None:
    asking = Asking(an_endpoint())
    asking.outcome = Failure(Why.SERVER, 11200, "answered 500")
    asking.end.set()
    outcomes = [await asking.start(name, name) for name in "abcd"]
    assert asking.begun == ["a", "b", "c"]
    assert isinstance(outcomes[3], Failure)
    assert outcomes[3].why is Why.BUSY
    assert 990 < asking.endpoint.pause_s <= 1000
    await asking.endpoint.wait_for_room()


async def test_a_request_that_is_cut_off_frees_its_place() -> None:
    asking = Asking(an_endpoint())
    tasks = [asking.start(name, name) for name in ("a", "b", "c")]
    await a_turn()
    tasks[0].cancel()
    tasks[2].cancel()
    await a_turn()
    last = asking.start("d", "d")
    asking.end.set()
    assert await last == ANSWERED
    assert asking.begun == ["a", "b", "d"]
    await asyncio.gather(*tasks, return_exceptions=True)


def test_accounts_share_no_endpoint_and_paths_do() -> None:
    endpoints = Endpoints(RULES, Counter())
    first = endpoints.of("AC1", "https://user:pass@Example.com/a")
    assert endpoints.of("AC1", "https://example.com/b?c") is first
    assert endpoints.of("AC2", "https://example.com/a") is not first
    assert endpoints.of("AC1", "http://example.com/a") is not first
