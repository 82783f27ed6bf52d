"""webhooks-made.v1: which records of a partition led to a request that was answered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import orjson

_MOST_RUNS = 10_000  # of a record: 400 KB

Run = tuple[int, int]  # the first offset, and behind the last


def runs_of(offsets: Iterable[int]) -> list[Run]:
    """Join offsets that follow each other; they may come in any order."""
    runs: list[Run] = []
    for offset in sorted(offsets):
        if runs and offset <= runs[-1][1]:
            runs[-1] = runs[-1][0], offset + 1
        else:
            runs.append((offset, offset + 1))
    return runs


def write(made: Mapping[str, Iterable[int]]) -> Iterator[bytes]:
    """The values that name these offsets, by topic; several where one would be too large."""
    named = [(topic, run) for topic, offsets in made.items() for run in runs_of(offsets)]
    for begin in range(0, len(named), _MOST_RUNS):
        yield _value(named[begin : begin + _MOST_RUNS])


def _value(named: Sequence[tuple[str, Run]]) -> bytes:
    runs: dict[str, list[dict[str, int]]] = {}
    for topic, (first, end) in named:
        runs.setdefault(topic, []).append({"first": first, "end": end})
    return orjson.dumps({"made": runs})
