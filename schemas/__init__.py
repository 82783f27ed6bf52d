"""The contract for other teams: a pydantic model for each topic and version, and `topics.toml`.

`MODELS` names the model of every topic; `json/` holds the JSON Schema files made from them.
"""

from __future__ import annotations

from pydantic import BaseModel

from schemas.account import Account
from schemas.block_change import BlockChange
from schemas.block_list_entry import BlockListEntry
from schemas.carrier import Carrier
from schemas.carrier_figure import CarrierFigure
from schemas.carrier_send import CarrierSend
from schemas.configuration_change import ConfigurationChange
from schemas.consent_command import ConsentCommand
from schemas.inbound_message import InboundMessage
from schemas.message_status import MessageStatus
from schemas.messaging_service import MessagingService
from schemas.number import Number
from schemas.opt_out_count import OptOutCount
from schemas.opt_out_notification import OptOutNotification
from schemas.outbound_message import OutboundMessage
from schemas.reply_send import ReplySend
from schemas.send_count import SendCount
from schemas.suspected_opt_out import SuspectedOptOut
from schemas.suspected_review import SuspectedReview
from schemas.webhook_delivery import WebhookDelivery
from schemas.webhooks_made import WebhooksMade

MODELS: dict[str, type[BaseModel]] = {
    "inbound-messages.v1": InboundMessage,
    "outbound-messages.v1": OutboundMessage,
    "consent-commands.v1": ConsentCommand,
    "reply-sends.v1": ReplySend,
    "block-changes.v1": BlockChange,
    "block-list.v2": BlockListEntry,
    "opt-out-notifications.v1": OptOutNotification,
    "suspected-opt-outs.v1": SuspectedOptOut,
    "suspected-reviews.v1": SuspectedReview,
    "allowed-sends.v1": OutboundMessage,
    "webhook-deliveries.v1": WebhookDelivery,
    "webhook-retries-1.v1": WebhookDelivery,
    "webhook-retries-2.v1": WebhookDelivery,
    "webhook-retries-3.v1": WebhookDelivery,
    "webhook-retries-4.v1": WebhookDelivery,
    "webhooks-made.v1": WebhooksMade,
    "carrier-retries-1.v1": CarrierSend,
    "carrier-retries-2.v1": CarrierSend,
    "carrier-retries-3.v1": CarrierSend,
    "carrier-retries-4.v1": CarrierSend,
    "message-statuses.v1": MessageStatus,
    "opt-out-counts.v1": OptOutCount,
    "send-counts.v1": SendCount,
    "carrier-figures.v1": CarrierFigure,
    "messaging-services.v1": MessagingService,
    "accounts.v1": Account,
    "numbers.v1": Number,
    "carriers.v1": Carrier,
    "configuration-changes.v1": ConfigurationChange,
}
"""The model of each topic's values; ``dead-letters.v1`` has none, as it keeps records unchanged."""

__all__ = ["MODELS"]
