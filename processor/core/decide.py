"""What a matched message or a command does to one recipient's block list, and what it emits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from processor.core import toll_free
from processor.core.blocks import FULL, MOST_BLOCKS, Block, Mark, Place, place_for, stops
from processor.core.events import (
    BlockChange,
    Cause,
    Event,
    OptOutNotification,
    ReplySend,
    ReplySent,
    WebhookDelivery,
    change_id_of,
    replaced_id_of,
    reply_sid_of,
)
from processor.core.messages import (
    ConsentCommand,
    InboundMessage,
    OptOutType,
    Scope,
    UnreadStop,
    bare_number,
    channel_group_of,
)
from processor.core.order import lifts, said_ms
from processor.core.policy import Match, OptOutConfig
from processor.core.services import Handling

_YES = "yes"
UNREAD_STOP = "unread-stop"  # the source of such a change


Entry = Mapping[Place, Block]
"""The blocks of one account on one recipient, the oldest first."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The events in the order they are emitted; the list follows the changes among them."""

    events: tuple[Event, ...] = ()
    refused: str | None = None  # why a command is put aside


def decide(
    message: InboundMessage,
    match: Match,
    handling: Handling,
    blocks: Entry,
    *,
    country: str | None,
    scope: Scope,
    mark: Mark,
) -> Decision:
    """Decide what a keyword does (R18 to R21).

    Args:
        message: as received.
        match: the keyword its body is.
        handling: of the message's account, service and sender.
        blocks: of the message's account on the recipient, in the message's channel group.
        country: the recipient's, ISO 3166-1 alpha-2, or None.
        scope: of new blocks, a setting.
        mark: of the write that this decision will be part of.
    """
    conversation = _Conversation(message, match, handling, blocks, country, scope, mark)
    match match.kind:
        case OptOutType.STOP:
            return conversation.stop()
        case OptOutType.START:
            return conversation.start()
        case OptOutType.HELP:
            return conversation.help()


def ordinary(message: InboundMessage, handling: Handling) -> tuple[Event, ...]:
    """What a message that is no keyword comes to: its application is told (R28)."""
    return _delivery(message, handling, None)


def _delivery(
    message: InboundMessage, handling: Handling, kind: OptOutType | None
) -> tuple[Event, ...]:
    webhook = handling.webhook
    return (WebhookDelivery(message, handling.service_sid, webhook, kind),) if webhook else ()


def decide_command(command: ConsentCommand, blocks: Entry, *, mark: Mark) -> Decision:
    """Decide what an operator's change does: it wins over a STOP, not over a carrier (R29)."""
    assert command.arrival is not None, "a command is decided on once it was read"
    place = place_for(
        command.scope,
        account_sid=command.account_sid,
        service_sid=command.service_sid,
        sender=command.sender,
    )
    block = blocks.get(place)
    if (block is not None) == command.blocked:
        return Decision()
    if command.blocked and len(blocks) >= MOST_BLOCKS:
        return Decision(refused=FULL)
    if block and not lifts(
        block, command.arrival, said_ms=said_ms(command.arrival), by_keyword=False
    ):
        return Decision()
    change = BlockChange(
        change_id=change_id_of(command.command_id, place),
        place=place,
        recipient=command.recipient,
        channel_group=command.channel_group,
        blocked=command.blocked,
        cause=Cause(
            command.command_id,
            None,
            None,
            command.sender,
            command.source,
            command.reason,
            command.claimed_ms,
        ),
        mark=mark,
        at_ms=command.arrival.appended_ms,
        previous=not command.blocked,
    )
    return Decision((change,))


def decide_unread(stop: UnreadStop, blocks: Entry, *, mark: Mark) -> Decision:
    """A STOP that cannot be decided on blocks for the account, and nobody is answered."""
    cause = Cause(stop.id, None, None, stop.sender, UNREAD_STOP)
    place = Place(stop.account_sid, Scope.ACCOUNT, "")
    changes = [
        BlockChange(
            change_id=id_,
            place=at,
            recipient=stop.recipient,
            channel_group=stop.channel_group,
            blocked=blocked,
            cause=cause,
            mark=mark,
            at_ms=stop.arrival.appended_ms,
            previous=not blocked,
        )
        for id_, at, blocked in _room_for(stop.id, [place] if place not in blocks else [], blocks)
    ]
    return Decision(tuple(changes))


def _room_for(
    cause_id: str, wanted: Sequence[Place], blocks: Entry
) -> list[tuple[str, Place, bool]]:
    """Id, place and direction of the changes that block at places that hold no block yet.

    A STOP is never refused for number: in a full entry one block of the account replaces all of
    services and senders (R18). The carrier's own blocks stay, as long as there is room.
    """
    if len(blocks) + len(wanted) <= MOST_BLOCKS:
        return [(change_id_of(cause_id, place), place, True) for place in wanted]
    account = Place(wanted[0].account_sid, Scope.ACCOUNT, "")
    replaced = [place for place in blocks if not place.carrier and place != account]
    room = MOST_BLOCKS - len(blocks) + len(replaced) - (account not in blocks)
    if room < 0:
        replaced.append(next(place for place in blocks if place.carrier))
    new = [account] if account not in blocks else []
    new += [place for place in wanted if place.carrier][: max(0, room)]
    return [
        *((replaced_id_of(cause_id, place), place, False) for place in replaced),
        *((change_id_of(cause_id, place), place, True) for place in new),
    ]


