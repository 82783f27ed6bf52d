"""The figures of carriers, through their topic."""

from __future__ import annotations

import asyncio

from processor.config import Settings
from processor.kafka.topics.carrier_figures_topic import CarrierFigures, CarrierFiguresWriter
from processor.kafka.writing import Outgoing
from processor.metrics import Metrics
from processor.statistics.carrier_figures import ErrorSeen, State, Tally
from processor.wire.topics import Topics
from tests.installation import Installation, until

NAME = "twilio-us"


async def test_figures_reach_a_reader_and_one_that_starts_later(settings: Settings) -> None:
    topic = Topics.under(settings.topic_prefix).carrier_figures
    tally, states = Tally(), {NAME: State(waiting=2, paused=True)}
    out = CarrierFiguresWriter(settings, topic, "outbound", tally, lambda: states, every_s=0.2)
    first = CarrierFigures(settings, topic, Metrics())
    tasks = [asyncio.create_task(out.run()), asyncio.create_task(first.follow())]
    tally.count(NAME, "sent", 3)
    tally.error(NAME, "answered 503", first.clock_ms())

    async def known_to(reader: CarrierFigures) -> bool:
        return reader.loaded and bool(reader.history.of(NAME, "outbound", reader.clock_ms()).hour)

    await until(lambda: known_to(first), "figures")
    bad = Outgoing(topic, NAME.encode(), b"{}", partition=0)
    await Installation(settings).write_raw(bad)  # anyone with the right may write
    out.stop()
    await tasks[0]
    later = CarrierFigures(settings, topic, Metrics())
    tasks.append(asyncio.create_task(later.follow()))
    await until(lambda: known_to(later), "figures, read from the beginning")
    for reader in (first, later):
        now = reader.history.of(NAME, "outbound", reader.clock_ms())
        assert (now.processes, now.waiting, now.paused, now.hour) == (1, 2, 1, {"sent": 3})
        [error] = now.errors
        assert error == ErrorSeen("answered 503", None, 1, error.at_ms)
    for task in tasks[1:]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
