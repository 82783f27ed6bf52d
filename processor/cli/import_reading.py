"""Reading the rows of a file to import, and naming those that are refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import click

from processor.json_types import JsonObject
from processor.wire.block_rows import reason_of
from processor.wire.wishes import Wishes


class Reading:
    """Makes commands of rows, and counts the rows.

    Args:
        name: of the file.
        make: makes a command.
    """

    def __init__(self, name: str, make: Callable[[object], JsonObject]) -> None:
        self._name = name
        self._make = make
        self._wishes = Wishes()
        self.good = self.bad = 0

    def commands(self, rows: Iterable[tuple[int, object]]) -> Iterator[JsonObject]:
        """The commands of rows; refused rows go to standard error, each with its reason."""
        for _, _, command in self._read(rows):
            yield command

    def show(self, rows: Iterable[tuple[int, object]]) -> None:
        """Print what each row would become."""
        for number, row, command in self._read(rows):
            said = row.get("recipient") if isinstance(row, dict) else None
            what = "block" if command["blocked"] else "unblock"
            place = command.get("messaging_service_sid") or command.get("sender") or ""
            channel = "whatsapp:" if command.get("channel_group") == "whatsapp" else ""
            click.echo(
                f"{self._name}:{number}: {said!r} is {channel}{command['recipient']}: "
                f"{what} {command['account_sid']} {command['scope']} {place}".rstrip()
            )

    def _read(self, rows: Iterable[tuple[int, object]]) -> Iterator[tuple[int, object, JsonObject]]:
        for number, row in rows:
            try:
                command = self._make(row)
            except ValueError as error:
                self._refuse(number, reason_of(error))
                continue
            if why := self._wishes.difference(number, command):
                self._refuse(number, why)
            if not why or command["blocked"]:
                self.good += 1
                yield number, row, command

    def _refuse(self, number: int, why: str) -> None:
        self.bad += 1
        click.echo(f"{self._name}:{number}: {why}", err=True)
