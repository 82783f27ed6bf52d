"""Decide what a keyword or a command changes on one recipient's block list, and what it emits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never

from processor.core import toll_free
from processor.core.addresses import subscriber_key
from processor.core.blocks import (
    ACCOUNT,
    MOST_BLOCKS,
    NO_MARK,
    OF_MESSAGES,
    OF_RECIPIENTS,
    Block,
    Mark,
    Place,
    Source,
    SourceKind,
    place_for,
    stops,
)
from processor.core.events import (
    BlockChange,
    Cause,
    Event,
    OptOutNotification,
    ReplySend,
    ReplySent,
    SuspectedOptOut,
    WebhookDelivery,
)
from processor.core.identity import change_id_of, reply_sid_of
from processor.core.merging import differs, merged, without
from processor.core.messages import (
    Arrival,
    ChannelGroup,
    ConsentCommand,
    InboundMessage,
    OptOutType,
    Scope,
    UnreadStop,
    channel_group_of,
)
from processor.core.order import blocked_ms, lifts, said_ms
from processor.core.policy import Match, OptOutConfig
from processor.core.services import Handling
from processor.core.suspected import Finding
from processor.core.values import value

_YES = "yes"
_OF_REVIEWS = frozenset({SourceKind.REVIEW, SourceKind.OWN_WORDS})
FULL = f"the recipient has {MOST_BLOCKS} blocks of this account, the most there may be; lift some"
LOCKED = "the block is locked"
NO_REASON = "the recipient made this block: to lift it, give a reason"

Entry = Mapping[Place, Block]
"""The blocks of one account on one recipient, the oldest first."""


@value(frozen=True, slots=True)
class Decision:
    """The events in the order they are emitted; applying its changes gives the new entry."""

    events: tuple[Event, ...] = ()
    repeated: tuple[Block, ...] = ()  # blocks asked for again: only the time is new
    refused: str | None = None  # why a command becomes a dead letter


def decide(
    message: InboundMessage,
    match: Match,
    handling: Handling,
    blocks: Entry,
    *,
    country: str | None,
    replied: int = 0,
    scope: Scope,
    mark: Mark,
) -> Decision:
    """Decide what a keyword does (R18 to R21, R37, R42).

    Args:
        message: as received.
        match: the keyword that the body is.
        handling: of the message's account, service and sender.
        blocks: of the message's account on the recipient, in the message's channel group.
        country: the recipient's, ISO 3166-1 alpha-2, or None.
        replied: replies of this kind to the recipient by this sender, in the hour before.
        scope: of new blocks, a setting.
        mark: of the write that will store this decision.
    """
    conversation = _Conversation(message, match, handling, blocks, country, replied, scope, mark)
    match match.kind:
        case OptOutType.STOP:
            return conversation.stop()
        case OptOutType.START:
            return conversation.start()
        case OptOutType.HELP:
            return conversation.help()
        case _:
            assert_never(match.kind)


def ordinary(message: InboundMessage, handling: Handling) -> tuple[Event, ...]:
    """The events of a message that is not a keyword: a webhook request, if configured (R28)."""
    return _delivery(message, handling, None)


def report(
    message: InboundMessage, finding: Finding, handling: Handling, *, country: str | None
) -> Decision:
    """Report a text that a person must review: it changes nothing, and it is not a match (R30)."""
    reported = _reported(message, finding, handling, country)
    return Decision((reported, *_delivery(message, handling, None, finding)))


def _reported(
    message: InboundMessage, finding: Finding, handling: Handling, country: str | None
) -> SuspectedOptOut:
    return SuspectedOptOut(
        message=message,
        service_sid=handling.service_sid,
        finding=finding,
        country=country,
        aoo_enabled=handling.aoo_enabled,
        config_version=handling.config_version,
    )


def _delivery(
    message: InboundMessage,
    handling: Handling,
    kind: OptOutType | None,
    finding: Finding | None = None,
) -> tuple[Event, ...]:
    webhook = handling.webhook
    if webhook is None:
        return ()
    return (WebhookDelivery(message, handling.service_sid, webhook, kind, finding),)


def decide_command(command: ConsentCommand, blocks: Entry, *, mark: Mark) -> Decision:
    """Decide on an operator's change: it overrules a STOP, but not a carrier's block (R29)."""
    assert command.arrival is not None, "a command is decided on once it was read"
    place = place_for(command.scope, service_sid=command.service_sid, sender=command.sender)
    changing = _Changing(
        cause=Cause(
            command.command_id,
            None,
            None,
            command.sender,
            command.source,
            command.reason,
            command.claimed_ms,
            command.claimed_source,
            command.actor,
            command.message_sid,
        ),
        kind=kind_of(command),
        whose=(command.account_sid,),
        account_sid=command.account_sid,
        recipient=command.person,
        channel_group=command.channel_group,
        arrival=command.arrival,
        mark=mark,
        blocks=blocks,
    )
    there = blocks.get(place)
    if command.blocked:
        if there is None and len(blocks) >= MOST_BLOCKS:
            return Decision(refused=FULL)
        return changing.block([place]).decision()
    if there is None:
        return Decision()
    if there.locked:
        return Decision(refused=LOCKED)
    lifted = changing.lifted(
        there, said_ms(command.arrival), lambda source: _may_lift(command, source)
    )
    if not (command.reason or "").strip() and any(
        source.kind in OF_RECIPIENTS for source in lifted
    ):
        return Decision(refused=NO_REASON)
    return changing.lift([(there, lifted)]).decision()


def refusal_of(command: ConsentCommand, blocks: Entry) -> str | None:
    """Why a command would be refused if it arrived next, or None."""
    latest_ms = max((one.last_ms for block in blocks.values() for one in block.sources), default=0)
    arrived = replace(command, arrival=Arrival(latest_ms + 60_000))
    return decide_command(arrived, blocks, mark=NO_MARK).refused


def kind_of(command: ConsentCommand) -> SourceKind:
    """The kind of source a command adds: a person's review of a message, or a plain command."""
    return SourceKind.REVIEW if command.source == SourceKind.REVIEW else SourceKind.COMMAND


