"""Recipients' addresses in requests: read loosely, never guessed (R33)."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from processor.wire.spellings import NoAddress, Unclear, recipient_of
from schemas.common import RecipientAddress


def _read(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return recipient_of(value, national=True)
    except Unclear as error:
        raise PydanticCustomError("unclear_address", "{why}", {"why": str(error)}) from None
    except NoAddress:
        return value  # the pattern says what it should be


Recipient = Annotated[RecipientAddress, BeforeValidator(_read)]
"""A recipient's address, however a number is spelled; it needs its country's code."""
