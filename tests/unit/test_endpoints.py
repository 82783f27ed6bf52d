"""The order of an endpoint's requests, and the fate of requests that would wait too long."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from processor.webhooks import endpoint as module
from processor.webhooks import places
from processor.webhooks.circuit import CircuitRules
from processor.webhooks.endpoint import Endpoint, Endpoints, Rules
from processor.webhooks.requests import Answered
from processor.webhooks.retries import Failure, Why

ANSWERED = Answered(200, None, b"")
RULES = Rules(of_endpoint=2, of_account=3, of_all=8, circuit=CircuitRules(failures=3, pause_s=1000))


def an_endpoint() -> Endpoint:
    return Endpoints(RULES, Counter()).of("AC1", "https://example.com/x")


class Asking:
    """Requests that end on command."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.begun: list[str] = []
        self.end = asyncio.Event()
        self.outcome: Answered | Failure = ANSWERED

    def start(
        self, name: str, line: str, endpoint: Endpoint | None = None
    ) -> asyncio.Task[Answered | Failure]:
        async def ask() -> Answered | Failure:
            self.begun.append(name)
            await self.end.wait()
            return self.outcome

        return asyncio.create_task((endpoint or self.endpoint).run(line, ask))


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
    monkeypatch.setattr(places, "_SLOW_S", 1000.0)
    asking = Asking(an_endpoint())
    assert asking.endpoint.has_room
    tasks = [asking.start(name, name) for name in ("a", "b", "c")]
    await a_turn()
    assert not asking.endpoint.has_room
    monkeypatch.setattr(places, "_SLOW_S", 0.0)
    assert asking.endpoint.has_room  # to be refused at once
    assert isinstance(await asking.start("d", "d"), Failure)
    asking.end.set()
    await asyncio.gather(*tasks)
    assert asking.endpoint.has_room


async def test_an_accounts_endpoints_share_its_places_and_leave_others_theirs() -> None:
    endpoints = Endpoints(RULES, Counter())
    asking = Asking(endpoints.of("AC1", "https://0.example/"))
    tasks = [
        asking.start(f"{account}.{host}", "a", endpoints.of(account, f"https://{host}.example/"))
        for account in ("AC1", "AC2", "AC3")
        for host in range(4)
    ]
    await a_turn()
    # 3 of 3; 3 of 3, as 3 are free; 1, as one is free then.
    assert Counter(name[:3] for name in asking.begun) == {"AC1": 3, "AC2": 3, "AC3": 1}
    asking.end.set()
    assert await asyncio.gather(*tasks) == 12 * [ANSWERED]
    assert asking.begun[7] == "AC3.1"  # who has the fewest comes first


async def test_who_waits_too_long_for_its_accounts_places_is_put_off_and_so_are_its_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_PATIENCE_S", 0.0)
    endpoints = Endpoints(RULES, Counter())
    one, another = (endpoints.of("AC1", f"https://{name}.example/") for name in ("one", "another"))
    asking = Asking(one)
    hanging = [asking.start(name, name, endpoint) for name, endpoint in (("a", one), ("b", one))]
    hanging.append(asking.start("c", "c", another))
    await a_turn()
    put_off = await asking.start("d", "d", another)
    monkeypatch.setattr(module, "_PATIENCE_S", 1000.0)
    assert put_off == module.CROWDED
    assert await asking.start("e", "e", another) == module.CROWDED
    of_another = asking.start("f", "f", endpoints.of("AC2", "https://one.example/"))
    asking.end.set()
    assert await asyncio.gather(*hanging, of_another) == 4 * [ANSWERED]
    assert await asking.start("g", "g", another) == ANSWERED


async def test_an_open_circuit_puts_off_those_that_wait_and_those_that_come() -> None:
    asking = Asking(an_endpoint())
    asking.outcome = Failure(Why.SERVER, 11200, "answered 500")
    asking.end.set()
    outcomes = [await asking.start(name, name) for name in "abcd"]
    assert asking.begun == ["a", "b", "c"]
    assert isinstance(outcomes[3], Failure)
    assert outcomes[3].why is Why.BUSY
    assert 990 < asking.endpoint.pause_s <= 1000
    assert asking.endpoint.has_room


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


async def test_as_many_endpoints_are_remembered_as_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_KEPT_OF_ACCOUNT", 4)
    monkeypatch.setattr(module, "_KEPT", 8)
    endpoints = Endpoints(RULES, Counter())
    busy = endpoints.of("AC1", "https://busy.example/")
    asking = Asking(busy)
    task = asking.start("a", "a")
    await a_turn()
    quiet = endpoints.of("AC2", "https://quiet.example/")
    for number in range(100):
        endpoints.of("AC1", f"https://{number}.example/")
    assert endpoints.of("AC2", "https://quiet.example/") is quiet
    assert endpoints.of("AC1", "https://busy.example/") is busy
    assert len(endpoints) == 5
    for number in range(100):
        endpoints.of(f"AC{number + 3}", "https://example.com/")
    assert len(endpoints) == 8
    assert endpoints.accounts == 8
    assert endpoints.of("AC1", "https://busy.example/") is busy
    assert endpoints.of("AC2", "https://quiet.example/") is not quiet
    asking.end.set()
    assert await task == ANSWERED


@pytest.mark.parametrize("url", ["http://[", "http://a℀b.com", "https://", "http://:x", "http://@"])
def test_a_url_nobody_can_read_has_an_endpoint_all_the_same(url: str) -> None:
    endpoints = Endpoints(RULES, Counter())
    assert endpoints.of("AC1", url) is endpoints.of("AC1", url)
    assert endpoints.of("AC1", url).pause_s == 0
