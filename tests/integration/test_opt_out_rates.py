"""The chart of opt-outs: a Faust agent folds what match counts, in a real worker."""

from __future__ import annotations

import contextlib
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from processor.config import Settings
from processor.kafka.client import Outgoing
from processor.kafka.topics.topic_plan import plans
from tests.installation import Installation, running, until
from tests.integration.conftest import Command
from tests.integration.test_flow import CLINIC, a_text, configure
from tests.integration.test_metrics import a_port
from tests.integration.test_worker_process import OPTOUT, environment, started


@asynccontextmanager
async def admin_of(settings: Settings) -> AsyncIterator[Any]:
    admin = AIOKafkaAdminClient(**settings.kafka())
    await admin.start()
    yield admin
    await admin.close()


async def deleted(admin: Any, topic: str) -> None:
    await admin.delete_topics([topic])
    await listed(admin, topic, False)


async def listed(admin: Any, topic: str, there: bool) -> None:
    """The controller knows first; brokers say so a moment later."""

    async def is_so() -> bool:
        return (topic in await admin.list_topics()) is there

    await until(is_so, f"word of {topic}")


def counted(answer: dict[str, Any], size: str) -> Counter[tuple[str | None, str]]:
    """The counts of all windows of a size, by service and kind."""
    total: Counter[tuple[str | None, str]] = Counter()
    for one in answer[size]:
        total[one["messaging_service_sid"], one["kind"]] += one["count"]
    return total


async def test_the_last_day_by_hour_and_minute_outlives_a_restart(settings: Settings) -> None:
    # All roles and an installation just made, as `optout up` starts it.
    at, port = Installation(settings), a_port()
    await configure(settings, CLINIC)
    mine = environment(settings) | {"OPTOUT_WEB_PORT": str(port)}
    expected = Counter({("MGclinic", "STOP"): 2, ("MGclinic", "START"): 1, (None, "HELP"): 1})

    async def answers(client: httpx.AsyncClient, wanted: Counter[tuple[str | None, str]]) -> None:
        async def right() -> bool:
            try:
                answer = (await client.get("/opt-out-rates")).json()
            except httpx.HTTPError:
                return False
            return counted(answer, "hours") == counted(answer, "minutes") == wanted

        await until(right, f"{wanted}")

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as web:
        async with started(OPTOUT, **mine) as worker:
            await worker.says("lane.taken")
            await at.texts(a_text("M1", "stop"), a_text("M2", "halt"), a_text("M3", "start"))
            await at.texts(a_text("M4", "help", to="+15550000000"))
            # Records that are not counts are skipped, and later counts are folded.
            await at.write_raw(Outgoing(at.topics.opt_out_counts, b"MGclinic", b"{}"))
            await answers(web, expected)
            of_one = (await web.get("/opt-out-rates", params={"service": "MGclinic"})).json()
            assert counted(of_one, "hours") == expected - Counter({(None, "HELP"): 1})
            assert await worker.ends(signal.SIGTERM) == 0
        assert "Traceback" not in worker.said
        async with started(OPTOUT, **mine) as worker:
            await answers(web, expected)
            await at.texts(a_text("M5", "help"))
            await answers(web, expected + Counter({("MGclinic", "HELP"): 1}))


async def test_without_the_tables_topics_a_worker_waits_and_says_for_what(
    settings: Settings,
) -> None:
    [minutes] = [plan for plan in plans(settings) if plan.name.endswith("rates-minutes-changelog")]
    async with admin_of(settings) as admin:
        await deleted(admin, minutes.name)
    async with started(OPTOUT, **environment(settings), OPTOUT_ROLES="rates") as worker:
        await worker.says(f"{minutes.name}: missing; create it with `optout topics create`")
        async with admin_of(settings) as admin:
            await admin.create_topics([NewTopic(minutes.name, 1, 1)])
        assert await worker.ends() == 2
    assert f"{minutes.name}: 1 partitions where 4 are expected" in worker.said
    assert "Traceback" not in worker.said


async def test_a_table_of_another_partition_count_is_made_again_and_only_it_starts_anew(
    settings: Settings, optout: Command
) -> None:
    at, port = Installation(settings), a_port()
    [minutes] = [plan for plan in plans(settings) if plan.name.endswith("rates-minutes-changelog")]
    rates = environment(settings) | {"OPTOUT_ROLES": "rates", "OPTOUT_WEB_PORT": str(port)}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as web:

        async def counts(hourly: int, minutely: int) -> None:
            async def right() -> bool:
                with contextlib.suppress(httpx.HTTPError):
                    answer = (await web.get("/opt-out-rates")).json()
                    sums = (counted(answer, size).total() for size in ("hours", "minutes"))
                    return tuple(sums) == (hourly, minutely)
                return False

            await until(right, f"{hourly} by the hour, {minutely} by the minute")

        async with running(settings):
            async with started(OPTOUT, **rates) as worker:
                await at.texts(a_text("M1", "stop"))
                await counts(1, 1)
                assert await worker.ends(signal.SIGTERM) == 0
            async with admin_of(settings) as admin:
                await deleted(admin, minutes.name)
                await admin.create_topics([NewTopic(minutes.name, 1, 1)])
                await listed(admin, minutes.name, True)
            said = f"{minutes.name}: 1 partitions where 4 are expected; stop workers with the role"
            for command in ("check", "create"):
                assert said in (await optout("topics", command, code=1)).stderr
            # As it says: the workers are stopped.
            async with admin_of(settings) as admin:
                await deleted(admin, minutes.name)
            made = await optout("topics", "create", "--json")
            assert orjson.loads(made.stdout)["created"] == [minutes.name]
            async with started(OPTOUT, **rates):
                await at.texts(a_text("M2", "help"))
                await counts(2, 1)