def _may_lift(command: ConsentCommand, source: Source) -> bool:
    """Whether a command may lift a source: a review undoes only what own words caused (R30)."""
    return kind_of(command) is not SourceKind.REVIEW or source.kind in _OF_REVIEWS


def decide_unread(stop: UnreadStop, blocks: Entry, *, mark: Mark) -> Decision:
    """Block the account for a STOP that cannot be decided on; send no reply."""
    changing = _Changing(
        cause=Cause(stop.id, None, None, stop.sender, SourceKind.UNREAD_STOP),
        kind=SourceKind.UNREAD_STOP,
        whose=(stop.account_sid, stop.recipient),
        account_sid=stop.account_sid,
        recipient=stop.person,
        channel_group=stop.channel_group,
        arrival=stop.arrival,
        mark=mark,
        blocks=blocks,
    )
    return changing.block([ACCOUNT]).decision()


@dataclass(slots=True)
class _Changing:
    """Collects what one cause does to an entry: changes, and blocks that it only repeats."""

    cause: Cause
    kind: SourceKind
    whose: tuple[str, ...]  # distinguish causes that have the same id
    account_sid: str
    recipient: str
    channel_group: ChannelGroup
    arrival: Arrival
    mark: Mark
    blocks: Entry
    changes: list[BlockChange] = field(default_factory=list)
    repeated: list[Block] = field(default_factory=list)

    def decision(self) -> Decision:
        return Decision(tuple(self.changes), tuple(self.repeated))

    def block(self, places: Sequence[Place]) -> _Changing:
        """Block in places; a place that is blocked already gets another cause (R18).

        The limit on blocks refuses nothing: in a full entry, one block of the account replaces all
        blocks of services and senders. The carrier's own blocks stay. A new carrier block is left
        out where carrier and locked blocks would leave no room for the account's block.
        """
        if len(self.blocks) >= MOST_BLOCKS - 1 and self._fixed() >= MOST_BLOCKS - 1:
            places = [place for place in places if not place.carrier or place in self.blocks]
        new = [place for place in places if place not in self.blocks]
        if len(self.blocks) + len(new) <= MOST_BLOCKS:
            for place in places:
                self._put(place)
            return self
        replaced = [
            block
            for place, block in self.blocks.items()
            if not place.carrier and not block.locked and place != ACCOUNT
        ]
        for block in replaced:
            self._change(block.place, None)
        self._put(ACCOUNT, replaced)
        for place in places:
            if place.carrier:
                self._put(place)
        return self

    def _fixed(self) -> int:
        """How many blocks no other may replace."""
        return sum(block.carrier or block.locked for block in self.blocks.values())

    def _put(self, place: Place, replaced: Sequence[Block] = ()) -> None:
        at_ms = blocked_ms(self.arrival)
        there = self.blocks.get(place)
        source = there.source(self.kind) if there else None
        if source:
            source = replace(source, last_ms=max(source.last_ms, at_ms))
        else:
            source = Source(self.kind, self._id(place), at_ms, at_ms)
        block = Block(*place, (source,), self.mark)
        for other in (*replaced, *([there] if there else ())):
            block = merged(block, other)
        if there is None or differs(block, there):
            self._change(place, block)
        elif block.sources != there.sources:
            self.repeated.append(replace(block, mark=there.mark))

    def lifted(
        self, block: Block, late_ms: int | None, may: Callable[[Source], bool]
    ) -> list[Source]:
        """The sources of a block that this cause lifts: those older than the cause (R19, R23)."""
        if block.locked:
            return []
        by_message = self.kind in OF_MESSAGES
        return [
            source
            for source in block.sources
            if may(source) and lifts(source, self.arrival, said_ms=late_ms, by_message=by_message)
        ]

    def lift(self, lifted: Sequence[tuple[Block, Sequence[Source]]]) -> _Changing:
        """Take sources off blocks; a block without sources is removed."""
        for block, sources in lifted:
            if sources:
                left = without(block, sources)
                self._change(block.place, left and replace(left, mark=self.mark))
        return self

    def _change(self, place: Place, block: Block | None) -> None:
        self.changes.append(
            BlockChange(
                change_id=self._id(place),
                account_sid=self.account_sid,
                place=place,
                recipient=self.recipient,
                channel_group=self.channel_group,
                block=block,
                cause=self.cause,
                mark=self.mark,
                at_ms=blocked_ms(self.arrival),
                previous=place in self.blocks,
            )
        )

    def _id(self, place: Place) -> str:
        return change_id_of(self.cause.id, place, *self.whose)


