"""The geometry of the chart: a bar for each hour, opt-outs upwards, opt-ins downwards."""

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
    """An hour's two bars, and its mark if it is out of the usual range."""

    hour: Hour
    x: float
    width: float
    up_y: float
    up: float
    down: float
    mark_y: float


@dataclass(frozen=True, slots=True)
class Chart:
    """All parts of the chart, in units of the picture."""

    bars: Sequence[Bar]
    zero_y: float
    lines: Sequence[tuple[float, int]]  # y and the value there
    labels: Sequence[tuple[float, str]]  # x and the time there
    usual: str  # path of the usual maximum, with gaps where it is unknown


def chart_of(hours: Sequence[Hour]) -> Chart:
    """Lay a chart out.

    Args:
        hours: at least one.
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
    step = step_of(up + down)
    return Chart(
        bars,
        zero_y,
        [(y(value), abs(value)) for value in range(-(down // step) * step, up + 1, step)],
        [(bar.x, f"{bar.hour.at:%a %H:%M}") for bar in bars[::every]],
        _path([(bar.x, width, y(bar.hour.usual.most)) for bar in bars if bar.hour.usual]),
    )


def step_of(whole: int) -> int:
    """Choose the distance of the grid lines, so that there are about six at most."""
    power = 1
    while True:
        for step in _STEPS:
            if whole <= 6 * step * power:
                return step * power
        power *= 10


def _path(known: Sequence[tuple[float, float, float]]) -> str:
    return " ".join(f"M{x} {y}h{width:.2f}" for x, width, y in known)
