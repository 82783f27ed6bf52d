"""Which service answers a message, and with which configuration (R1 to R4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from processor.core.messages import SenderType, channel_group_of, sender_type_of
from processor.core.policy import (
    DEFAULT_POLICY,
    KeywordSets,
    OptOutConfig,
    Policy,
    keywords_of,
)
from processor.core.sieve import Sieve


@dataclass(frozen=True, slots=True)
class PoolSender:
    """A sender in a service's pool."""

    address: str
    type: SenderType
    registered: KeywordSets | None = None  # what a short code's registration promises (R11)


@dataclass(frozen=True, slots=True)
class Webhook:
    """Whom to tell of a service's inbound messages (R28)."""

    url: str
    method: str = "POST"
    fallback_url: str | None = None  # asked where ``url`` failed
    fallback_method: str = "POST"


@dataclass(frozen=True, slots=True)
class Service:
    """A messaging service: its pool and, once enabled, its active configuration."""

    sid: str
    account_sid: str
    senders: tuple[PoolSender, ...]
    active: OptOutConfig | None  # None: AOO is not enabled, default handling answers (R3)
    version: int
    webhook: Webhook | None = None
    status_callback: str | None = None  # of sends that name none of their own
    policy: Policy | None = field(init=False, repr=False, compare=False)  # of what is active

    def __post_init__(self) -> None:
        object.__setattr__(self, "policy", Policy(self.active) if self.active else None)


@dataclass(frozen=True, slots=True)
class Handling:
    """How messages between an account's service and one sender are handled."""

    service_sid: str | None
    sender_type: SenderType
    policy: Policy | None  # None: nothing matches, the application does it (R3)
    aoo_enabled: bool
    config_version: int | None  # None where no service is known (R12)
    webhook: Webhook | None = None


def _policies(services: Mapping[str, Service | None]) -> list[Policy]:
    return [each.policy for each in services.values() if each and each.policy]


class _Sieve(Sieve):
    """The sieve of a directory and its successors, until most of its keywords are gone."""

    __slots__ = ("_fresh",)

    def __init__(self, keywords: Iterable[str]) -> None:
        super().__init__()
        self.add(keywords)
        self._fresh = len(self)

    @property
    def is_stale(self) -> bool:
        """Whether most of its forms may belong to no service any more."""
        return len(self) > 2 * self._fresh + _STALE


_STALE = 20_000  # forms; endless edits of a service must not fill the memory
_KEPT = 100_000  # handlings: senders nobody knows must not fill the memory


class Directory:
    """Every service by its sid and by the senders of its pool; replaced whole, never altered."""

    def __init__(self, services: Iterable[Service] = (), sieve: _Sieve | None = None) -> None:
        self.services: Mapping[str, Service] = {service.sid: service for service in services}
        # Most messages are no keyword of any service: that is seen before one is looked up.
        if sieve is None or sieve.is_stale:
            sieve = _Sieve(keywords_of([DEFAULT_POLICY, *_policies(self.services)]))
        self._sieve = sieve
        self.may_match = sieve.passes
        # An address belongs to one account; two accounts that claim it do not see each other.
        self._pool = {
            (service.account_sid, sender.address): (service, sender)
            for service in self.services.values()
            for sender in service.senders
        }
        # In two steps, as few have all the messages: what is asked most stays near the processor.
        self._handlings: dict[tuple[str, str | None], dict[str, Handling]] = {}
        self._kept = 0
        self.has_webhooks = any(service.webhook for service in self.services.values())

    def with_services(self, changed: Mapping[str, Service | None]) -> Directory:
        """A directory in which the services named are as given, or gone where None."""
        merged: dict[str, Service | None] = {**self.services, **changed}
        # What is a keyword no more may pass for a while: it is told apart by its service.
        self._sieve.add(keywords_of(_policies(changed)))
        return Directory(filter(None, merged.values()), self._sieve)

    def service_of(self, account_sid: str, named: str | None, sender: str | None) -> Service | None:
        """The service an event names, else the one whose pool holds its sender (R1)."""
        if named is not None:
            service = self.services.get(named)
            return service if service and service.account_sid == account_sid else None
        pooled = self._pool.get((account_sid, sender)) if sender is not None else None
        return pooled[0] if pooled else None

    def service_sid_of(self, account_sid: str, named: str | None, sender: str | None) -> str | None:
        """The sid under which service blocks of a message or send are kept."""
        if named is not None:
            return named
        service = self.service_of(account_sid, None, sender)
        return service.sid if service else None

    def pool_for(self, account_sid: str, service_sid: str | None, recipient: str) -> list[str]:
        """Addresses of a service's senders that reach a recipient: those of its channels."""
        service = self.services.get(service_sid) if service_sid is not None else None
        if service is None or service.account_sid != account_sid:
            return []
        group = channel_group_of(recipient)
        return [one.address for one in service.senders if channel_group_of(one.address) is group]

    def handling(self, account_sid: str, named: str | None, sender: str) -> Handling:
        """How a message to ``sender`` is handled; kept, as few senders get most messages."""
        of_senders = self._handlings.get((account_sid, named))
        handling = of_senders.get(sender) if of_senders is not None else None
        if handling is None:
            if self._kept >= _KEPT:
                self._handlings.clear()
                self._kept = 0
            handling = self._find_handling(account_sid, named, sender)
            self._handlings.setdefault((account_sid, named), {})[sender] = handling
            self._kept += 1
        return handling

    def _find_handling(self, account_sid: str, named: str | None, sender: str) -> Handling:
        service = self.service_of(account_sid, named, sender)
        pooled = self._pool.get((account_sid, sender))
        sender_type = pooled[1].type if pooled else sender_type_of(sender)
        sid = named or (service.sid if service else None)
        version, webhook = (service.version, service.webhook) if service else (None, None)
        if service and service.policy:
            return Handling(sid, sender_type, service.policy, True, version, webhook)
        # Short codes and WhatsApp have no default handling: there the application does it (R3).
        silent = sender_type in (SenderType.SHORT_CODE, SenderType.WHATSAPP)
        policy = None if silent else DEFAULT_POLICY
        return Handling(sid, sender_type, policy, False, version, webhook)
