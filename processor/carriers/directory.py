"""Which carrier serves a sender of an account."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from processor.carriers.adapter import Connection, Sender
from processor.core.messages import channel_group_of, sender_type_of


class Carriers:
    """Every carrier by its name and by its senders; ``change`` updates it in place."""

    def __init__(self, connections: Iterable[Connection] = ()) -> None:
        self._connections: dict[str, Connection] = {}
        self._serving: dict[tuple[str, str], tuple[Connection, Sender]] = {}
        self.change({one.name: one for one in connections})

    def __bool__(self) -> bool:
        """Whether there is a carrier at all."""
        return bool(self._connections)

    def change(self, changed: Mapping[str, Connection | None]) -> None:
        """Put, replace or remove carriers, by name."""
        for name, connection in changed.items():
            if before := self._connections.pop(name, None):
                for sender in before.senders.values():
                    self._serving.pop((sender.account_sid, sender.address), None)
            if connection is not None:
                self._connections[name] = connection
        for connection in self._connections.values():  # one may have got what another gave up
            for sender in connection.senders.values():
                place = sender.account_sid, sender.address
                self._serving.setdefault(place, (connection, sender))

    def get(self, name: str) -> Connection | None:
        """A carrier."""
        return self._connections.get(name)

    def all(self) -> list[Connection]:
        """Every carrier, by name."""
        return [self._connections[name] for name in sorted(self._connections)]

    def serving(self, account_sid: str, address: str) -> tuple[Connection, Sender] | None:
        """The carrier of an account's sender; None if it has none."""
        return self._serving.get((account_sid, address))

    def one_of(
        self, account_sid: str, addresses: Iterable[str], recipient: str
    ) -> tuple[Connection, Sender] | None:
        """Choose the sender for a message that names none: always the same for a recipient.

        Args:
            account_sid: of the message.
            addresses: that may send it.
            recipient: its channel decides which of them can.
        """
        group = channel_group_of(recipient)
        found = [
            served
            for address in sorted(addresses)
            if channel_group_of(address) is group and (served := self.serving(account_sid, address))
        ]
        # Numbers of people end in digits that are spread evenly.
        return found[_spread(recipient) % len(found)] if found else None


def _spread(recipient: str) -> int:
    return int("0" + "".join(letter for letter in recipient[-6:] if letter.isdigit()))


def may_answer(address: str) -> bool:
    """Whether providers answer keywords to such a sender by themselves: on WhatsApp they do not."""
    return sender_type_of(address).value not in ("whatsapp", "rcs")
