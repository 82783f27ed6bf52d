"""Warnings about opt-outs in other words than keywords: US senders must hear them (R11, R30)."""

from __future__ import annotations

from collections.abc import Iterator

from processor.configuration.reviewed import Found, Reviewed
from processor.core.suspected import Overdue, TierPolicy

_LAW = "a US sender must honour any reasonable way of saying stop within ten business days"


def policy_warnings(service: Reviewed) -> Iterator[Found]:
    """Everything to look at because of the service's policies."""
    if "US" not in service.countries:
        return
    words = service.config.own_words
    for name, policy in (("phrases", words.phrases), ("suspected", words.suspected)):
        if policy is TierPolicy.OFF:
            yield ("opt_out", name), f"{name}_off", f"{_LAW}; report such texts, or let them block"
    if words.overdue is Overdue.KEEP:
        text = f"{_LAW}; let a text block if it was not reviewed in time"
        yield ("opt_out", "overdue"), "overdue_kept", text
