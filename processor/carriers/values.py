"""Reading the values that many providers share: JSON, forms, numbers, times, error texts."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_plus

from processor.carriers.adapter import Again, Rejected, Response

_SPACING = re.compile(r"[\s().\-]")
_DIGITS = re.compile(r"[0-9]+")
_LONG_NUMBER = re.compile(r"\+?[0-9][0-9 ().-]{5,}[0-9]")  # codes of errors have six digits
_MOST_WORDS = 200
_MOST_FIELDS = 1_000
_SHORT_CODE_DIGITS = 8
_LATEST_S = 253_370_764_800  # the year 9999, the last that our times have


def json_of(body: bytes) -> Any:
    """The value of a JSON text; None where it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def piece(value: object) -> bytes:
    """A part of a JSON text, to be kept."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def form_of(text: str | bytes) -> dict[str, str]:
    """The fields of a form or a query; the last value of a name counts, as providers send one."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    try:
        return dict(pairs_of(text))
    except ValueError:
        return {}


@lru_cache(maxsize=1)  # a request's signature and its content are read one after the other
def pairs_of(text: str) -> tuple[tuple[str, str], ...]:
    """The names and values of a form or a query, as ``parse_qsl`` reads them, but in half the time.

    Raises:
        ValueError: there are too many fields.
    """
    fields = text.split("&")
    if len(fields) > _MOST_FIELDS:
        raise ValueError(f"more than {_MOST_FIELDS} fields")
    parted = (field.partition("=") for field in fields if field)
    return tuple((_plain(name), _plain(value)) for name, _, value in parted)


def _plain(text: str) -> str:
    return unquote_plus(text) if "%" in text or "+" in text else text


def mapping(value: object) -> dict[str, Any]:
    """A JSON object; empty where it is something else."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> Sequence[Any]:
    """A JSON list; empty where it is something else."""
    return value if isinstance(value, list) else ()


def objects(value: object) -> Iterator[dict[str, Any]]:
    """The objects of a JSON list."""
    return (one for one in items(value) if isinstance(one, dict))


def text(value: object) -> str:
    """A JSON text or number as a text; empty where it is something else."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def at(value: object, path: str | None) -> object:
    """The value at a path of names with dots between, None where there is none."""
    for name in path.split(".") if path else ():
        value = mapping(value).get(name)
    return value


def address(given: str, channel: str = "") -> str:
    """An address as providers spell it: ``+`` and the digits of an international number.

    Digits without ``+`` are international, but for short codes (R33). Names stay.

    Args:
        given: perhaps with spaces, dots, brackets, or ``00`` for ``+``.
        channel: prefix such as ``whatsapp:``.
    """
    bare = _SPACING.sub("", given)
    if _DIGITS.fullmatch(bare):
        if bare.startswith("00"):
            bare = "+" + bare[2:]
        elif len(bare) > _SHORT_CODE_DIGITS or channel:
            bare = "+" + bare
    elif not (bare.startswith("+") and _DIGITS.fullmatch(bare[1:])):
        bare = given.strip()
    return channel + bare


def seconds(value: object) -> float | None:
    """A time in seconds since 1970, as a number or its text."""
    try:
        found = float(text(value) if not isinstance(value, float) else value)
    except ValueError:
        return None
    return found if 0 <= found < _LATEST_S else None


def milliseconds(value: object) -> int | None:
    """The same in milliseconds."""
    found = seconds(value)
    return None if found is None else round(1000 * found)


def code(value: object) -> int | None:
    """An error's code; None unless it is a number of a usual size."""
    said = text(value)
    return int(said) if _DIGITS.fullmatch(said) and len(said) < 10 else None


def words(value: object) -> str:
    """An error's text without the numbers of people, and of a bounded length."""
    return _LONG_NUMBER.sub("…", text(value))[:_MOST_WORDS]


def basic(user: str, password: str) -> str:
    """The value of ``Authorization`` for a user and password."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def usual_failure(response: Response, code_: int | None, said: str) -> Rejected | Again:
    """The meaning of a response other than 2xx, with nearly every provider.

    Args:
        response: of the provider.
        code_: the provider's, where it gives one.
        said: its words.
    """
    status = response.status
    if status == 429:
        return Again("429: too many", response.retry_after_s or 1.0, is_ill=False)
    if status in (401, 404, 408) or not 400 <= status < 500:
        # 401 and 404: our credentials or address are wrong, and a person can mend them.
        return Again(f"answered {status}", response.retry_after_s or 0.0)
    return Rejected(code_, said or f"answered {status}")
