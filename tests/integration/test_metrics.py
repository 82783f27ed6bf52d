"""A worker's metrics, its readiness, and its counts of matches."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import httpx
import pytest

from deploy.local import stack
from processor.config import Settings
from processor.kafka.writing import Outgoing
from tests.builders import LONG_CODE, RECIPIENT
from tests.clinic import CLINIC, a_send, a_text, configure
from tests.installation import Installation, running, until
from tests.processes import OPTOUT, a_port, environment, started
from tests.samples import samples_of, value


async def test_a_worker_tells_what_it_did_and_of_nobody(settings: Settings) -> None:
    at, port = Installation(settings), a_port()
    async with (
        started(OPTOUT, **environment(settings), OPTOUT_WEB_PORT=str(port)) as worker,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as web,
    ):
        await worker.says("lane.taken")
        await at.texts(a_text("M1", "STOP"), a_text("M2", "Help!"), a_text("M3", "see you"))
        await at.write_raw(Outgoing(at.topics.inbound_messages, RECIPIENT.encode(), b"{}"))
        await at.wait_for(at.topics.opt_out_notifications, 2)
        await at.sends(a_send("S1"), a_send("S2", to="+15557650000"))
        await at.wait_for(at.topics.message_statuses, 1)
        await at.wait_for(at.topics.allowed_sends, 1)
        await at.wait_for_letters(1)

        async def ready() -> bool:
            return bool((await web.get("/readyz")).json() == {"ready": True, "reasons": []})

        await until(ready, "ready worker")

        async def nothing_waits() -> bool:
            lags = [
                lag
                for (name, _), lag in samples_of((await web.get("/metrics")).text).items()
                if name == "optout_lag_records"
            ]
            return lags == [0] * (4 * settings.partitions)  # match, gate, webhooks, carriers

        await until(nothing_waits, "lag of 0 in every partition")
        answer = await web.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    for personal in (RECIPIENT, LONG_CODE, "see you", "appointment", "M1", "S1", "AC0"):
        assert personal not in answer.text
    samples = samples_of(answer.text)
    assert value(samples, "optout_matches_total", kind="STOP", tier="exact") == 1
    assert value(samples, "optout_matches_total", kind="HELP", tier="tolerant") == 1
    assert value(samples, "optout_verdicts_total", verdict="allowed") == 1
    assert value(samples, "optout_verdicts_total", verdict="refused") == 1
    assert value(samples, "optout_messages_total", role="match") == 4
    assert value(samples, "optout_messages_total", role="gate") == 2
    assert value(samples, "optout_dead_letters_total", role="match") == 1
    assert value(samples, "optout_stop_effective_seconds_count") == 1
    assert 0 < value(samples, "optout_stop_effective_seconds_sum") < 60
    assert value(samples, "optout_list_rebuild_seconds_count") == settings.partitions
    assert value(samples, "optout_redis_seconds_count", role="match", operation="write") >= 1
    assert value(samples, "optout_step_seconds_count", role="gate", step="commit") >= 1
    assert value(samples, "optout_lane_failures_total", role="match", reason="Fenced") == 0
    for role in ("match", "gate"):
        for partition in range(settings.partitions):
            place = {"role": role, "partition": str(partition)}
            assert value(samples, "optout_lane_works", **place) == 1
            assert value(samples, "optout_lag_records", **place) == 0
    assert value(samples, "optout_build_info", version="0.1.0") == 1
    assert value(samples, "process_resident_memory_bytes") > 0


async def test_what_matched_is_counted_by_service_kind_and_language(settings: Settings) -> None:
    at = Installation(settings)
    opt_out = {
        "enabled": True,
        "standard": {"STOP": {"keywords": ["stop", "halt"], "reply": "Out."}},
        "languages": {"es": {"STOP": {"keywords": ["baja"], "reply": "Fuera."}}},
    }
    await configure(settings, CLINIC | {"opt_out": opt_out})
    async with running(settings):
        await at.texts(*(a_text(f"M{one}", "halt") for one in range(3)), a_text("M4", "baja"))
        await at.texts(a_text("M5", "help", to="+15550000000"), a_text("M6", "see you"))
        await at.wait_for(at.topics.opt_out_counts, 3)
    counted: dict[tuple[str | None, str, str | None], int] = {}
    for one in await at.values(at.topics.opt_out_counts):
        assert datetime.fromisoformat(one["second"]).microsecond == 0
        key = (one["messaging_service_sid"], one["kind"], one["language"])
        counted[key] = counted.get(key, 0) + one["count"]
    assert counted == {
        ("MGclinic", "STOP", None): 3,
        ("MGclinic", "STOP", "es"): 1,
        (None, "HELP", None): 1,
    }


@pytest.mark.needs_more
async def test_a_worker_that_cannot_work_says_why(settings: Settings, tmp_path: Path) -> None:
    port = a_port()
    with stack.valkey(tmp_path) as server:
        mine = environment(settings) | {
            "OPTOUT_REDIS_URL": f"redis://{server.address}/0",
            "OPTOUT_WEB_PORT": str(port),
        }
        async with (
            started(OPTOUT, **mine) as worker,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as web,
        ):
            await worker.says("lane.taken")
            server.kill()

            async def told() -> bool:
                reasons = (await web.get("/readyz")).json()["reasons"]
                kinds = {reason.partition(":")[0].partition(" ")[0] for reason in reasons}
                return {"Redis", "match"} <= kinds

            await until(told, "reasons")
            assert (await web.get("/readyz")).status_code == 503
            assert (await web.get("/livez")).json() == {"alive": True}
            samples = samples_of((await web.get("/metrics")).text)
            failed = value(
                samples, "optout_lane_failures_total", role="match", reason="StoreUnavailable"
            )
            assert failed > 0
