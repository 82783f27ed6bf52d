"""Fixed values of every kind, so that a test contains only what it is about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from processor.core.batch_list import apply
from processor.core.blocks import Block, Blocks, Mark, Place, Source, SourceKind
from processor.core.decide import Decision, decide, decide_command
from processor.core.events import (
    BlockChange,
    Cause,
    Event,
    OptOutNotification,
    ReplySend,
    ReplySent,
    SuspectedOptOut,
)
from processor.core.fold import Hit, fold, key_of
from processor.core.identity import change_id_of, reply_sid_of, text_id_of
from processor.core.messages import (
    Arrival,
    ChannelGroup,
    ConsentCommand,
    InboundMessage,
    OptOutType,
    OutboundSend,
    Scope,
    SenderType,
    sender_type_of,
)
from processor.core.policy import (
    DEFAULT_POLICY,
    CountryOverride,
    KeywordSet,
    KeywordSets,
    Match,
    OptOutConfig,
    Policy,
)
from processor.core.services import Handling, PoolSender, Service
from processor.core.suspected import Finding, Overdue, TierPolicy, WordsTier
from processor.stores.messages import StoredMessage
from schemas.suspected_review import SuspectedReview

ACCOUNT = "AC00000000000000000000000000000001"
OTHER_ACCOUNT = "AC00000000000000000000000000000002"
SERVICE = "MG00000000000000000000000000000001"
OTHER_SERVICE = "MG00000000000000000000000000000002"
MESSAGE = "SM00000000000000000000000000000001"
SEND = "SM0000000000000000000000000000000a"
COMMAND = "CC00000000000000000000000000000001"

RECIPIENT = "+15557654321"
OTHER_RECIPIENT = "+15557654322"
WHATSAPP_RECIPIENT = f"whatsapp:{RECIPIENT}"
ENTRY = f"{ACCOUNT}/{RECIPIENT}"  # of the recipient, in the account
RCS_RECIPIENT = f"rcs:{RECIPIENT}"

LONG_CODE = "+15551234567"
OTHER_LONG_CODE = "+15551234568"
TOLL_FREE = "+18005550100"
OTHER_TOLL_FREE = "+18885550100"
SHORT_CODE = "12345"
WHATSAPP_SENDER = f"whatsapp:{LONG_CODE}"
RCS_SENDER = "rcs:clinic_agent"

NOW_MS = 1_793_620_800_000
NOW = "2026-11-02T12:00:00.000Z"
MARK = Mark(1_793_620_000_000, 7)

TOKEN = "0123456789abcdef0123456789abcdef"  # an account's
OPERATOR_TOKEN = "the operator's own"
KEY = "0123456789abcdef" * 4  # seals tokens


# Messages, sends, commands

A_MESSAGE = StoredMessage(
    sid="SM1",
    account_sid=ACCOUNT,
    service_sid="MG1",
    sender=None,
    to=RECIPIENT,
    body="Your appointment is tomorrow.",
    num_media=0,
    num_segments=0,
    status="accepted",
    error_code=None,
    error_message=None,
    created_at_ms=NOW_MS,
    updated_at_ms=NOW_MS,
    sent_at_ms=None,
)


def an_inbound(body: str = "STOP", **changes: Any) -> InboundMessage:
    """A text from the recipient to a long code without a service."""
    message = InboundMessage(
        message_sid=MESSAGE,
        account_sid=ACCOUNT,
        service_sid=None,
        recipient=RECIPIENT,
        sender=LONG_CODE,
        body=body,
        from_country="US",
        num_media=0,
        received_at_ms=NOW_MS,
        arrival=Arrival(NOW_MS),
    )
    return replace(message, **changes)


def a_send(**changes: Any) -> OutboundSend:
    """A send from the same long code to the recipient."""
    send = OutboundSend(
        message_sid=SEND,
        account_sid=ACCOUNT,
        service_sid=None,
        sender=LONG_CODE,
        recipient=RECIPIENT,
    )
    return replace(send, **changes)


def a_command(**changes: Any) -> ConsentCommand:
    """An operator blocks the recipient for the account."""
    command = ConsentCommand(
        command_id=COMMAND,
        account_sid=ACCOUNT,
        scope=Scope.ACCOUNT,
        service_sid=None,
        sender=None,
        recipient=RECIPIENT,
        channel_group=ChannelGroup.SMS,
        blocked=True,
        source="operator",
        reason="asked on the phone",
        claimed_ms=NOW_MS - 5_000,
        arrival=Arrival(NOW_MS),
    )
    return replace(command, **changes)


# Configurations and services


def sets(says: str = "", *, stop: str = "", start: str = "", help: str = "") -> KeywordSets:
    """Keyword sets from comma-separated words; the reply to each kind is ``"<says> <kind>"``."""
    given = {OptOutType.STOP: stop, OptOutType.START: start, OptOutType.HELP: help}
    return {
        kind: KeywordSet(tuple(word.strip() for word in words.split(",")), f"{says} {kind}".strip())
        for kind, words in given.items()
        if words
    }


def a_config(**changes: Any) -> OptOutConfig:
    """Three layers: standard, Spanish for all countries, Spanish for Mexico."""
    config = OptOutConfig(
        standard=sets("standard", stop="stop, end", start="start, yes", help="help, info"),
        languages={"es": sets("es", stop="baja", start="alta", help="ayuda")},
        countries={
            "MX": CountryOverride({"es": sets("MX", stop="alto", start="volver", help="auxilio")})
        },
    )
    return replace(config, **changes)


def a_service(*senders: str, **changes: Any) -> Service:
    """A service with AOO enabled and these senders in its pool; by default one long code."""
    service = Service(
        sid=SERVICE,
        account_sid=ACCOUNT,
        senders=tuple(
            PoolSender(address, sender_type_of(address)) for address in senders or (LONG_CODE,)
        ),
        active=a_config(),
        version=3,
    )
    return replace(service, **changes)


def a_handling(config: OptOutConfig | None = None, **changes: Any) -> Handling:
    """How a service with AOO enabled handles messages to its long code."""
    handling = Handling(
        service_sid=SERVICE,
        sender_type=SenderType.LONG_CODE,
        policy=Policy(a_config() if config is None else config),
        aoo_enabled=True,
        config_version=3,
    )
    return replace(handling, **changes)


def default_handling(**changes: Any) -> Handling:
    """How messages to a long code without a service are handled."""
    handling = Handling(
        service_sid=None,
        sender_type=SenderType.LONG_CODE,
        policy=DEFAULT_POLICY,
        aoo_enabled=False,
        config_version=None,
    )
    return replace(handling, **changes)


def a_match(body: str, handling: Handling | None = None, country: str | None = "US") -> Match:
    """The keyword that a body is; fails if it is not a keyword."""
    policy = (handling or a_handling()).policy
    found = policy.match(body, country) if policy else None
    assert found is not None, f"{body!r} is not a keyword"
    return found


def a_hit(
    body: str = "STOP",
    *,
    handling: Handling | None = None,
    country: str | None = "US",
    **changes: Any,
) -> Hit:
    """A message that matched, ready for ``fold``."""
    handling = handling or a_handling()
    message = an_inbound(body, **changes)
    return Hit(message, a_match(body, handling, country), handling, country)


class Decided(NamedTuple):
    """An entry after a message, the events, and the reason why a command was refused."""

    blocks: Blocks
    events: tuple[Event, ...] = ()
    refused: str | None = None


def after(blocks: Blocks, decision: Decision) -> Blocks:
    """An entry after a decision's changes."""
    entry = {block.place: block for block in blocks}
    entry |= {block.place: block for block in decision.repeated}
    for event in decision.events:
        if isinstance(event, BlockChange):
            apply(event, entry)
    return tuple(entry.values())