@dataclass(slots=True)  # not frozen: a frozen one takes three times as long to make
class _Conversation:
    message: InboundMessage
    match: Match
    handling: Handling
    blocks: Entry
    country: str | None
    replied: int
    scope: Scope
    mark: Mark

    def stop(self) -> Decision:
        ours = place_for(
            self.scope, service_sid=self.handling.service_sid, sender=self.message.sender
        )
        wanted = [ours]
        network = self._network_answers and toll_free.network_blocks(self.match, self.message.body)
        if network:
            wanted.append(self._carrier_place)
        changing = self._changing().block(wanted)
        # Reply only if the STOP widens the block, or is the block's first recorded keyword (R18).
        widens = not self._was_said_plainly(ours) and any(
            change.block and not change.place.carrier for change in changing.changes
        )
        if network:
            reply_sent = ReplySent.CARRIER
        elif widens or self._config.repeat_reply or self._confirms_always:
            reply_sent = self._ours
        else:
            reply_sent = ReplySent.NONE
        return self._decision(changing, reply_sent, brakes=not widens)

    def start(self) -> Decision:
        stopping = [block for block in self.blocks.values() if self._stops(block)]
        is_yes = self.match.key == _YES
        if not stopping and (self._is_button or (is_yes and self._config.yes_only_when_blocked)):
            return Decision(ordinary(self.message, self.handling))  # (R3, R19)
        changing = self._changing()
        if any(
            block.place == self._carrier_place for block in stopping
        ) and not toll_free.network_unblocks(self.message.body):
            return self._decision(changing, ReplySent.NONE, effective=False)

        def may(source: Source) -> bool:
            if is_yes:
                return source.kind is SourceKind.KEYWORD
            return source.kind is not SourceKind.UNREADABLE

        late_ms = said_ms(self.message.arrival, self.message.received_at_ms)
        lifted = [(block, changing.lifted(block, late_ms, may)) for block in stopping]
        changing.lift(lifted)
        if any(len(sources) < len(block.sources) for block, sources in lifted):
            return self._decision(changing, ReplySent.NONE, effective=False)
        return self._decision(changing, self._ours)

    def help(self) -> Decision:
        silent = any(self._stops(block) for block in self.blocks.values()) and (
            self.handling.sender_type not in self._config.help_when_blocked
        )
        return self._decision(self._changing(), ReplySent.NONE if silent else self._ours)

    def _was_said_plainly(self, place: Place) -> bool:
        """Whether other words follow a keyword that blocked already: they add nothing to it."""
        there = self.blocks.get(place) if self.match.finding else None
        return there is not None and there.source(SourceKind.KEYWORD) is not None

    @property
    def _config(self) -> OptOutConfig:
        return self.handling.policy.config if self.handling.policy else OptOutConfig()

    @property
    def _is_button(self) -> bool:
        """Whether a button of an RCS chat sent it: default handling has no other overrides (R3)."""
        return self.match.country is not None and not self.handling.aoo_enabled

    @property
    def _confirms_always(self) -> bool:
        return self.handling.sender_type in self._config.stop_when_blocked

    @property
    def _network_answers(self) -> bool:
        return toll_free.network_answers(self.handling.sender_type, self.country)

    @property
    def _carrier_place(self) -> Place:
        return Place(Scope.SENDER, self.message.sender, carrier=True)

    @property
    def _ours(self) -> ReplySent:
        return ReplySent.AOO if self.handling.aoo_enabled else ReplySent.DEFAULT

    def _stops(self, block: Block) -> bool:
        return stops(block, service_sid=self.handling.service_sid, sender=self.message.sender)

    def _changing(self) -> _Changing:
        message, match = self.message, self.match
        kind = SourceKind.OWN_WORDS if match.finding else SourceKind.KEYWORD
        return _Changing(
            cause=Cause(
                message.message_sid,
                match.kind,
                match.keyword,
                message.sender,
                kind,
            ),
            kind=kind,
            whose=(message.account_sid, message.recipient, message.sender),
            account_sid=message.account_sid,
            recipient=subscriber_key(message.person),
            channel_group=channel_group_of(message.person),
            arrival=message.arrival,
            mark=self.mark,
            blocks=self.blocks,
        )

    def _decision(
        self,
        changing: _Changing,
        reply_sent: ReplySent,
        *,
        effective: bool = True,
        brakes: bool = True,
    ) -> Decision:
        message, handling, match = self.message, self.handling, self.match
        events: list[Event] = [*changing.changes]
        if message.carrier_replied:  # a second reply would say the same again (R42)
            reply_sent = ReplySent.CARRIER
        ours = reply_sent is self._ours
        braked = ours and brakes and self.replied >= self._config.reply_limit
        if braked:
            reply_sent = ReplySent.NONE
        elif ours:
            events.append(
                ReplySend(
                    reply_sid=reply_sid_of(message),
                    message=message,
                    service_sid=handling.service_sid,
                    body=match.reply,
                    kind=match.kind,
                    language=match.language,
                    late_reply=self._config.late_reply,
                )
            )
        events.append(
            OptOutNotification(
                message=message,
                service_sid=handling.service_sid,
                match=match,
                effective=effective,
                reply_sent=reply_sent,
                aoo_enabled=handling.aoo_enabled,
                config_version=handling.config_version,
                braked=braked,
            )
        )
        kind = match.kind if handling.aoo_enabled else None
        if match.finding:
            events.append(_reported(message, match.finding, handling, self.country))
        events += _delivery(message, handling, kind, match.finding)
        return Decision(tuple(events), tuple(changing.repeated))
