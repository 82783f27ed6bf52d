"""The console's hourly figures, added up from a real lane's counts on a real broker."""

from __future__ import annotations

import time
from collections import Counter

from processor.config import Settings
from processor.core.messages import OptOutType
from processor.kafka.topics.counts_history import CountsHistory
from processor.kafka.writing import Outgoing
from processor.statistics.hourly import ALL, KEPT_HOURS
from processor.wire.json_values import to_text
from tests.builders import ACCOUNT, SERVICE
from tests.clinic import CLINIC, a_text, configure
from tests.counts import followed
from tests.installation import Installation, running, until

_DAY_MS = 86_400_000


def _by_series(history: CountsHistory) -> dict[tuple[str | None, str], int]:
    found = Counter[tuple[str | None, str]]()
    for account, service in history.hourly.services(ALL):
        for (kind, _), counts in history.hourly.of(account, service).items():
            found[service, kind.value] += sum(counts)
    return found


async def test_what_match_counts_is_folded_before_and_after_the_start(settings: Settings) -> None:
    at = Installation(settings)
    await configure(settings, CLINIC)
    async with running(settings):
        await at.texts(a_text("M1", "stop"), a_text("M2", "halt"))
        await at.wait_for(at.topics.opt_out_counts, 1)
        async with followed(at) as history:
            await at.texts(a_text("M3", "start"), a_text("M4", "help", to="+15550000000"))
            expected = {("MGclinic", "STOP"): 2, ("MGclinic", "START"): 1, (None, "HELP"): 1}

            async def folded() -> bool:
                return _by_series(history) == expected

            await until(folded, f"{expected}")


async def test_a_record_that_is_no_count_or_too_old_is_passed_over(settings: Settings) -> None:
    at, now_ms = Installation(settings), time.time_ns() // 1_000_000

    def counted(count: int, second_ms: int) -> dict[str, object]:
        series = {"account_sid": ACCOUNT, "messaging_service_sid": SERVICE, "kind": "STOP"}
        return {**series, "language": "es", "count": count, "second": to_text(second_ms)}

    topic, key = at.topics.opt_out_counts, SERVICE.encode()
    await at.write_raw(Outgoing(topic, key, b"{}"), Outgoing(topic, key, None))
    for count, second_ms in ((7, now_ms - KEPT_HOURS // 24 * _DAY_MS), (2, now_ms)):
        await at.write(topic, counted(count, second_ms) | {"to": SERVICE})
    async with followed(at) as history:
        kinds = history.hourly.of(ACCOUNT, SERVICE)
    assert {name: sum(counts) for name, counts in kinds.items()} == {(OptOutType.STOP, "es"): 2}