def decided(
    body: str,
    blocks: Blocks = (),
    *,
    handling: Handling | None = None,
    country: str | None = "US",
    replied: int = 0,
    scope: Scope = Scope.ACCOUNT,
    **changes: Any,
) -> Decided:
    """Decide on a message from a recipient with these blocks."""
    hit = a_hit(body, handling=handling, country=country, **changes)
    entry = {block.place: block for block in blocks}
    decision = decide(
        hit.message,
        hit.match,
        hit.handling,
        entry,
        country=country,
        replied=replied,
        scope=scope,
        mark=MARK,
    )
    return Decided(after(blocks, decision), decision.events, decision.refused)


def commanded(command: ConsentCommand, blocks: Blocks = ()) -> Decided:
    """Decide on a command for a recipient with these blocks in its account."""
    decision = decide_command(command, {block.place: block for block in blocks}, mark=MARK)
    return Decided(after(blocks, decision), decision.events, decision.refused)


def a_talk(*bodies: str, seen: frozenset[bytes] = frozenset(), **given: Any) -> Talk:
    """Successive messages of the recipient, starting with an empty block list.

    Args:
        bodies: each a keyword.
        seen: ids handled before.
        given: ``scope`` and whatever ``a_hit`` takes.
    """
    scope = given.pop("scope", Scope.ACCOUNT)
    hits = [
        a_hit(body, **{"message_sid": f"SM{index:032}", **given})
        for index, body in enumerate(bodies, 1)
    ]
    folded = fold(hits, {}, seen, scope=scope, mark=MARK)
    return Talk(folded.changed.get(key_of(hits[0]), ()), folded.decisions)


