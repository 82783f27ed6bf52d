"""Answers that may be long, or are asked for with every send."""

from __future__ import annotations

import orjson
from fastapi import Response


def written(answer: object) -> Response:
    """An answer as JSON, at once: the framework would check and copy each part of it first.

    Args:
        answer: as the route's ``response_model`` says; mypy and the tests hold it to that.
    """
    return Response(orjson.dumps(answer), media_type="application/json")
