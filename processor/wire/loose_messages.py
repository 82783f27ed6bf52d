"""Inbound messages that do not fit their schema, read where nothing is lost by it (R33)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set

import orjson
from pydantic import Field, ValidationError

from processor.errors import RecordError
from processor.json_types import Json, JsonObject
from processor.wire.countries import COUNTRIES
from processor.wire.json_values import is_sender, reasons
from processor.wire.spellings import NoAddress, Unclear, is_recipient, origin_of, sender_of
from schemas.common import SenderAddress
from schemas.inbound_message import InboundMessage

_OPTIONAL = frozenset(
    field.alias or name
    for name, field in InboundMessage.model_fields.items()
    if not field.is_required() and name != "schema_version"
)
_VALID = "+15551234567"


class Notice(InboundMessage):
    """A message from a short code or a name: no recipient's, so it is not matched."""

    from_: SenderAddress = Field(alias="from")


def read_loosely(
    value: bytes, error: ValidationError, strictly: Callable[[bytes], InboundMessage]
) -> InboundMessage:
    """Read a message that its schema refused.

    Args:
        value: of the record.
        error: the refusal.
        strictly: reads a message that fits its schema.

    Raises:
        RecordError: an address is unclear.
        pydantic.ValidationError: it cannot be read loosely, too.
    """
    fields = _object(value)
    if fields is None:
        raise error
    wrong = {str(each["loc"][0]) for each in error.errors(include_input=False) if each["loc"]}
    fixed, unclear = mended(fields, wrong)
    origin = fixed.get("from")
    is_notice = isinstance(origin, str) and bool(is_sender(origin)) and not is_recipient(origin)
    try:
        read = (Notice.model_validate_json if is_notice else strictly)(orjson.dumps(fixed))
    except ValidationError as still:
        if not unclear:
            raise
        unclear += reasons(still)
    if unclear:
        raise RecordError("; ".join(unclear))
    return read


def mended(fields: JsonObject, wrong: Set[str]) -> tuple[JsonObject, list[str]]:
    """The fields with those that are wrong read as they were meant, or left out.

    Returns:
        Also why an address is unclear; a number that is valid takes its place.
    """
    fixed = {name: one for name, one in fields.items() if name not in wrong & _OPTIONAL}
    country = _country_in(fields)
    if country and "from_country" in wrong:
        fixed["from_country"] = country
    if fields.get("body") is None:
        fixed["body"] = ""
    unclear: list[str] = []
    for name, read in _addresses(country).items():
        said = fields.get(name)
        if name in wrong and isinstance(said, str):
            try:
                fixed[name] = read(said)
            except Unclear as error:
                unclear.append(f"{name}: {error}")
                fixed[name] = _VALID
            except NoAddress:
                pass  # the schema says what it should be
    return fixed, unclear


def origin_in(fields: Mapping[str, Json]) -> str | None:
    """The recipient of a message that cannot be read whole, if that can be read."""
    said = fields.get("from")
    try:
        origin = origin_of(said, country=_country_in(fields)) if isinstance(said, str) else ""
    except NoAddress:
        return None
    return origin if origin and is_recipient(origin) else None


def _addresses(country: str | None) -> Mapping[str, Callable[[str], str]]:
    return {"from": lambda said: origin_of(said, country=country), "to": sender_of}


def _country_in(fields: Mapping[str, Json]) -> str | None:
    said = fields.get("from_country")
    country = said.strip().upper() if isinstance(said, str) else ""
    return country if country in COUNTRIES else None


def _object(value: bytes) -> JsonObject | None:
    try:
        fields = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    return fields if isinstance(fields, dict) else None
