"""An account's records of its senders: found, recorded, changed, given up."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fastapi import Request

from processor.configuration.edits import Edit, edit_of_number
from processor.core.messages import SenderType
from processor.http.auth import Caller
from processor.http.backend import Backend
from processor.http.errors import not_found, wrong_parameter
from processor.http.sender_pool import check_available
from processor.kafka.topics.holdings import NUMBER_TAKEN
from processor.kafka.topics.owned_senders import given_up, numbers_of
from schemas.number import Number


class NumberRecord:
    """A sender of an account by its sid, if it is of these types; read again at each step."""

    def __init__(
        self,
        request: Request,
        backend: Backend,
        account_sid: str,
        sid: str,
        types: tuple[SenderType, ...],
    ) -> None:
        self._request = request
        self._stored = backend.configuration
        self._account_sid = account_sid
        self._sid = sid
        self._types = types

    def now(self) -> Number:
        """The record as it is.

        Raises:
            ApiError: 20404 where there is none.
        """
        number = numbers_of(self._stored, self._account_sid).get(self._sid)
        if number is None or number.type not in self._types:
            raise not_found(self._request)
        return number

    async def change(self, fields: Mapping[str, Any], *, actor: str) -> Number:
        """Change fields of the record, by their stored names, and return it afterwards."""

        def decide() -> list[Edit]:
            before = self.now()
            after = before.model_copy(update={**fields, "updated_at": datetime.now(UTC)})
            return [edit_of_number(before, after)]

        await self._stored.update(decide, actor=actor)
        return self.now()

    async def give_up(self, *, actor: str) -> None:
        """Take the sender from the account: out of its records and its pools."""

        def decide() -> list[Edit]:
            number = self.now()
            return given_up(self._stored, [(number.address, number.account_sid)])

        await self._stored.update(decide, actor=actor)


async def record(backend: Backend, caller: Caller, number: Number) -> Number:
    """Store a new number, or the fields of one that the operator granted.

    Raises:
        ApiError: 21422, if the account has recorded it, another has it, or it is not granted.
    """
    stored = backend.configuration
    kept = number

    def decide() -> list[Edit]:
        nonlocal kept
        check_available(backend, caller, number.account_sid, number.address)
        before = stored.numbers.at(number.address)
        if before and not before.granted:
            raise wrong_parameter("The number is recorded already", NUMBER_TAKEN)
        since = {"created_at": before.created_at} if before else {}
        granted = caller.operator or before is not None
        kept = number.model_copy(update={**since, "granted": granted})
        return [edit_of_number(before, kept)]

    await stored.update(decide, actor=caller.actor)
    return kept
