"""Try a message under a service's opt-out configuration; nothing is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from processor.configuration.layers import Layer
from processor.core.batch_list import apply as follow
from processor.core.blocks import NO_MARK, Block, Source, SourceKind, place_for
from processor.core.decide import decide
from processor.core.events import BlockChange, OptOutNotification, ReplySend, ReplySent
from processor.core.messages import InboundMessage, OptOutType, Scope, bare_number
from processor.core.policy import Policy
from processor.core.services import Directory, Handling, Service
from processor.core.suspected import Finding, TierPolicy, WordsTier
from processor.suspicion.assess import assess
from processor.suspicion.values import StopWords, Suspicion
from processor.wire.countries import country_of
from processor.wire.services import service_of
from schemas.messaging_service import MessagingService


class Trial(NamedTuple):
    """The outcome that a message would have, and the reason."""

    kind: OptOutType | None  # None: an ordinary message, the application's
    layer: str | None  # the keyword's place, such as countries.MX.languages.es
    keyword: str | None
    match: str | None  # the tier: exact, clean or tolerant
    reply: str | None  # None: none would be sent
    reply_sent: ReplySent  # the party that answers
    blocked: bool  # afterwards
    aoo_enabled: bool  # False: default handling answers
    finding: Finding | None = None  # of a text that is not a keyword (R30)


def try_out(
    service: MessagingService,
    message: InboundMessage,
    *,
    blocked: bool,
    draft: bool,
    scope: Scope,
    hear: Callable[[str, StopWords], Suspicion | None] = assess,
) -> Trial:
    """Try a message against a service's draft, or against what is in force, by the lanes' rules.

    Args:
        service: the service with the keywords.
        message: as it would arrive.
        blocked: whether its recipient is on the list before.
        draft: as if the draft were in force.
        scope: of blocks, a setting.
        hear: reads a text that is not a keyword.
    """
    core: Service = service_of(
        service.model_copy(update={"active": service.opt_out}) if draft else service
    )
    handling = Directory([core]).handling(service.account_sid, service.sid, message.sender)
    country = message.from_country or country_of(bare_number(message.recipient))
    policy: Policy | None = handling.policy
    match = policy.match(message.body, country) if policy else None
    finding = _finding(policy, message.body, country, hear) if policy and not match else None
    if policy and finding and finding.policy is TierPolicy.BLOCK:
        match = policy.match_by(finding, message.body, country)
    if match is None:
        aoo = handling.aoo_enabled
        return Trial(None, None, None, None, None, ReplySent.NONE, blocked, aoo, finding)
    before = [_block(message, handling, scope)] if blocked else []
    blocks = {block.place: block for block in before}
    decision = decide(message, match, handling, blocks, country=country, scope=scope, mark=NO_MARK)
    for event in decision.events:
        if isinstance(event, BlockChange):
            follow(event, blocks)
    events = decision.events
    reply = next((event.body for event in events if isinstance(event, ReplySend)), None)
    notified = next((event for event in events if isinstance(event, OptOutNotification)), None)
    return Trial(
        match.kind if notified else None,  # YES may be an ordinary word of the unblocked (R19)
        Layer(match.language, match.country).place,
        match.keyword,
        match.tier.value,
        reply,
        notified.reply_sent if notified else ReplySent.NONE,
        bool(blocks),
        handling.aoo_enabled,
        finding,
    )


def _finding(
    policy: Policy,
    body: str,
    country: str | None,
    hear: Callable[[str, StopWords], Suspicion | None],
) -> Finding | None:
    heard = hear(body, policy.stop_words(country))
    if heard is None:
        return None
    tier = WordsTier(heard.tier.value)
    return policy.config.own_words.finding(tier, heard.score, heard.reasons, country)


def _block(message: InboundMessage, handling: Handling, scope: Scope) -> Block:
    place = place_for(scope, service_sid=handling.service_sid, sender=message.sender)
    at_ms = message.received_at_ms
    return Block(*place, (Source(SourceKind.KEYWORD, "trial", at_ms, at_ms),), NO_MARK)