class Talk(NamedTuple):
    """The result of a conversation."""

    blocks: Blocks
    decisions: tuple[tuple[Event, ...], ...]  # one for each message

    @property
    def places(self) -> list[Place]:
        """The places where the recipient is blocked now."""
        return [block.place for block in self.blocks]


# The block list


def a_place(scope: Scope = Scope.ACCOUNT, *, carrier: bool = False, **changes: Any) -> Place:
    """The account's place, the service's, or the long code's."""
    target = {Scope.ACCOUNT: "", Scope.SERVICE: SERVICE, Scope.SENDER: LONG_CODE}[scope]
    return Place(scope, target, carrier)._replace(**changes)


def a_source(
    kind: SourceKind = SourceKind.KEYWORD,
    place: Place | None = None,
    *,
    since_ms: int = NOW_MS - 60_000,
    last_ms: int | None = None,
    change_id: str | None = None,
) -> Source:
    """A cause of a block, by default an earlier message of the recipient."""
    id_ = change_id or change_id_of("SM000000000000000000000000000000ff", place or a_place())
    return Source(kind, id_, since_ms, since_ms if last_ms is None else last_ms)


def a_block(
    place: Place | None = None,
    kind: SourceKind = SourceKind.KEYWORD,
    *,
    since_ms: int = NOW_MS - 60_000,
    **changes: Any,
) -> Block:
    """A block that an earlier message made, by default for the account."""
    place = place or a_place()
    block = Block(*place, (a_source(kind, place, since_ms=since_ms),), Mark(MARK.epoch, 1))
    return replace(block, **changes)


def the_block(place: Place | None = None, **changes: Any) -> Block:
    """The block that ``a_change`` makes."""
    block = a_change(place, **changes).block
    assert block is not None
    return block


# Events


def a_change(
    place: Place | None = None,
    *,
    blocked: bool = True,
    kind: SourceKind = SourceKind.KEYWORD,
    change_id: str | None = None,
    mark: Mark = MARK,
    sender: str = LONG_CODE,
    address: str = RECIPIENT,
    **changes: Any,
) -> BlockChange:
    """The change that the recipient's STOP to the long code made, by default for the account."""
    place = place or a_place()
    id_ = change_id or change_id_of(MESSAGE, place, ACCOUNT, address, sender)
    change = BlockChange(
        change_id=id_,
        account_sid=ACCOUNT,
        place=place,
        recipient=RECIPIENT,
        channel_group=ChannelGroup.SMS,
        block=Block(*place, (Source(kind, id_, NOW_MS, NOW_MS),), mark) if blocked else None,
        cause=Cause(MESSAGE, OptOutType.STOP, "stop", sender, "keyword"),
        mark=mark,
        at_ms=NOW_MS,
        previous=not blocked,
    )
    return replace(change, **changes)


def a_cause(kind: OptOutType, keyword: str, sender: str = LONG_CODE) -> Cause:
    """The recipient's message, with this keyword, as a cause."""
    return Cause(MESSAGE, kind, keyword, sender, "keyword")


def a_reply(body: str = "STOP", *, text: str, **changes: Any) -> ReplySend:
    """Our reply to a message; its kind is the body, if the body is a kind."""
    message = changes.pop("message", None) or an_inbound(body)
    reply = ReplySend(
        reply_sid=reply_sid_of(message),
        message=message,
        service_sid=SERVICE,
        body=text,
        kind=OptOutType(body) if body in OptOutType.__members__ else OptOutType.STOP,
        language=None,
    )
    return replace(reply, **changes)


def a_notification(body: str = "STOP", **changes: Any) -> OptOutNotification:
    """The notification of a message that was effective, with a reply from AOO."""
    notification = OptOutNotification(
        message=an_inbound(body),
        service_sid=SERVICE,
        match=changes.pop("match", None) or a_match(body),
        effective=True,
        reply_sent=ReplySent.AOO,
        aoo_enabled=True,
        config_version=3,
    )
    return replace(notification, **changes)


# Records of topics


def inbound_record(body: str = "STOP", **changes: Any) -> dict[str, Any]:
    """A value of inbound-messages.v1."""
    record = {
        "message_sid": MESSAGE,
        "account_sid": ACCOUNT,
        "messaging_service_sid": SERVICE,
        "from": RECIPIENT,
        "to": LONG_CODE,
        "body": body,
        "from_country": "US",
        "num_media": 0,
        "received_at": NOW,
    }
    return changed(record, changes)


