"""What a matched message or a command does to one recipient's block list, and what it emits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from processor.core import toll_free
from processor.core.blocks import Block, Blocks, Mark, Place, place_for, stops
from processor.core.events import (
    BlockChange,
    Cause,
    Event,
    OptOutNotification,
    ReplySend,
    ReplySent,
    WebhookDelivery,
    change_id_of,
    reply_sid_of,
)
from processor.core.messages import (
    ConsentCommand,
    InboundMessage,
    OptOutType,
    Scope,
    bare_number,
    channel_group_of,
)
from processor.core.policy import Match, OptOutConfig
from processor.core.services import Handling

_YES = "yes"


@dataclass(frozen=True, slots=True)
class Decision:
    """The recipient's blocks afterwards, and the events in the order they are emitted."""

    blocks: Blocks
    events: tuple[Event, ...] = ()


def decide(
    message: InboundMessage,
    match: Match,
    handling: Handling,
    blocks: Blocks,
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
        blocks: every block on the recipient in the message's channel group.
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


def decide_command(command: ConsentCommand, blocks: Blocks, *, mark: Mark) -> Decision:
    """Decide what an operator's change does: it wins over a STOP, not over a carrier (R29)."""
    place = place_for(
        command.scope,
        account_sid=command.account_sid,
        service_sid=command.service_sid,
        sender=command.sender,
    )
    if (place in {block.place for block in blocks}) == command.blocked:
        return Decision(blocks)
    cause = Cause(command.command_id, None, None, command.sender, command.source, command.reason)
    change = BlockChange(
        change_id=change_id_of(command.command_id, place),
        place=place,
        recipient=command.recipient,
        channel_group=command.channel_group,
        blocked=command.blocked,
        cause=cause,
        mark=mark,
        at_ms=command.at_ms,
    )
    return Decision(_changed(blocks, change), (change,))


@dataclass(frozen=True, slots=True)
class _Conversation:
    message: InboundMessage
    match: Match
    handling: Handling
    blocks: Blocks
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
        have = {block.place for block in self.blocks}
        changes = [self._change(place, blocked=True) for place in wanted if place not in have]
        if network:
            reply_sent = ReplySent.CARRIER
        elif ours not in have or self._config.repeat_reply:
            reply_sent = self._ours
        else:
            reply_sent = ReplySent.NONE
        return self._decision(changes, reply_sent)

    def start(self) -> Decision:
        stopping = [block.place for block in self.blocks if self._stops(block)]
        if self.match.key == _YES and self._config.yes_only_when_blocked and not stopping:
            return Decision(self.blocks, ordinary(self.message, self.handling))  # (R19)
        if self._carrier_place in stopping and not toll_free.network_unblocks(self.message.body):
            return self._decision([], ReplySent.NONE, effective=False)
        changes = [self._change(place, blocked=False) for place in stopping]
        return self._decision(changes, self._ours)

    def help(self) -> Decision:
        silent = any(self._stops(block) for block in self.blocks) and (
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

    def _change(self, place: Place, *, blocked: bool) -> BlockChange:
        message, match = self.message, self.match
        return BlockChange(
            change_id=change_id_of(message.message_sid, place),
            place=place,
            recipient=bare_number(message.recipient),
            channel_group=channel_group_of(message.recipient),
            blocked=blocked,
            cause=Cause(message.message_sid, match.kind, match.keyword, message.sender, "keyword"),
            mark=self.mark,
            at_ms=message.received_at_ms,
        )

    def _decision(
        self, changes: Sequence[BlockChange], reply_sent: ReplySent, *, effective: bool = True
    ) -> Decision:
        message, handling, match = self.message, self.handling, self.match
        blocks = self.blocks
        for change in changes:
            blocks = _changed(blocks, change)
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
        return Decision(blocks, tuple(events))


def _changed(blocks: Blocks, change: BlockChange) -> Blocks:
    others = tuple(block for block in blocks if block.place != change.place)
    if not change.blocked:
        return others
    return (
        *others,
        Block(*change.place, since_ms=change.at_ms, change_id=change.change_id, mark=change.mark),
    )
