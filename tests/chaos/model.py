"""The second model: the required results of the inbound topic, recipient by recipient.

It uses the world's keyword tables and the written rules, and shares no code with the processor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.chaos.application import Delivery
from tests.chaos.limits import BLOCKS
from tests.chaos.seen import At, Change, Command, Message, Notification, Reply, Report, place_of
from tests.chaos.world import SHOP_TOLL_FREE, TOLL_FREE, Way, Word, way

_ACCOUNT = "account"
_KEYWORD, _WORDS, _UNREAD, _COMMAND = "keyword", "own-words", "unread-stop", "command"
_NETWORKS = (TOLL_FREE, SHOP_TOLL_FREE)
_HOUR_MS, _REPLIES = 3_600_000, 4  # of a kind, by one sender


@dataclass(slots=True)
class Story:
    """The actual or required results of one recipient's messages to one account, in order."""

    changes: list[Change] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    notifications: list[Notification] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)  # that applications are due
    blocked: frozenset[str] = frozenset()  # places, at the end
    put_aside: list[At] = field(default_factory=list)  # commands without room in the entry


Sources = dict[str, int]  # kind of cause to the time of its last record


class Entry:
    """One recipient's blocks in one account, and their story."""

    def __init__(self, scope: str) -> None:
        self.story = Story()
        self._scope = scope
        self._blocks: dict[str, Sources] = {}  # by place; the last change comes last
        self._handled: set[tuple[str, str]] = set()
        self._replied: dict[tuple[str, str], list[int]] = {}  # by sender and kind, when

    def take(self, message: Message) -> None:
        """A message arrives (R3, R18 to R22, R28)."""
        its = way(message.account, message.sender)
        if message.put_aside is not None:
            if message.put_aside:
                self._block(message.put_aside, "", _ACCOUNT, _UNREAD, message.came_ms)
            return
        word, other = its.word(message.body), its.other(message.body)
        if word is None and other is None:
            self._deliver(message, its, None)
            return
        if (message.sid, message.sender) in self._handled:
            return
        self._handled.add((message.sid, message.sender))
        if word is None:
            self._in_other_words(message, its, other or "")
            return
        stopping = [place for place in self._blocks if place in places_of(its, message.sender)]
        if message.body == "Yes" and its.yes_only_when_blocked and not stopping:
            self._deliver(message, its, None)
            return
        match word[0]:
            case "STOP":
                self._stop(message, its, word)
            case "START":
                self._start(message, its, word, stopping)
            case _:
                answers = not stopping or message.sender in its.help_when_blocked
                self._notify(message, its, word, replies=answers)

    def _in_other_words(self, message: Message, its: Way, tier: str) -> None:
        """A text that asks for an end and is not a keyword: a phrase blocks (R30)."""
        blocks = tier == "phrase"
        policy = "block" if blocks else "report"
        self.story.reports.append((message.sid, message.sender, tier, policy, not blocks))
        if blocks:
            self._stop(message, its, ("STOP", None), _WORDS)
        else:
            self._deliver(message, its, None)

    def carry_out(self, command: Command, at: int) -> None:
        """A command arrives for a recipient who never texts (R29)."""
        if command.blocked and command.place not in self._blocks and len(self._blocks) == BLOCKS:
            self.story.put_aside.append(command.at)
        elif command.blocked:
            self._block(command.id, "", command.place, _COMMAND, at)
        elif self._blocks.pop(command.place, None):
            self.story.changes.append((command.id, "", command.place, False, ()))

    def _stop(self, message: Message, its: Way, word: Word, kind: str = _KEYWORD) -> None:
        where = place_of(self._scope, its.service, message.sender)
        if self._scope == "service" and its.service is None:
            where = f"sender {message.sender}"
        is_bare = message.body.strip().lower() == "stop"
        by_network = message.sender in _NETWORKS and is_bare
        is_plain = kind == _WORDS and _KEYWORD in self._blocks.get(where, ())
        widens = self._block(message.sid, message.sender, where, kind, message.came_ms)
        widens = widens and not is_plain
        if by_network:
            carrier = f"carrier {message.sender}"
            self._block(message.sid, message.sender, carrier, _KEYWORD, message.came_ms)
        self._notify(
            message,
            its,
            word,
            replies=not by_network and (widens or its.repeats_reply),
            by_network=by_network,
            brakes=not widens,
        )

    def _start(self, message: Message, its: Way, word: Word, stopping: Sequence[str]) -> None:
        bare = message.body.strip().lower()
        if f"carrier {message.sender}" in stopping and bare not in ("start", "unstop"):
            self._notify(message, its, word, effective=False)
            return
        effective = True
        for place in stopping:
            before = self._blocks[place]
            left = {
                kind: last_ms
                for kind, last_ms in before.items()
                if (bare == "yes" and kind != _KEYWORD)
                or (message.late_ms is not None and last_ms > message.late_ms)
            }
            effective = effective and not left
            if left == before:
                continue
            del self._blocks[place]
            if left:
                self._blocks[place] = left
            change = (message.sid, message.sender, place, bool(left), tuple(sorted(left)))
            self.story.changes.append(change)
        self._notify(message, its, word, effective=effective, replies=effective)

    def _block(self, cause: str, sender: str, place: str, kind: str, at: int) -> bool:
        """Block in a place; return whether that changed anything."""
        sources = self._blocks.setdefault(place, {})
        is_new = kind not in sources
        sources[kind] = max(at, sources.get(kind, at))
        if is_new:
            self._blocks[place] = self._blocks.pop(place)
            self.story.changes.append((cause, sender, place, True, tuple(sorted(sources))))
        return is_new

    @property
    def blocked(self) -> frozenset[str]:
        """The places that are blocked now."""
        return frozenset(self._blocks)

    def _notify(
        self,
        message: Message,
        its: Way,
        word: Word,
        *,
        effective: bool = True,
        replies: bool = False,
        by_network: bool = False,
        brakes: bool = True,
    ) -> None:
        kind, language = word
        lately = self._replied.setdefault((message.sender, kind), [])
        lately[:] = [one for one in lately if message.came_ms - one < _HOUR_MS]
        braked = replies and brakes and len(lately) >= _REPLIES
        replies = replies and not braked
        if replies:
            lately.append(message.came_ms)
            reply = (message.sid, message.sender, kind, its.reply(word))
            self.story.replies.append(reply)
        ours = "aoo" if its.aoo else "default"
        sent = "carrier" if by_network else ours if replies else "none"
        self.story.notifications.append(
            (message.sid, message.sender, kind, effective, sent, braked, language, its.service)
        )
        self._deliver(message, its, kind if its.aoo else None)

    def _deliver(self, message: Message, its: Way, kind: str | None) -> None:
        if its.inbound:
            delivery = Delivery(
                its.inbound,
                message.account,
                message.sid,
                message.sender,
                message.recipient,
                its.service,
                (message.body, kind),
            )
            self.story.deliveries.append(delivery)


def places_of(its: Way, sender: str) -> tuple[str, ...]:
    """The places whose blocks stop a sender (R21)."""
    return _ACCOUNT, f"service {its.service}", f"sender {sender}", f"carrier {sender}"


def story_of(messages: Sequence[Message], commands: Sequence[Command], scope: str) -> Story:
    """The required results of one recipient's messages to one account, or of commands.

    Args:
        messages: in the order of their topic.
        commands: in the order of their topic; if the recipient texts, their effects are unknown.
        scope: of blocks by keyword.
    """
    entry = Entry(scope)
    for message in messages:
        entry.take(message)
    handled: set[str] = set()
    for at, command in enumerate(commands if not messages else ()):
        if command.id not in handled:
            handled.add(command.id)
            entry.carry_out(command, at)
    entry.story.blocked = entry.blocked
    return entry.story
