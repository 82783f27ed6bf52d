"""Responses that may be long, or are requested with every send."""

from __future__ import annotations

import orjson
from fastapi import Response


def written(answer: object) -> Response:
    """Write a response as JSON directly; the framework would check and copy each part first.

    Args:
        answer: of the route's ``response_model``; mypy and the tests check that.
    """
    return Response(orjson.dumps(answer), media_type="application/json")
