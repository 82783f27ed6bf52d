"""The geometry of bars that a person can point at, or reach by keyboard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from processor.http.console.chart import HEIGHT, WIDTH, step_of

_LEFT, _TOP, _BOTTOM = 56, 40, 28  # the top has room for the value that is pointed at
_LABELS = 8


@dataclass(frozen=True, slots=True)
class Column:
    """A bar of a chart, before it has a place."""

    name: str  # of its time
    up: float
    down: float
    text: str  # all its values in words
    link: str = ""  # to the chart of this time


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar in its place."""

    column: Column
    x: float
    width: float
    up_y: float
    up: float
    down: float


@dataclass(frozen=True, slots=True)
class Bars:
    """All parts of a chart, in units of the picture."""

    bars: Sequence[Bar]
    zero_y: float
    lines: Sequence[tuple[float, str]]  # y and the value there
    labels: Sequence[tuple[float, str]]  # x and the time there


def bars_of(columns: Sequence[Column]) -> Bars:
    """Lay bars out.

    Args:
        columns: at least one.
    """
    most, least = max(column.up for column in columns), max(column.down for column in columns)
    factor = _factor(most + least)  # rates may all be below one
    up, down = max(1, ceil(factor * most)), ceil(factor * least)
    scale = (HEIGHT - _TOP - _BOTTOM) / (up + down)
    zero_y, width = round(_TOP + scale * up, 1), (WIDTH - _LEFT) / len(columns)
    step = step_of(up + down)
    placed = [
        Bar(
            column,
            round(_LEFT + width * index, 2),
            round(width, 2),
            round(zero_y - scale * factor * column.up, 1),
            round(scale * factor * column.up, 1),
            round(scale * factor * column.down, 1),
        )
        for index, column in enumerate(columns)
    ]
    return Bars(
        placed,
        zero_y,
        [
            (round(zero_y - scale * value, 1), f"{abs(value) / factor:,.10g}")
            for value in range(-(down // step) * step, up + 1, step)
        ],
        [(bar.x, bar.column.name) for bar in placed[:: max(1, -(-len(placed) // _LABELS))]],
    )


def _factor(whole: float) -> int:
    """How many times larger values are laid out, so that grid lines are at whole numbers."""
    factor = 1
    while 0 < whole * factor < 10 and whole != int(whole):
        factor *= 10
    return factor
