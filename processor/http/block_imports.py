"""Rows of a file to block and unblock: read in slices, checked, stored as commands."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

import orjson

from processor.http.auth import Caller
from processor.http.backend import Backend
from processor.http.limits import MADE
from processor.http.responses.blocks import BadRow
from processor.json_types import JsonObject
from processor.kafka.writing import Outgoing
from processor.wire.block_rows import LONGEST_LINE, Rows, command_of, reason_of
from processor.wire.wishes import Wishes

_AT_ONCE = 200  # rows stored together
_SLICE = 50  # rows read in a slice
_MOST_NAMED = 1_000  # bad rows; further bad rows are only counted


async def lines_of(chunks: AsyncIterator[bytes]) -> AsyncIterator[list[bytes]]:
    """Yield the lines of a body while it arrives; cut an overlong line just above the limit."""
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        rest = rest[: LONGEST_LINE + 1]
        yield lines
    if rest:
        yield [rest]


class Import:
    """Results of the rows so far.

    Args:
        backend: of the process.
        caller: sends the file, for an account.
        import_id: the same when an import is sent again.
        reason: of rows that give none.
        country: of numbers without a country's code, in rows that name none.
    """

    def __init__(
        self,
        backend: Backend,
        caller: Caller,
        import_id: str,
        *,
        reason: str | None = None,
        country: str | None = None,
    ) -> None:
        self._backend = backend
        self._caller = caller
        self.import_id = import_id
        self._account = caller.account
        self._defaults: dict[str, str | None] = {
            "account_sid": caller.account,
            "scope": backend.settings.block_scope.value,
            "actor": caller.actor,
            "reason": reason,
        }
        self._country = country
        self._wishes = Wishes()
        self.good = self.bad = 0
        self.errors: list[BadRow] = []

    async def take(self, rows: Rows, lines: Sequence[bytes]) -> None:
        """Store the good rows of some lines, at the account's rate.

        Raises:
            BrokerUnavailable: the broker does not accept them; earlier rows may be stored.
            ConfigError: the first line of CSV does not name the columns.
        """
        for at in range(0, len(lines), _AT_ONCE):
            some = lines[at : at + _AT_ONCE]
            await self._backend.send(*await self.check(rows, some))
            await self._backend.credentials.limit.afford(self._caller.payer, MADE * len(some))

    async def check(self, rows: Rows, lines: Sequence[bytes]) -> list[Outgoing]:
        """Make the commands of some lines, and count the rows; nothing is stored."""
        records: list[Outgoing] = []
        for at in range(0, len(lines), _SLICE):
            async with self._backend.slices.one():
                records += self._records(rows.of(lines[at : at + _SLICE]))
        self.good += len(records)
        return records

    def _records(self, rows: Iterable[tuple[int, object]]) -> Iterator[Outgoing]:
        for number, row in rows:
            try:
                command = self._command(row)
            except ValueError as error:
                self._refuse(number, reason_of(error))
                continue
            if why := self._wishes.difference(number, command):
                self._refuse(number, why)
            if not why or command["blocked"]:
                key, value = str(command["recipient"]).encode(), orjson.dumps(command)
                yield Outgoing(self._backend.topics.consent_commands, key, value)

    def _refuse(self, number: int, why: str) -> None:
        self.bad += 1
        if self.bad <= _MOST_NAMED:
            self.errors.append({"row": number, "error": why})

    def _command(self, row: object) -> JsonObject:
        if isinstance(row, dict) and row.get("account_sid") not in (None, "", self._account):
            raise ValueError("account_sid: belongs to another account")
        if isinstance(row, dict):
            row.pop("actor", None)  # the actor is the sender of the file
            for column in ("messaging_service_sid", "service_sid"):
                # A deleted service may be named: its blocks remain.
                service = self._backend.configuration.services.get(str(row.get(column)))
                if service and service.head.account_sid != self._account:
                    raise ValueError(f"{column}: no service of this account")
        return command_of(row, self._defaults, import_id=self.import_id, country=self._country)
