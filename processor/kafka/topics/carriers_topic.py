"""The carriers, followed live: as they are stored, and with their secrets opened."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence

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

    ``carriers`` is altered in place.
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

    def value_of(self, sid: str) -> bytes | None:
        """The topic's value for a carrier."""
        found = self._stored.get(sid)
        return write_carrier(found) if found else None

    def stored(self) -> Mapping[str, Carrier]:
        """Every carrier as it is stored, by name."""
        return self._stored

    @property
    def closed(self) -> Mapping[str, Sequence[str]]:
        """The secrets that cannot be opened, by carrier; such a carrier cannot be used."""
        return {one.name: one.closed for one in self.carriers.all() if one.closed}

    async def wait_loaded(self) -> None:
        """Wait until everything that was there at the start has been read."""
        await self.topic.wait_loaded()

    def _take(self, changed: Mapping[str, Carrier | None]) -> None:
        for name, carrier in changed.items():
            self._stored.pop(name, None)
            if carrier is None:
                self.carriers.change({name: None})
                continue
            self._stored[name] = carrier
            opened = {key: self._opened(name, one) for key, one in carrier.secrets.items()}
            self.carriers.change({name: connection_of(carrier, opened)})

    def _opened(self, name: str, secret: Secret) -> str | None:
        if secret.env is not None:
            return os.environ.get(secret.env) or None
        try:
            return unseal(secret.sealed or "", self._keys, about=about(name))
        except ValueError:
            return None
