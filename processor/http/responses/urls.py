"""Webhook URLs as answers show them: without the password, which only the webhook needs."""

from __future__ import annotations

from processor.webhooks.addresses import shown


def shown_url(url: str | None) -> str | None:
    """A URL with ``***`` for its password."""
    return shown(url) if url else None
