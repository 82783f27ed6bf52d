"""The services, followed live: compiled for the lanes, and as they are stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from pydantic import ValidationError

from processor.config import Settings
from processor.core.blocks import ConfigView
from processor.core.messages import SenderType, sender_type_of
from processor.core.services import Directory, Service
from processor.kafka.reading import read_whole
from processor.kafka.topics.compacted import CompactedTopic
from processor.metrics import Metrics
from processor.wire.services import read_head, read_service, read_stored
from schemas.messaging_service import MessagingService


class ServicesTopic:
    """Follows the configuration of every service.

    ``directory`` is altered in place, between two awaits of its users.
    """

    def __init__(self, settings: Settings, topic: str, metrics: Metrics) -> None:
        self._changed = metrics.services_changed
        self._topic = CompactedTopic(
            settings,
            topic,
            "services",
            read=read_service,
            sid_of=lambda service: service.sid,
            take=self._take,
            metrics=metrics,
        )
        self.directory = Directory()
        self.wait_loaded = self._topic.wait_loaded
        self.wait_until = self._topic.wait_until
        self.wait_current = self._topic.wait_current
        self.view_at = self._topic.view_at
        self.now = self._topic.now
        self.follow = self._topic.follow

    @property
    def view(self) -> ConfigView | None:
        """How far ``directory`` is."""
        return self._topic.view

    @property
    def age_s(self) -> float:
        """How long ago this was known to be all there is."""
        return self._topic.age_s

    def _take(self, changed: Mapping[str, Service | None]) -> None:
        self.directory.change(changed)
        self._changed.inc(len(changed))


@dataclass(frozen=True, slots=True)
class StoredService:
    """A service as stored; its opt-out configuration, most of it, is read when asked for."""

    head: MessagingService  # without opt_out and active
    value: bytes

    def whole(self) -> MessagingService:
        """All of it."""
        return read_stored(self.value)


class StoredServices:
    """Every service as it is stored, by its sid, its account, and the senders of its pool."""

    def __init__(self, settings: Settings, topic: str, metrics: Metrics | None = None) -> None:
        self.topic = CompactedTopic(
            settings,
            topic,
            "services",
            read=_read,
            sid_of=lambda stored: stored.head.sid,
            take=self._take,
            metrics=metrics,
        )
        self._services: dict[str, StoredService] = {}
        self._of_account: dict[str, dict[str, StoredService]] = {}
        self._pool: dict[tuple[str, str], str] = {}
        self._holders: dict[str, tuple[str, ...]] = {}  # by address, whoever's they are
        self._bytes: Counter[str] = Counter()  # by account
        self._numbers: Counter[str] = Counter()  # in the pools of an account, each once
        self._by_name: dict[str | None, Sequence[MessagingService]] = {}  # by account; None: of all

    def value_of(self, sid: str) -> bytes | None:
        """The topic's value for a sid."""
        found = self._services.get(sid)
        return found.value if found else None

    def get(self, sid: str) -> StoredService | None:
        """A service, whoever it belongs to."""
        return self._services.get(sid)

    def every(self) -> Iterable[StoredService]:
        """The services of every account, in no order."""
        return self._services.values()

    def of_account(self, account_sid: str) -> Iterable[StoredService]:
        """The services of an account, in no order."""
        return self._of_account.get(account_sid, {}).values()

    def by_name(self, account_sid: str | None) -> Sequence[MessagingService]:
        """The services of an account, or of all if None, by name and without configuration.

        They are sorted once, until one of them changes.
        """
        found = self._by_name.get(account_sid)
        if found is None:
            stored = self.every() if account_sid is None else self.of_account(account_sid)
            found = tuple(sorted((one.head for one in stored), key=_name))
            self._by_name[account_sid] = found
        return found

    def all(self) -> Mapping[str, MessagingService]:
        """Every service whole, by its sid."""
        return {sid: stored.whole() for sid, stored in self._services.items()}

    def holder_of(self, account_sid: str, address: str) -> StoredService | None:
        """The service whose pool holds a sender of an account (R1)."""
        return self._services.get(self._pool.get((account_sid, address), ""))

    def holders_of(self, address: str) -> Sequence[str]:
        """The sids of the services whose pools hold a number, of any account; none of a name."""
        return self._holders.get(address, ())

    def size_of(self, account_sid: str) -> tuple[int, int]:
        """How many services an account has, and their bytes as stored."""
        return len(self._of_account.get(account_sid, ())), self._bytes[account_sid]

    def numbers_in_pools(self, account_sid: str) -> int:
        """How many numbers the pools of an account have; names do not count."""
        return self._numbers[account_sid]

    def _take(self, changed: Mapping[str, StoredService | None]) -> None:
        self._by_name.pop(None, None)
        for sid, stored in changed.items():
            for one in (self._services.get(sid), stored):
                self._by_name.pop(one.head.account_sid if one else None, None)
            if before := self._services.pop(sid, None):
                account = before.head.account_sid
                self._of_account[account].pop(sid, None)
                self._bytes[account] -= len(before.value)
                self._hold(before, held=False)
                for sender in before.head.senders:
                    if self._pool.get((account, sender.address)) == sid:
                        del self._pool[account, sender.address]
            if stored:
                account = stored.head.account_sid
                self._services[sid] = stored
                self._bytes[account] += len(stored.value)
                self._hold(stored, held=True)
                self._of_account.setdefault(account, {})[sid] = stored
                self._pool |= {(account, one.address): sid for one in stored.head.senders}

    def _hold(self, stored: StoredService, *, held: bool) -> None:
        sid, account = stored.head.sid, stored.head.account_sid
        for address in {sender.address for sender in stored.head.senders}:
            if sender_type_of(address) is SenderType.ALPHANUMERIC:
                continue  # many may use it
            others = tuple(one for one in self._holders.pop(address, ()) if one != sid)
            if held or others:
                self._holders[address] = (*others, sid) if held else others
            if not any(self._services[one].head.account_sid == account for one in others):
                self._numbers[account] += 1 if held else -1


def _name(service: MessagingService) -> tuple[str, str]:
    return service.friendly_name.casefold(), service.sid


def _read(value: bytes) -> StoredService:
    return StoredService(read_head(value), value)


async def stored(settings: Settings, topic: str) -> dict[str, MessagingService]:
    """Every service as it is stored now, by its sid; the last good record of each.

    Raises:
        BrokerUnavailable: where the broker does not answer.
    """
    models: dict[str, MessagingService] = {}
    async for record in read_whole(settings, topic, partitions=[0]):
        sid = (record.key or b"").decode(errors="backslashreplace")
        if record.value is None:
            models.pop(sid, None)
            continue
        with suppress(ValidationError):  # a worker's log names it
            model = read_stored(record.value)
            if model.sid == sid:
                models[sid] = model
    return models
