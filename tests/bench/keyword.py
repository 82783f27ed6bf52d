"""Measure the cost of a keyword in a match lane: `python -m tests.bench.keyword [--against TREE]`.

A batch with keywords against the same batch without, in one process and without servers: from
fetched records to Kafka's record batches and the arguments of Redis's scripts. So nothing of a
broker, a network or an idle loop is in the figures.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import hiredis
import orjson

from processor.cli.traffic import KEYWORDS
from processor.core.messages import Scope
from processor.core.policy import STANDARD, KeywordSet, OptOutConfig
from processor.core.services import Service
from processor.kafka.fetched import FetchedRecord
from processor.kafka.lanes.lane_output import LaneOutput
from processor.metrics import MatchMetrics, Metrics
from processor.servers import settle_memory
from processor.stages.match_inbound import MatchDependencies, MatchInbound
from processor.stages.tracing import Traces
from processor.stores.redis_block_list import RedisBlockList
from processor.wire.cloud_events import CloudEvents
from processor.wire.json_values import to_text
from processor.wire.topics import Topics
from tests.bench.load import AT_MS, traffic
from tests.builders import LONG_CODE, a_service
from tests.one_lane import TOPIC_ID, EmptyList, NothingHandled, Services

_ORDINARY, _KEYWORDS = 400, 40  # of a batch
_EVERY = _ORDINARY // _KEYWORDS
_BATCHES = 400  # of a round
_ROUNDS = 7
_TOPICS = Topics.under("bench-")
_PARTS = ("read", "list", "Redis", "decide", "put out")


class _Redis:
    """Answers the scripts at once: a list without entries that the lane owns."""

    unfit = None
    min_replicas = 0

    def __init__(self) -> None:
        self._epoch, self._mark = 1, b"0-0"

    async def run(self, script: Any, keys: Sequence[str], *said: Any) -> Any:
        hiredis.pack_command(("EVALSHA", script.sha, len(keys), *keys, *said))
        meta = [b"%d" % self._epoch, self._mark, TOPIC_ID.encode(), b"1", b"2 2", b"", b"", 0]
        is_read = isinstance(said[0], str)  # the other scripts begin with an epoch
        if not is_read and len(said) > 1 and isinstance(said[1], str):
            self._mark = said[1].encode()  # of a settled list
        return [meta, [], [], b"\r\nrole:master\r\nmaster_replid:0", []] if is_read else meta

    async def run_replicated(self, script: Any, keys: Sequence[str], *said: Any) -> Any:
        await self.run(script, keys, *said)
        self._mark = said[2].encode()
        return b"OK", 0

    async def call(self, *said: Any) -> Any:
        return None


class _Parts:
    """The seconds that a stage spends in its parts; the rest is the decision."""

    def __init__(self, stage: Any) -> None:
        self.seconds = dict.fromkeys(_PARTS, 0.0)
        stage._classifier.classify = self._timed("read", stage._classifier.classify)
        stage._outputs.put_decided = self._timed("put out", stage._outputs.put_decided)
        for part, of in (("list", stage._list), ("Redis", stage._list._store)):
            for name in ("read", "write"):
                setattr(of, name, self._awaited(part, getattr(of, name)))

    def _timed(self, part: str, do: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*given: Any) -> Any:
            began = time.perf_counter()
            found = do(*given)
            self.seconds[part] += time.perf_counter() - began
            return found

        return timed

    def _awaited(self, part: str, do: Callable[..., Any]) -> Callable[..., Any]:
        async def timed(*given: Any) -> Any:
            began = time.perf_counter()
            found = await do(*given)
            self.seconds[part] += time.perf_counter() - began
            return found

        return timed


class _Made:
    """Batches of the same ordinary messages, and of keywords that no batch before had."""

    def __init__(self, keywords: int, services: Sequence[Service]) -> None:
        self._keywords = keywords
        self._services = services
        self._offset = self._turn = 0
        self._ordinary = traffic(keyword_share=0).inbound(_ORDINARY, AT_MS)

    def batch(self) -> list[FetchedRecord]:
        made = []
        for index, (key, value) in enumerate(self._ordinary):
            made.append(self._record(key, value))
            if index % _EVERY == 0 and self._keywords:
                made.append(self._record(*self._keyword(orjson.loads(value))))
        return made

    def _keyword(self, fields: dict[str, Any]) -> tuple[bytes, bytes]:
        self._turn += 1
        if self._services:
            service = self._services[self._turn % len(self._services)]
            fields["account_sid"] = service.account_sid
            fields["messaging_service_sid"] = service.sid
        fields["body"] = KEYWORDS[self._turn % len(KEYWORDS)]
        fields["received_at"] = to_text(AT_MS + self._offset)
        fields["message_sid"] = f"SM{self._offset:032x}"
        fields["from"] = f"+1555{self._turn % 10_000_000:07}"
        return fields["from"].encode(), orjson.dumps(fields)

    def _record(self, key: bytes, value: bytes) -> FetchedRecord:
        self._offset += 1
        place = _TOPICS.inbound_messages, 0, self._offset, AT_MS + self._offset
        return FetchedRecord(*place, 1, key, value, ())


async def _stage(services: Sequence[Service]) -> MatchInbound:
    needs: Any = SimpleNamespace(
        services=Services(services),
        block_list=EmptyList(),
        handled=NothingHandled(),
        store=RedisBlockList(_Redis(), prefix="bench-", seen_ms=86_400_000),  # type: ignore[arg-type]
        counts=SimpleNamespace(add=lambda counts: None),
    )
    stage = MatchInbound(
        0,
        MatchDependencies(
            partitions=1,
            topics=_TOPICS,
            scope=Scope.ACCOUNT,
            store=needs.store,
            block_list=needs.block_list,
            services=needs.services,
            cloud_events=CloudEvents("urn:bench"),
            counts=needs.counts,
            metrics=MatchMetrics(Metrics()),
            traces=Traces(),
            handled=needs.handled,
        ),
    )
    await stage.claim()
    await stage.inherit(())
    await stage.recover({})
    return stage


class _Lane:
    """A stage with its load, and the seconds of each batch so far, by part and in all."""

    def __init__(self, stage: MatchInbound, made: _Made) -> None:
        self._stage, self._made, self._parts = stage, made, _Parts(stage)
        self._took: list[dict[str, float]] = []

    async def batch(self) -> None:
        """Measure the next batch."""
        records, out = self._made.batch(), LaneOutput(0)
        self._parts.seconds = dict.fromkeys(_PARTS, 0.0)
        began = time.perf_counter()
        batch = await self._stage.process(records, out)
        for _, builder in out.batches():
            builder.close()
        await batch.committed()
        took = time.perf_counter() - began
        parts = self._parts.seconds
        parts["list"] -= parts["Redis"]
        parts["decide"] = took - sum(parts.values())
        self._took.append(parts | {"all": took})

    @property
    def usual(self) -> dict[str, float]:
        """Seconds of an undisturbed batch: of each part, the least but a tenth."""
        tenth = len(self._took) // 10
        return {part: sorted(batch[part] for batch in self._took)[tenth] for part in self._took[0]}


def _service(number: int) -> Service:
    """A service of an account of its own, with the usual words and replies of its own."""
    standard = {
        kind: KeywordSet(given.keywords, f"{number}: {given.reply}")
        for kind, given in STANDARD.items()
    }
    return a_service(
        LONG_CODE,
        sid=f"MG{number:032x}",
        account_sid=f"AC{number:032x}",
        active=OptOutConfig(standard=standard),
    )


async def _measure() -> dict[str, dict[str, float]]:
    """µs a keyword by part, for default handling and for a service."""
    settle_memory()
    found = {}
    for name, services in (
        ("warm-up", []),
        ("default handling", []),
        ("a service", [_service(1)]),
        ("3,000 services", list(map(_service, range(3_000)))),
    ):
        without, with_ = [
            _Lane(await _stage(services), _Made(keywords, services)) for keywords in (0, _KEYWORDS)
        ]
        for _ in range(_BATCHES):
            await without.batch()
            await with_.batch()
        found[name] = {
            part: 1e6 * (seconds - without.usual[part]) / _KEYWORDS
            for part, seconds in with_.usual.items()
        }
        found[name]["others"] = 1e6 * without.usual["all"] / _ORDINARY
    return found


def _round(tree: Path) -> dict[str, dict[str, float]]:
    said = subprocess.run(
        [tree / ".venv/bin/python", __file__, "--once"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, dict[str, float]] = json.loads(said.stdout)
    return found


def _text(found: Sequence[dict[str, dict[str, float]]]) -> str:
    lines = [f"{'':18}" + "".join(f"{part:>9}" for part in found[0]["a service"])]
    for name in found[0]:
        least = [min(one[name][part] for one in found) for part in found[0][name]]
        lines.append(f"{name:18}" + "".join(f"{us:9.2f}" for us in least))
    return "\n".join(lines)


@click.command()
@click.option("--against", type=click.Path(path_type=Path, exists=True, resolve_path=True))
@click.option("--rounds", default=_ROUNDS, show_default=True)
@click.option("--once", is_flag=True, hidden=True)
def main(against: Path | None, rounds: int, once: bool) -> None:
    """Print µs a keyword by part, the least of all rounds; and µs of a message that is none."""
    if once:
        print(json.dumps(asyncio.run(_measure())))
        return
    trees = [Path(__file__).parents[2], *([against] if against else [])]
    found: dict[Path, list[Any]] = {tree: [] for tree in trees}
    for number in range(rounds):
        for tree in trees if number % 2 else reversed(trees):
            found[tree].append(_round(tree))
    for tree in trees:
        print(tree)
        print(_text(found[tree]))


if __name__ == "__main__":
    main()
