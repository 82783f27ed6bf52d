"""Webhook URLs in responses: without the password, which only the webhook needs."""

from __future__ import annotations

from processor.webhooks.addresses import shown


def shown_url(url: str | None) -> str | None:
    """Replace the password in a URL by ``***``."""
    return shown(url) if url else None
