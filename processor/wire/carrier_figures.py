"""carrier-figures.v1: the figures of a carrier in one process."""

from __future__ import annotations

import orjson

from processor.statistics.carrier_figures import ErrorSeen, Figure, State
from processor.wire.json_values import to_ms, to_text
from schemas.carrier_figure import CarrierFigure


def write(figure: Figure) -> tuple[bytes, bytes]:
    """Key and value; fields without content are left out."""
    state = figure.state
    value = {
        "carrier": figure.carrier,
        "process": figure.process,
        "part": figure.part,
        "until": to_text(figure.until_ms),
        "counts": dict(figure.counts),
        "errors": [
            {"what": one.what, "code": one.code, "count": one.count, "at": to_text(one.at_ms)}
            for one in figure.errors
        ],
        "waiting": state.waiting,
        "paused": state.paused,
        "at_limit": state.at_limit,
        "closed": list(state.closed),
    }
    return figure.carrier.encode(), orjson.dumps({key: one for key, one in value.items() if one})


def read(value: bytes) -> Figure:
    """A record.

    Raises:
        pydantic.ValidationError: it is not a figure.
    """
    one = CarrierFigure.model_validate_json(value)
    return Figure(
        one.carrier,
        one.process,
        one.part,
        to_ms(one.until),
        one.counts,
        tuple(ErrorSeen(each.what, each.code, each.count, to_ms(each.at)) for each in one.errors),
        State(one.waiting, one.paused, one.at_limit, tuple(one.closed)),
    )
