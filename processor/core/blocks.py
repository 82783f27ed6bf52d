"""The block list's entries: an entry says what one account may not send to one recipient (R18)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, assert_never

from processor.core.messages import Scope
from processor.core.values import value


class Mark(NamedTuple):
    """A write to a partition's block list; later writes compare greater."""

    epoch: int  # of the partition's owner, in ms; every new owner gets a greater one
    counter: int  # goes up by one with each of the owner's writes

    def __str__(self) -> str:
        """Write the text form, as topics and headers carry it."""
        return f"{self.epoch}-{self.counter}"

    @classmethod
    def parse(cls, text: str) -> Mark:
        """Read the text form.

        Raises:
            ValueError: the text is not a mark.
        """
        epoch, counter = text.split("-")
        return cls(int(epoch), int(counter))


NO_MARK = Mark(0, 0)


@dataclass(frozen=True, slots=True)
class ConfigView:
    """The configuration that a decision uses: how far its reader had read."""

    topic_id: str  # of `messaging-services`
    position: int  # the offset behind the last record read

    def __str__(self) -> str:
        """Write the text form, as the list stores it."""
        return f"{self.topic_id}:{self.position}"

    @classmethod
    def parse(cls, text: str) -> ConfigView:
        """Read the text form."""
        topic_id, _, position = text.rpartition(":")
        return cls(topic_id, int(position))


MOST_BLOCKS = 100  # of an entry (R18)


class SourceKind(StrEnum):
    """The kinds of cause of a block; a block has at most one source of each kind."""

    KEYWORD = "keyword"  # the recipient's own word
    OWN_WORDS = "own-words"  # the recipient's text, which is not a keyword (R30)
    UNREAD_STOP = "unread-stop"  # a STOP that could not be decided on
    COMMAND = "command"  # an operator, an application, an import
    REVIEW = "review"  # a person read the recipient's message (R30)
    SIGNAL = "signal"  # a carrier's report (R38)
    UNREADABLE = "unreadable"  # the stored entry cannot be read: blocked until an operator acts


OF_MESSAGES = frozenset({SourceKind.KEYWORD, SourceKind.OWN_WORDS, SourceKind.UNREAD_STOP})
"""Kinds that come from the topic of inbound messages; the others are commands."""
OF_RECIPIENTS = OF_MESSAGES | {SourceKind.SIGNAL}
"""Kinds that the recipient caused: a command that lifts one of them needs a reason (R29)."""


@value(frozen=True, slots=True)
class Source:
    """One cause of a block."""

    kind: SourceKind
    change_id: str  # of the change that added it
    since_ms: int  # when the record that caused it was appended
    last_ms: int  # when a record of this kind last asked for the block


@dataclass(frozen=True, slots=True)
class Intents:
    """The sends that a block stops, by their intent (R34); by default all.

    At most one of the two is given.
    """

    only: frozenset[str] | None = None  # the block stops these intents
    but: frozenset[str] = frozenset()  # the block stops all other intents


ALL_INTENTS = Intents()


@value(frozen=True, slots=True)
class Block:
    """Keeps messages away from a recipient in one place, and lists every cause."""

    scope: Scope
    target: str  # the service's sid, the sender's address, "" for an account
    carrier: bool  # the toll-free network's own block on (sender, recipient), beside ours (R20)
    sources: tuple[Source, ...]  # at least one; the oldest first
    mark: Mark  # of the last write that changed it
    intents: Intents = ALL_INTENTS
    locked: bool = False  # lifted neither by the recipient nor by a plain command (R35)

    @property
    def place(self) -> Place:
        """The place of this block in its entry; a place has one block."""
        return Place(self.scope, self.target, self.carrier)

    def source(self, kind: SourceKind) -> Source | None:
        """The cause of this kind, or None."""
        return next((source for source in self.sources if source.kind is kind), None)

    @property
    def since_ms(self) -> int:
        """When the recipient was first blocked here."""
        return self.sources[0].since_ms

    @property
    def change_id(self) -> str:
        """The change that blocked the recipient here: the oldest that has not been lifted."""
        return self.sources[0].change_id


class Place(NamedTuple):
    """A place for one block in an entry."""

    scope: Scope
    target: str
    carrier: bool = False


@dataclass(frozen=True, slots=True)
class Names:
    """The other addresses of an entry's person, as subscriber keys (R32).

    At most one of the two is given: a user id has a link, a number has ids.
    """

    link: str | None = None  # the number whose entry has the person's blocks
    ids: tuple[str, ...] = ()  # user ids whose blocks are merged into this entry


NO_NAMES = Names()
Blocks = tuple[Block, ...]


class Stored(NamedTuple):
    """An entry of the list."""

    blocks: Blocks
    names: Names = NO_NAMES


def linked_blocks(own: Blocks, of_number: Stored, id_: str) -> Blocks:
    """The blocks of a user id that has a link: its number's, and its own until they are merged.

    Args:
        own: from before the link, in the id's entry.
        of_number: the number's entry.
        id_: the user id.
    """
    return of_number.blocks if id_ in of_number.names.ids else (*of_number.blocks, *own)


ACCOUNT = Place(Scope.ACCOUNT, "")
UNREADABLE = Block(*ACCOUNT, (Source(SourceKind.UNREADABLE, SourceKind.UNREADABLE, 0, 0),), NO_MARK)
"""Replaces an entry that cannot be read, and blocks the whole account."""


def place_for(scope: Scope, *, service_sid: str | None, sender: str | None) -> Place:
    """The place for a block of a scope; a sender outside any service has its own pair (R21).

    Raises:
        ValueError: the scope needs a service or a sender, and neither is named.
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
    """The scope of a change: as stated, else that of the named service or sender.

    Raises:
        ValueError: the change names both but states no scope, and the default is account.
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

    A send without a sender yet is covered by account and service blocks only.
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
