"""The block list as a value: what is on it for one recipient, and which sends that stops (R21)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

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
MOST_BLOCKS = 100  # of one account on one recipient (R18)
FULL = f"the recipient has {MOST_BLOCKS} blocks of this account, the most there may be; lift some"


@dataclass(frozen=True, slots=True)
class Block:
    """One entry of a recipient: who may not write to them, since when, and because of what."""

    account_sid: str
    scope: Scope
    target: str  # the service's sid, the sender's address, "" for an account
    carrier: bool  # the toll-free network's own block on (sender, recipient), beside ours (R20)
    since_ms: int  # when the record that made it was appended
    change_id: str
    mark: Mark
    by_keyword: bool = True  # made by the recipient's own word; else by a command

    @property
    def place(self) -> Place:
        """What makes this entry the same as another: at most one stands in a place."""
        return Place(self.account_sid, self.scope, self.target, self.carrier)


class Place(NamedTuple):
    """Where on a recipient's list a block stands."""

    account_sid: str
    scope: Scope
    target: str
    carrier: bool = False


Blocks = tuple[Block, ...]


def place_for(
    scope: Scope, *, account_sid: str, service_sid: str | None, sender: str | None
) -> Place:
    """Where a block of a scope stands; a sender outside any service uses its own pair (R21).

    Raises:
        ValueError: where the scope needs a service or a sender and neither is named.
    """
    if scope is Scope.ACCOUNT:
        return Place(account_sid, scope, "")
    if scope is Scope.SERVICE and service_sid is not None:
        return Place(account_sid, scope, service_sid)
    if sender is None:
        raise ValueError(f"a block of scope {scope} names no sender")
    return Place(account_sid, Scope.SENDER, sender)


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


def stops(block: Block, *, account_sid: str, service_sid: str | None, sender: str | None) -> bool:
    """Whether a block covers a send from this sender of this service.

    A send that has no sender yet is covered by account and service blocks only.
    """
    if block.account_sid != account_sid:
        return False
    match block.scope:
        case Scope.ACCOUNT:
            return True
        case Scope.SERVICE:
            return block.target == service_sid
        case Scope.SENDER:
            return block.target == sender
