from __future__ import annotations

import asyncio
import heapq
from collections.abc import Sequence

from processor.kafka.topics.writer_turns import Turns


class Clock:
    """Time that passes only while every task sleeps."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Event]] = []

    async def sleep(self, seconds: float) -> None:
        """Sleep by this clock."""
        woken = asyncio.Event()
        heapq.heappush(self._sleepers, (self.now_s + seconds, id(woken), woken))
        await woken.wait()

    async def run(self, *works: asyncio.Task[None]) -> None:
        """Let time pass until the works are done."""
        while not all(work.done() for work in works):
            for _ in range(20):  # until every task that can run has run
                await asyncio.sleep(0)
            if self._sleepers:
                self.now_s, _, woken = heapq.heappop(self._sleepers)
                woken.set()


async def written(*savers: tuple[str, int], takes_s: float = 0.5) -> Sequence[tuple[str, float]]:
    """The writers and times, where each saver saves several times in a row, without a pause."""
    clock = Clock()
    turns = Turns(lambda: clock.now_s, clock.sleep)
    began: list[tuple[str, float]] = []

    async def save(whose: str, times: int) -> None:
        for _ in range(times):
            async with turns.of(whose):
                began.append((whose, clock.now_s))
                await clock.sleep(takes_s)

    works = [asyncio.create_task(save(whose, times)) for whose, times in savers]
    await clock.run(*works)
    return began


async def test_who_saves_in_a_loop_has_a_quarter_of_the_writers_time() -> None:
    assert await written(("A", 3)) == [("A", 0.0), ("A", 2.0), ("A", 4.0)]


async def test_many_connections_of_one_have_no_more() -> None:
    assert await written(("A", 1), ("A", 1), ("A", 1)) == [("A", 0.0), ("A", 2.0), ("A", 4.0)]


async def test_nobody_waits_long_because_a_server_was_away() -> None:
    assert await written(("A", 2), takes_s=40.0) == [("A", 0.0), ("A", 42.0)]


async def test_another_waits_for_one_turn_at_most() -> None:
    assert await written(("A", 2), ("A", 2), ("B", 2)) == [
        ("A", 0.0),
        ("B", 0.5),
        ("A", 2.0),
        ("B", 2.5),
        ("A", 4.0),
        ("A", 6.0),
    ]


async def test_what_is_given_up_gives_its_turn_to_the_next() -> None:
    turns = Turns()
    async with turns.of("A"):
        waiting = [asyncio.create_task(_take(turns, "A")) for _ in range(2)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.gather(waiting[0], return_exceptions=True)
    await asyncio.wait_for(waiting[1], 30)


async def _take(turns: Turns, whose: str) -> None:
    async with turns.of(whose):
        pass
