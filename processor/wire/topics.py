"""The full names of the topics, under the prefix an installation chose."""

from __future__ import annotations

from dataclasses import dataclass, fields

_VERSIONS = {"block_list": 2}  # where it is not the first


@dataclass(frozen=True, slots=True)
class Topics:
    """Every topic's full name."""

    inbound_messages: str
    outbound_messages: str
    consent_commands: str
    reply_sends: str
    block_changes: str
    block_list: str
    opt_out_notifications: str
    suspected_opt_outs: str
    suspected_reviews: str
    webhook_deliveries: str
    webhook_retries_1: str
    webhook_retries_2: str
    webhook_retries_3: str
    webhook_retries_4: str
    webhooks_made: str
    allowed_sends: str
    carrier_retries_1: str
    carrier_retries_2: str
    carrier_retries_3: str
    carrier_retries_4: str
    message_statuses: str
    opt_out_counts: str
    send_counts: str
    carrier_figures: str
    messaging_services: str
    accounts: str
    numbers: str
    carriers: str
    configuration_changes: str
    dead_letters: str

    @property
    def webhook_retries(self) -> tuple[str, ...]:
        """Deliveries that failed, the shortest delay first."""
        return (
            self.webhook_retries_1,
            self.webhook_retries_2,
            self.webhook_retries_3,
            self.webhook_retries_4,
        )

    @property
    def carrier_retries(self) -> tuple[str, ...]:
        """Messages that a carrier did not take, the shortest delay first."""
        return (
            self.carrier_retries_1,
            self.carrier_retries_2,
            self.carrier_retries_3,
            self.carrier_retries_4,
        )

    def sources(self, role: str) -> tuple[str, ...]:
        """The topics that a role's lanes read, one partition of each per lane."""
        return {
            "match": (self.inbound_messages, self.consent_commands),
            "gate": (self.outbound_messages,),
            "carriers": (self.reply_sends, self.allowed_sends, *self.carrier_retries),
            "webhooks": (self.webhook_deliveries, *self.webhook_retries, self.message_statuses),
        }[role]

    def outputs(self, role: str) -> tuple[str, ...]:
        """The topics that only that role's lanes write: a record in them shows that it ran here."""
        return {
            "match": (
                self.block_list,
                self.block_changes,
                self.reply_sends,
                self.opt_out_notifications,
                self.suspected_opt_outs,
            ),
            "gate": (self.allowed_sends,),
            "webhooks": (*self.webhook_retries, self.webhooks_made),
            "carriers": self.carrier_retries,
        }[role]

    @classmethod
    def under(cls, prefix: str) -> Topics:
        """All names with the prefix before them and the version behind."""
        return cls(
            *(
                f"{prefix}{field.name.replace('_', '-')}.v{_VERSIONS.get(field.name, 1)}"
                for field in fields(cls)
            )
        )
