"""An entry of the block list: what one account may not send to one recipient (R18, R21)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, assert_never

from processor.core.messages import Scope


class Mark(NamedTuple):
    """Which write to a partition's block list; later writes compare greater."""

    epoch: int  # of the partition's owner, in ms; grows with every owner
    counter: int  # one up with each of its writes

    def __str__(self) -> str:
        """The text form that topics and headers carry."""
        return f"{self.epoch}-{self.counter}"

    @classmethod
    def parse(cls, text: str) -> Mark:
        """Read the text form.

        Raises:
            ValueError: where the text is none.
        """
        epoch, counter = text.split("-")
        return cls(int(epoch), int(counter))


NO_MARK = Mark(0, 0)


@dataclass(frozen=True, slots=True)
class ConfigView:
    """Which configuration something is decided under: how far its reader was."""

    topic_id: str  # of `messaging-services`
    position: int  # the offset behind the last record read

    def __str__(self) -> str:
        """The text form that the list keeps."""
        return f"{self.topic_id}:{self.position}"

    @classmethod
    def parse(cls, text: str) -> ConfigView:
        """Read the text form."""
        topic_id, _, position = text.rpartition(":")
        return cls(topic_id, int(position))


MOST_BLOCKS = 100  # of an entry (R18)


class SourceKind(StrEnum):
    """What may cause a block; at most one source of each kind stands in a block."""

    KEYWORD = "keyword"  # the recipient's own word
    UNREAD_STOP = "unread-stop"  # a STOP that could not be decided on
    COMMAND = "command"  # an operator, an application, an import
    REVIEW = "review"  # a person who read what the recipient wrote (R30)
    SIGNAL = "signal"  # what a carrier reports (R38)
    UNREADABLE = "unreadable"  # the stored entry cannot be read: blocked until somebody looks


OF_MESSAGES = frozenset({SourceKind.KEYWORD, SourceKind.UNREAD_STOP})
"""Kinds that come from the topic of inbound messages; the others are commands."""
OF_RECIPIENTS = OF_MESSAGES | {SourceKind.SIGNAL}
"""Kinds that the recipient made: a command that lifts one needs a reason (R29)."""


@dataclass(frozen=True, slots=True)
class Source:
    """One cause of a block."""

    kind: SourceKind
    change_id: str  # of the change that added it
    since_ms: int  # when the record that caused it was appended
    last_ms: int  # when the same kind asked for the block last


@dataclass(frozen=True, slots=True)
class Intents:
    """Which sends a block stops, by their intent (R34); as a rule all.

    At most one of the two is given.
    """

    only: frozenset[str] | None = None  # just these
    but: frozenset[str] = frozenset()  # all except these


ALL_INTENTS = Intents()


@dataclass(frozen=True, slots=True)
class Block:
    """What keeps messages away from a recipient in one place, and every cause of it."""

    scope: Scope
    target: str  # the service's sid, the sender's address, "" for an account
    carrier: bool  # the toll-free network's own block on (sender, recipient), beside ours (R20)
    sources: tuple[Source, ...]  # at least one; the oldest first
    mark: Mark  # of the write that changed it last
    intents: Intents = ALL_INTENTS
    locked: bool = False  # lifted neither by the recipient nor by a plain command (R35)

    @property
    def place(self) -> Place:
        """Where it stands: one place holds one block."""
        return Place(self.scope, self.target, self.carrier)

    def source(self, kind: SourceKind) -> Source | None:
        """The cause of a kind, if there is one."""
        return next((source for source in self.sources if source.kind is kind), None)

    @property
    def since_ms(self) -> int:
        """Since when the recipient is blocked here."""
        return self.sources[0].since_ms

    @property
    def change_id(self) -> str:
        """The change that blocked the recipient here, of those whose causes still stand."""
        return self.sources[0].change_id


class Place(NamedTuple):
    """Where in an entry a block stands."""

    scope: Scope
    target: str
    carrier: bool = False


Blocks = tuple[Block, ...]
ACCOUNT = Place(Scope.ACCOUNT, "")
UNREADABLE = Block(*ACCOUNT, (Source(SourceKind.UNREADABLE, SourceKind.UNREADABLE, 0, 0),), NO_MARK)
"""Stands for an entry that cannot be read."""


def place_for(scope: Scope, *, service_sid: str | None, sender: str | None) -> Place:
    """Where a block of a scope stands; a sender outside any service uses its own pair (R21).

    Raises:
        ValueError: where the scope needs a service or a sender and neither is named.
    """
    if scope is Scope.ACCOUNT:
        return ACCOUNT
    if scope is Scope.SERVICE and service_sid is not None:
        return Place(scope, service_sid)
    if sender is None:
        raise ValueError(f"a block of scope {scope} names no sender")
    return Place(Scope.SENDER, sender)


def scope_for(
    said: Scope | None, *, service_sid: str | None, sender: str | None, default: Scope
) -> Scope:
    """The scope of a change: as it says, else of the service or the sender that it names.

    Raises:
        ValueError: where it names both, says none, and the default is neither's.
    """
    if said is not None:
        return said
    if service_sid and sender:
        if default is not Scope.ACCOUNT:
            return default
        raise ValueError("scope: a service and a sender are named; say which is meant")
    return Scope.SENDER if sender else Scope.SERVICE if service_sid else default


def stops(block: Block, *, service_sid: str | None, sender: str | None) -> bool:
    """Whether a block covers a send from this sender of this service.

    A send that has no sender yet is covered by account and service blocks only.
    """
    match block.scope:
        case Scope.ACCOUNT:
            return True
        case Scope.SERVICE:
            return block.target == service_sid
        case Scope.SENDER:
            return block.target == sender
        case _:
            assert_never(block.scope)
