"""Reading topic values fast and strictly, and saying in words why one is refused."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any, TypeVar

import msgspec
from pydantic import AwareDatetime, BaseModel, ValidationError

from processor.errors import Problem, RecordError
from schemas.common import PATTERNS, RecipientAddress, SenderAddress, Sid, pattern_of

_T = TypeVar("_T")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_MS = 253_402_300_799_999  # the end of year 9999, the last that datetime knows
MAX_VALUE_BYTES = 512 * 1024  # what fits every topic's limit together with headers we add
_NUMBER = r"\+[1-9][0-9]{6,14}"
is_number = re.compile(_NUMBER).fullmatch
_are_numbers = re.compile(rf"(?:{_NUMBER}\n)*+").fullmatch
is_address, is_sender, is_sid = (
    re.compile(pattern_of(one)[1:-1]).fullmatch for one in (RecipientAddress, SenderAddress, Sid)
)
_are_addresses, _are_sids = (
    re.compile(rf"(?:{pattern_of(one)[1:-1]}\n)*+").fullmatch for one in (RecipientAddress, Sid)
)
NOT_QUICK = (msgspec.MsgspecError, ValueError, RecursionError)  # a quick decoder's refusals
_KNOWN_LIMIT = 100_000


def quick_decoder(model: type[BaseModel]) -> Callable[[bytes], Any]:
    """A decoder of a model's JSON into an object with the model's attributes, in a third the time.

    Made from the model's own fields. It knows their types, longest length and numbers' bounds, but
    not their patterns: who uses it checks those, and leaves what it is not sure of to the model.

    Raises (the decoder):
        NOT_QUICK: where the value is not of these types; the model may still take it.
    """
    fields: list[tuple[str, Any, Any]] = []
    for name, info in model.model_fields.items():
        kind: Any = info.annotation
        if kind is AwareDatetime:
            kind = Annotated[datetime, msgspec.Meta(tz=True)]
        for bound in info.metadata:
            if kind is str and getattr(bound, "max_length", None):
                kind = Annotated[str, msgspec.Meta(max_length=bound.max_length)]
            elif info.annotation is int:
                kind = Annotated[kind, msgspec.Meta(**dataclasses.asdict(bound))]
        default = msgspec.NODEFAULT if info.is_required() else info.default
        fields.append((name, kind, msgspec.field(default=default, name=info.alias)))
    made = msgspec.defstruct(model.__name__, fields, kw_only=True, gc=False)
    return msgspec.json.Decoder(made).decode


def quick_read(decode: Callable[[bytes], _T], values: Sequence[bytes]) -> list[_T] | None:
    """What a quick decoder makes of all values, None where it refuses one."""
    try:
        for value in values:
            if not value.isascii():
                value.decode()
        return [decode(value) for value in values]
    except NOT_QUICK:
        return None


def are_sids(texts: Sequence[str]) -> bool:
    """Whether every text is a ``Sid``."""
    joined = "".join(texts)
    if joined.isascii() and joined.isalnum():  # most are, and this is much cheaper
        lengths = set(map(len, texts))
        return min(lengths) > 0 and max(lengths) <= 64
    return _are_all(_are_sids, texts)


def are_addresses(texts: Sequence[str]) -> bool:
    """Whether every text is a ``RecipientAddress``."""
    return _are_all(_are_addresses, texts)


def are_numbers(texts: Collection[str]) -> bool:
    """Whether every text is an E.164 number."""
    return _are_all(_are_numbers, texts)


def _are_all(matches: Callable[[str], object], texts: Collection[str]) -> bool:
    lines = "\n".join((*texts, ""))
    return matches(lines) is not None and lines.count("\n") == len(texts)


def remember(known: set[_T], value: _T, most: int = _KNOWN_LIMIT) -> None:
    """Have a quick reader know a field's value that a model took: few values are in most records.

    A set for each field, as few of their combinations are: thousands of services are one account's.
    """
    if len(known) >= most:
        known.clear()
    known.add(value)


def refuse_size(value: bytes | None) -> None:
    """Refuse what is no value, or too large to be passed on.

    Raises:
        RecordError: with the reason.
    """
    if value is None:
        raise RecordError("no value: a tombstone has no meaning on this topic")
    if len(value) > MAX_VALUE_BYTES:
        raise RecordError(f"{len(value)} bytes; at most {MAX_VALUE_BYTES} can be passed on")


def reason(error: ValidationError) -> str:
    """Why a value was refused, field by field, without the value itself."""
    return "; ".join(reasons(error))


def reasons(error: ValidationError) -> list[str]:
    """Every reason, as ``field: what``."""
    return [str(problem) for problem in problems_in(error)]


def problems_in(error: ValidationError) -> list[Problem]:
    """Every reason with the place of its field; the codes are pydantic's types of errors."""
    return [
        Problem(tuple(map(str, each["loc"])), each["type"], _text(each))
        for each in error.errors(include_url=False, include_input=False)
    ]


def _text(problem: Any) -> str:
    match problem["type"]:
        case "json_invalid":
            return f"not JSON: {problem['ctx']['error']}"
        case "missing":
            return "missing"
        case "string_pattern_mismatch":
            return f"is not {PATTERNS.get(problem['ctx']['pattern'], problem['msg'])}"
        case "literal_error" if problem["loc"] == ("schema_version",):
            return f"unknown version; this topic is version {problem['ctx']['expected']}"
        case "value_error" if not problem["loc"]:
            return str(problem["ctx"]["error"])
        case _:
            return str(problem["msg"]) if problem["loc"] else "not a JSON object"


def to_ms(time: datetime) -> int:
    """Milliseconds since 1970 UTC."""
    return round(time.timestamp() * 1000)


@lru_cache(maxsize=1024)  # what comes of one message says one time, in values and headers
def to_text(at_ms: int) -> str:
    """RFC 3339 in UTC with milliseconds."""
    time = _EPOCH + timedelta(milliseconds=at_ms)  # exact, where a float of seconds is not
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