def outbound_record(**changes: Any) -> dict[str, Any]:
    """A value of outbound-messages.v1."""
    record = {
        "message_sid": SEND,
        "account_sid": ACCOUNT,
        "messaging_service_sid": SERVICE,
        "from": LONG_CODE,
        "to": RECIPIENT,
        "body": "Your appointment is tomorrow at 10:30.",
        "media_urls": ["https://example.com/map.png"],
        "status_callback": "https://example.com/status",
        "created_at": NOW,
    }
    return changed(record, changes)


def command_record(**changes: Any) -> dict[str, Any]:
    """A value of consent-commands.v1."""
    record = {
        "command_id": COMMAND,
        "account_sid": ACCOUNT,
        "scope": "account",
        "recipient": RECIPIENT,
        "channel_group": "sms",
        "blocked": True,
        "source": "operator",
        "reason": "asked on the phone",
        "at": NOW,
    }
    return changed(record, changes)


def service_record(**changes: Any) -> dict[str, Any]:
    """A value of messaging-services.v1; its draft is active."""
    opt_out = {
        "enabled": True,
        "standard": {"STOP": {"keywords": ["stop", "end"], "reply": "You are out."}},
        "languages": {"es": {"STOP": {"keywords": ["baja"], "reply": "Listo."}}},
        "countries": {
            "MX": {"languages": {"es": {"STOP": {"keywords": ["alto"], "reply": "Vale."}}}}
        },
    }
    record = {
        "sid": SERVICE,
        "account_sid": ACCOUNT,
        "friendly_name": "Clinic reminders",
        "senders": [{"address": LONG_CODE}],
        "opt_out": opt_out,
        "active": opt_out,
        "version": 3,
        "updated_at": NOW,
    }
    return changed(record, changes)


def changed(record: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The record with fields changed, or removed if None; ``from_`` means ``from``."""
    merged = {**record, **{name.rstrip("_"): value for name, value in changes.items()}}
    return {name: value for name, value in merged.items() if value is not None}


def lines(problems: Iterable[object]) -> list[str]:
    """Problems, warnings or differences as people read them."""
    return [str(problem) for problem in problems]


# The recipient's own words


def a_finding(**changes: Any) -> Finding:
    """A phrase that blocks, as it does by default in the US."""
    finding = Finding(WordsTier.PHRASE, 1.0, ("courtesy",), TierPolicy.BLOCK, Overdue.BLOCK)
    return replace(finding, **changes)


def a_meaning(
    finding: Finding | None = None, handling: Handling | None = None, body: str = "please stop"
) -> Match:
    """The STOP that a text means although it is not a keyword."""
    policy = (handling or a_handling()).policy
    assert policy is not None
    return policy.match_by(finding or a_finding(), body, "US")


def phrased(
    body: str = "please stop",
    blocks: Blocks = (),
    *,
    finding: Finding | None = None,
    handling: Handling | None = None,
    **changes: Any,
) -> Decided:
    """Decide on a text that blocks although it is not a keyword."""
    handling = handling or a_handling()
    entry = {block.place: block for block in blocks}
    decision = decide(
        an_inbound(body, **changes),
        a_meaning(finding, handling, body),
        handling,
        entry,
        country="US",
        scope=Scope.ACCOUNT,
        mark=MARK,
    )
    return Decided(after(blocks, decision), decision.events, decision.refused)


def a_report(**changes: Any) -> SuspectedOptOut:
    """The report of a phrase, to be reviewed."""
    report = SuspectedOptOut(
        message=an_inbound("please stop"),
        service_sid=SERVICE,
        finding=a_finding(policy=TierPolicy.REPORT),
        country="US",
        aoo_enabled=True,
        config_version=3,
    )
    return replace(report, **changes)


def a_review(**changes: Any) -> SuspectedReview:
    """A person's confirmation of that report, the first decision on it."""
    text_id = text_id_of(an_inbound("please stop"))
    fields = {
        "text_id": text_id,
        "account_sid": ACCOUNT,
        "messaging_service_sid": SERVICE,
        "message_sid": MESSAGE,
        "tier": "phrase",
        "score": 1.0,
        "state": "confirmed",
        "number": 1,
        "actor": ACCOUNT,
        "command_id": f"{text_id}.1",
        "label": "stop",
        "lang": None,
        "at": datetime.fromtimestamp(NOW_MS / 1_000, UTC),
    }
    return SuspectedReview.model_validate({**fields, **changes})