@dataclass(frozen=True, slots=True)
class _Conversation:
    message: InboundMessage
    match: Match
    handling: Handling
    blocks: Entry
    country: str | None
    scope: Scope
    mark: Mark

    def stop(self) -> Decision:
        ours = place_for(
            self.scope,
            account_sid=self.message.account_sid,
            service_sid=self.handling.service_sid,
            sender=self.message.sender,
        )
        wanted = [ours]
        network = self._network_answers and toll_free.network_blocks(self.match, self.message.body)
        if network:
            wanted.append(self._carrier_place)
        new = [place for place in wanted if place not in self.blocks]
        there = self.blocks.get(ours)
        changes = [
            self._change(id_, place, blocked=blocked, previous=not blocked)
            for id_, place, blocked in _room_for(self.message.message_sid, new, self.blocks)
        ]
        # The first keyword for a block that a command made takes it over, and is answered.
        takes_over = there is not None and not there.by_keyword
        if takes_over and all(change.place != ours for change in changes):
            id_ = change_id_of(self.message.message_sid, ours)
            changes.insert(0, self._change(id_, ours, blocked=True, previous=True))
        if network:
            reply_sent = ReplySent.CARRIER
        elif there is None or takes_over or self._config.repeat_reply:
            reply_sent = self._ours
        else:
            reply_sent = ReplySent.NONE
        return self._decision(changes, reply_sent)

    def start(self) -> Decision:
        stopping = [block for block in self.blocks.values() if self._stops(block)]
        is_yes = self.match.key == _YES
        if is_yes and self._config.yes_only_when_blocked and not stopping:
            return Decision(ordinary(self.message, self.handling))  # (R19)
        if any(
            block.place == self._carrier_place for block in stopping
        ) and not toll_free.network_unblocks(self.message.body):
            return self._decision([], ReplySent.NONE, effective=False)
        arrival = self.message.arrival
        late_ms = said_ms(arrival, self.message.received_at_ms)
        lifted = [
            block
            for block in stopping
            if lifts(block, arrival, said_ms=late_ms, by_keyword=True)
            and (block.by_keyword or not is_yes)
        ]
        changes = [
            self._change(
                change_id_of(self.message.message_sid, block.place),
                block.place,
                blocked=False,
                previous=True,
            )
            for block in lifted
        ]
        if len(lifted) < len(stopping):
            return self._decision(changes, ReplySent.NONE, effective=False)
        return self._decision(changes, self._ours)

    def help(self) -> Decision:
        silent = any(self._stops(block) for block in self.blocks.values()) and (
            self.handling.sender_type not in self._config.help_when_blocked
        )
        return self._decision([], ReplySent.NONE if silent else self._ours)

    @property
    def _config(self) -> OptOutConfig:
        return self.handling.policy.config if self.handling.policy else OptOutConfig()

    @property
    def _network_answers(self) -> bool:
        return toll_free.network_answers(self.handling.sender_type, self.country)

    @property
    def _carrier_place(self) -> Place:
        return Place(self.message.account_sid, Scope.SENDER, self.message.sender, carrier=True)

    @property
    def _ours(self) -> ReplySent:
        return ReplySent.AOO if self.handling.aoo_enabled else ReplySent.DEFAULT

    def _stops(self, block: Block) -> bool:
        return stops(
            block,
            account_sid=self.message.account_sid,
            service_sid=self.handling.service_sid,
            sender=self.message.sender,
        )

    def _change(self, id_: str, place: Place, *, blocked: bool, previous: bool) -> BlockChange:
        message, match = self.message, self.match
        return BlockChange(
            change_id=id_,
            place=place,
            recipient=bare_number(message.recipient),
            channel_group=channel_group_of(message.recipient),
            blocked=blocked,
            cause=Cause(message.message_sid, match.kind, match.keyword, message.sender, "keyword"),
            mark=self.mark,
            at_ms=message.arrival.appended_ms,
            previous=previous,
        )

    def _decision(
        self, changes: Sequence[BlockChange], reply_sent: ReplySent, *, effective: bool = True
    ) -> Decision:
        message, handling, match = self.message, self.handling, self.match
        events: list[Event] = [*changes]
        if reply_sent is self._ours:
            events.append(
                ReplySend(
                    reply_sid=reply_sid_of(message.message_sid),
                    message=message,
                    service_sid=handling.service_sid,
                    body=match.reply,
                    kind=match.kind,
                    language=match.language,
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
            )
        )
        events += _delivery(message, handling, match.kind if handling.aoo_enabled else None)
        return Decision(tuple(events))
