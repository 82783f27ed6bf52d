"""The carriers, followed live: as they are stored, and with their secrets opened."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

from processor.carriers.directory import Carriers
from processor.config import Settings
from processor.configuration.carriers import about
from processor.configuration.edits import write_carrier
from processor.kafka.topics.compacted import CompactedTopic
from processor.metrics import Metrics
from processor.wire.carriers import connection_of
from processor.wire.credentials import unseal
from schemas.carrier import Carrier, Secret

logger = logging.getLogger(__name__)


class CarriersView:
    """Every carrier by its name.

    ``carriers`` has only those whose secrets can be opened; it is altered in place. ``closed`` has
    the names of the others' secrets, by carrier.
    """

    def __init__(self, settings: Settings, topic: str, metrics: Metrics | None = None) -> None:
        self.topic = CompactedTopic(
            settings,
            topic,
            "carriers",
            read=Carrier.model_validate_json,
            sid_of=lambda carrier: carrier.name,
            take=self._take,
            metrics=metrics,
        )
        self._keys = settings.sealing_keys()
        self._stored: dict[str, Carrier] = {}
        self.carriers = Carriers()
        self.closed: dict[str, list[str]] = {}

    def value_of(self, sid: str) -> bytes | None:
        """The topic's value for a carrier."""
        found = self._stored.get(sid)
        return write_carrier(found) if found else None

    def stored(self) -> Mapping[str, Carrier]:
        """Every carrier as it is stored, by name."""
        return self._stored

    async def wait_loaded(self) -> None:
        """Wait until everything that was there at the start has been read."""
        await self.topic.wait_loaded()

    def _take(self, changed: Mapping[str, Carrier | None]) -> None:
        for name, carrier in changed.items():
            self._stored.pop(name, None)
            self.closed.pop(name, None)
            if carrier is None:
                self.carriers.change({name: None})
                continue
            self._stored[name] = carrier
            opened = {key: self._opened(name, one) for key, one in carrier.secrets.items()}
            if closed := [key for key, secret in opened.items() if secret is None]:
                self.closed[name] = closed
                self.carriers.change({name: None})
                continue
            secrets = {key: secret for key, secret in opened.items() if secret is not None}
            self.carriers.change({name: connection_of(carrier, secrets)})

    def _opened(self, name: str, secret: Secret) -> str | None:
        if secret.env is not None:
            return os.environ.get(secret.env) or None
        try:
            return unseal(secret.sealed or "", self._keys, about=about(name))
        except ValueError:
            return None
