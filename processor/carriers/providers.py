"""Every provider's module, by the provider's name."""

from __future__ import annotations

from collections.abc import Mapping

from processor.carriers import generic, kannel, telnyx, twilio, whatsapp
from processor.carriers.adapter import Adapter

ADAPTERS: Mapping[str, Adapter] = {
    module.ADAPTER.provider: module.ADAPTER
    for module in (twilio, telnyx, whatsapp, kannel, generic)
}
