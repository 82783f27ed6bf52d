"""The events of a decision as topic values."""

from __future__ import annotations

import orjson

from processor.core.events import (
    BlockChange,
    OptOutNotification,
    ReplySend,
    SuspectedOptOut,
    WebhookDelivery,
)
from processor.core.identity import id_behind
from processor.core.messages import InboundMessage
from processor.core.segments import segments_of
from processor.wire.blocks import scope_fields, standing_fields
from processor.wire.json_values import to_text
from processor.wire.suspected import suspicion_fields, suspicion_text, text_fields


def write_block_change(change: BlockChange) -> bytes:
    """The value of `block-changes.v1`."""
    cause = change.cause
    return orjson.dumps(
        {
            "change_id": change.change_id,
            "account_sid": change.account_sid,
            **scope_fields(change.place.scope, change.place.target),
            "carrier": change.place.carrier,
            "recipient": change.recipient,
            "channel_group": change.channel_group,
            "blocked": change.blocked,
            "previous": change.previous,
            "standing": standing_fields(change.block) if change.block else None,
            "cause": {
                "id": cause.id,
                "source": cause.source,
                "kind": cause.kind,
                "keyword": cause.keyword,
                "sender": cause.sender,
                "message_sid": cause.message_sid,
                "reason": cause.reason,
                "claimed_at": None if cause.claimed_ms is None else to_text(cause.claimed_ms),
                "claimed_source": cause.claimed_source,
                "actor": cause.actor,
            },
            "mark": str(change.mark),
            "at": to_text(change.at_ms),
        }
    )


def write_reply(reply: ReplySend) -> bytes:
    """The value of `reply-sends.v1`."""
    message = reply.message
    return orjson.dumps(
        {
            "reply_sid": reply.reply_sid,
            "in_reply_to": message.message_sid,
            "account_sid": message.account_sid,
            "messaging_service_sid": reply.service_sid,
            "from": message.sender,
            "to": message.recipient,
            "body": reply.body,
            "kind": reply.kind,
            "language": reply.language,
            "send_before": to_text(reply.send_before_ms),
            "late_reply": reply.late_reply,
        }
    )


def write_notification(notification: OptOutNotification) -> bytes:
    """The value of `opt-out-notifications.v1` (R27)."""
    match = notification.match
    return orjson.dumps(
        {
            **_inbound_fields(notification.message),
            "messaging_service_sid": notification.service_sid,
            "kind": match.kind,
            "opt_out_type": match.kind if notification.aoo_enabled else None,
            "keyword": match.keyword,
            "language": match.language,
            "country": match.country,
            "match": match.tier,
            "suspected": suspicion_fields(match.finding),
            "effective": notification.effective,
            "reply_sent": notification.reply_sent,
            "braked": notification.braked,
            "config_version": notification.config_version,
            "aoo_enabled": notification.aoo_enabled,
            "at": to_text(notification.message.arrival.appended_ms),
        }
    )


def write_suspected(event: SuspectedOptOut) -> bytes:
    """The value of `suspected-opt-outs.v1` (R30)."""
    return orjson.dumps({**_inbound_fields(event.message), **text_fields(event)})


def _inbound_fields(message: InboundMessage) -> dict[str, object]:
    return {
        "message_sid": message.message_sid,
        "account_sid": message.account_sid,
        "from": message.recipient,
        "to": message.sender,
        "body": message.body,
        "from_country": message.from_country,
        "num_media": message.num_media,
        "received_at": to_text(message.received_at_ms),
        "carrier_replied": message.carrier_replied,
        "user_id": message.user_id,
    }


def write_delivery(delivery: WebhookDelivery) -> bytes:
    """The value of `webhook-deliveries.v1`: Twilio's parameters of an inbound message."""
    message, webhook = delivery.message, delivery.webhook
    optional = {
        "MessagingServiceSid": delivery.service_sid,
        "FromCountry": message.from_country,
        "ExternalUserId": message.user_id,
        "OptOutType": delivery.opt_out_type,
        "SuspectedOptOut": suspicion_text(delivery.finding) if delivery.finding else None,
    }
    return orjson.dumps(
        {
            "delivery_id": id_behind(message, "inbound"),
            "account_sid": message.account_sid,
            "messaging_service_sid": delivery.service_sid,
            "message_sid": message.message_sid,
            "url": webhook.url,
            "method": webhook.method,
            "fallback_url": webhook.fallback_url,
            "fallback_method": webhook.fallback_method,
            "parameters": {
                "ApiVersion": "2010-04-01",
                "MessageSid": message.message_sid,
                "SmsSid": message.message_sid,
                "SmsMessageSid": message.message_sid,
                "SmsStatus": "received",
                "AccountSid": message.account_sid,
                "From": message.recipient,
                "To": message.sender,
                "Body": message.body,
                "NumMedia": str(message.num_media),
                "NumSegments": str(segments_of(message.body).segments),
                **{name: value for name, value in optional.items() if value is not None},
            },
        }
    )
