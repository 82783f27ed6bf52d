"""Where the parts of the chart stand: opt-outs go up, opt-ins down, hours stand side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from processor.http.console.figures import Hour

WIDTH, HEIGHT = 960, 300
_LEFT, _TOP, _BOTTOM = 48, 16, 28
_STEPS = (1, 2, 5)
_LABELS = 7


@dataclass(frozen=True, slots=True)
class Bar:
    """An hour's two bars, and its mark where it is out of the usual range."""

    hour: Hour
    x: float
    width: float
    up_y: float
    up: float
    down: float
    mark_y: float


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything that is drawn, in units of the picture."""

    bars: Sequence[Bar]
    zero_y: float
    lines: Sequence[tuple[float, int]]  # y, and the figure there
    labels: Sequence[tuple[float, str]]  # x, and the time there
    usual: str  # points of the line that is usual at most, with a gap where none is known


def chart_of(hours: Sequence[Hour]) -> Chart:
    """Lay a chart out.

    Args:
        hours: one at least.
    """
    lines = [hour.usual.most for hour in hours if hour.usual]
    up = max(1, *(hour.opt_outs for hour in hours), *map(int, lines))
    down = max(hour.opt_ins for hour in hours)
    scale = (HEIGHT - _TOP - _BOTTOM) / (up + down)
    zero_y, width = round(_TOP + scale * up, 1), (WIDTH - _LEFT) / len(hours)

    def y(value: float) -> float:
        return round(zero_y - scale * value, 1)

    bars = [
        Bar(
            hour,
            round(_LEFT + width * index, 2),
            round(0.8 * width, 2),
            y(hour.opt_outs),
            round(scale * hour.opt_outs, 1),
            round(scale * hour.opt_ins, 1),
            max(_TOP - 4, y(hour.opt_outs) - 4),
        )
        for index, hour in enumerate(hours)
    ]
    every = max(1, len(hours) // _LABELS)
    step = _step(up + down)
    return Chart(
        bars,
        zero_y,
        [(y(value), abs(value)) for value in range(-(down // step) * step, up + 1, step)],
        [(bar.x, f"{bar.hour.at:%a %H:%M}") for bar in bars[::every]],
        _path([(bar.x, width, y(bar.hour.usual.most)) for bar in bars if bar.hour.usual]),
    )


def _step(whole: int) -> int:
    """What to draw a line at, so that there are up to six or so."""
    power = 1
    while True:
        for step in _STEPS:
            if whole <= 6 * step * power:
                return step * power
        power *= 10


def _path(known: Sequence[tuple[float, float, float]]) -> str:
    return " ".join(f"M{x} {y}h{width:.2f}" for x, width, y in known)
