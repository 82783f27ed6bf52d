"""The service that answers a message, and its configuration (R1 to R4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from processor.core.lookup import KeywordGroup
from processor.core.messages import SenderType, channel_group_of, sender_type_of
from processor.core.policy import (
    DEFAULT_POLICY,
    RCS_POLICY,
    KeywordSets,
    OptOutConfig,
    Policy,
    stop_words_of,
    words_of,
)
from processor.core.prefilter import Prefilter


@dataclass(frozen=True, slots=True)
class PoolSender:
    """A sender in a service's pool."""

    address: str
    type: SenderType
    registered: KeywordSets | None = None  # keywords of a short code's registration (R11)


@dataclass(frozen=True, slots=True)
class Webhook:
    """The application's URLs for a service's inbound messages (R28)."""

    url: str
    method: str = "POST"
    fallback_url: str | None = None  # used if ``url`` failed
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
    status_callback: str | None = None  # for sends that name none
    policy: Policy | None = field(init=False, repr=False, compare=False)  # of ``active``

    def __post_init__(self) -> None:
        object.__setattr__(self, "policy", Policy(self.active) if self.active else None)

    @property
    def urls(self) -> tuple[str | None, ...]:
        """Every URL of the application that we may request."""
        webhook = self.webhook
        asked = (webhook.url, webhook.fallback_url) if webhook else ()
        return self.status_callback, *asked


@dataclass(frozen=True, slots=True)
class Handling:
    """How messages between an account's service and one sender are handled."""

    service_sid: str | None
    sender_type: SenderType
    policy: Policy | None  # None: nothing matches, opt-outs are left to the application (R3)
    aoo_enabled: bool
    config_version: int | None  # None if no service is known (R12)
    webhook: Webhook | None = None


# Short codes and WhatsApp have no default handling: the application does it itself (R3).
_DEFAULT_POLICIES: Mapping[SenderType, Policy | None] = {
    SenderType.SHORT_CODE: None,
    SenderType.WHATSAPP: None,
    SenderType.RCS: RCS_POLICY,
}
_KEPT = 100_000  # handlings: unknown senders must not fill the memory


class Directory:
    """Every service by its sid and by the senders of its pool.

    ``change`` updates it in place, at a cost proportional to the change. Between two awaits it is
    one configuration, so look up everything that must fit together there.

    Args:
        services: the last changed service comes last.
    """

    def __init__(self, services: Iterable[Service] = ()) -> None:
        self.services: dict[str, Service] = {}  # by time of last change, oldest first
        # An address belongs to one account; accounts that claim the same address are kept apart.
        self._pool: dict[tuple[str, str], tuple[Service, PoolSender]] = {}
        self._contested: set[tuple[str, str]] = set()  # were in two pools, against the rules
        # Most messages are not a keyword of any service; the prefilter shows it without a look-up.
        self.prefilter = Prefilter()  # of the keywords of all services
        self._uses: Counter[KeywordGroup] = Counter()
        self.keywords_version = 0  # grows whenever the keywords in use may differ
        self._use(DEFAULT_POLICY)
        self._use(RCS_POLICY)
        self.may_match = self.prefilter.passes
        # Nested: a few services get most messages, so their handlings stay in the CPU's cache.
        self._handlings: dict[tuple[str, str | None], dict[str, Handling]] = {}
        self._names: dict[tuple[str, str], set[str | None]] = {}  # service sids by sender
        self._kept = 0
        self.webhooks: dict[str, int] = {}  # services with a webhook, by account
        self.change({service.sid: service for service in services})

    @property
    def has_webhooks(self) -> bool:
        """Whether any service has a webhook."""
        return bool(self.webhooks)

    def stop_keywords(self) -> frozenset[str]:
        """The STOP keywords in force of any service; see ``keywords_version``."""
        return frozenset(word for group in self._uses for word in stop_words_of(group))

    def change(self, changed: Mapping[str, Service | None]) -> None:
        """Replace the named services, or remove those given as None; all of them or none."""
        for service in changed.values():  # first, because nothing after it can fail
            if service and service.policy:
                self._use(service.policy)
        for sid, after in changed.items():
            before = self.services.pop(sid, None)
            if before:
                self._take_out(before)
            if after:
                self._put_in(after)
            if before and before.policy:
                self._use_no_more(before.policy)

    def _use(self, policy: Policy) -> None:
        for group in policy.groups:
            if group not in self._uses:
                self.prefilter.add(words_of(group))
                self.keywords_version += 1
            self._uses[group] += 1

    def _use_no_more(self, policy: Policy) -> None:
        for group in policy.groups:
            self._uses[group] -= 1
            if not self._uses[group]:
                del self._uses[group]
                self.keywords_version += 1
                self.prefilter.remove(words_of(group))

    def _put_in(self, service: Service) -> None:
        self._forget(service)
        self.services[service.sid] = service
        if service.webhook is not None:
            self.webhooks[service.account_sid] = self.webhooks.get(service.account_sid, 0) + 1
        for sender in service.senders:
            place = service.account_sid, sender.address
            if place in self._pool:
                self._contested.add(place)
            self._pool[place] = service, sender

    def _take_out(self, service: Service) -> None:
        self._forget(service)
        if service.webhook is not None:
            self.webhooks[service.account_sid] -= 1
            if not self.webhooks[service.account_sid]:
                del self.webhooks[service.account_sid]
        for sender in service.senders:
            place = service.account_sid, sender.address
            if (found := self._pool.get(place)) and found[0] is service:
                del self._pool[place]
                if place in self._contested:
                    self._give_back(*place)

    def _give_back(self, account_sid: str, address: str) -> None:
        """Give a contested sender to the last changed of the other services that claim it."""
        for service in reversed(self.services.values()):
            for sender in service.senders:
                if (service.account_sid, sender.address) == (account_sid, address):
                    self._pool[account_sid, address] = service, sender
                    return
        self._contested.discard((account_sid, address))

    def _forget(self, service: Service) -> None:
        """Forget the handlings that depend on a service: by its sid, or by its senders."""
        account_sid = service.account_sid
        own = self._handlings.get((account_sid, service.sid), ())
        touched: set[tuple[str | None, str]] = {(service.sid, address) for address in own}
        for sender in service.senders:
            names = self._names.get((account_sid, sender.address), ())
            touched |= {(named, sender.address) for named in names}
        for named, address in touched:
            of_senders = self._handlings[account_sid, named]
            del of_senders[address]
            if not of_senders:
                del self._handlings[account_sid, named]
            of_names = self._names[account_sid, address]
            of_names.discard(named)
            if not of_names:
                del self._names[account_sid, address]
        self._kept -= len(touched)

    def service_of(self, account_sid: str, named: str | None, sender: str | None) -> Service | None:
        """The service that an event names, else the service whose pool holds its sender (R1)."""
        if named is not None:
            service = self.services.get(named)
            return service if service and service.account_sid == account_sid else None
        pooled = self._pool.get((account_sid, sender)) if sender is not None else None
        return pooled[0] if pooled else None

    def service_sid_of(self, account_sid: str, named: str | None, sender: str | None) -> str | None:
        """The sid that service blocks of a message or send are stored under."""
        if named is not None:
            return named
        service = self.service_of(account_sid, None, sender)
        return service.sid if service else None

    def pool_for(self, account_sid: str, service_sid: str | None, recipient: str) -> list[str]:
        """Addresses of a service's senders that can reach a recipient through its channels."""
        service = self.services.get(service_sid) if service_sid is not None else None
        if service is None or service.account_sid != account_sid:
            return []
        group = channel_group_of(recipient)
        return [one.address for one in service.senders if channel_group_of(one.address) is group]

    def handling(self, account_sid: str, named: str | None, sender: str) -> Handling:
        """How a message to ``sender`` is handled; cached, as few senders get most messages."""
        of_senders = self._handlings.get((account_sid, named))
        handling = of_senders.get(sender) if of_senders is not None else None
        if handling is None:
            if self._kept >= _KEPT:
                self._handlings.clear()
                self._names.clear()
                self._kept = 0
            handling = self._find_handling(account_sid, named, sender)
            self._handlings.setdefault((account_sid, named), {})[sender] = handling
            self._names.setdefault((account_sid, sender), set()).add(named)
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
        policy = _DEFAULT_POLICIES.get(sender_type, DEFAULT_POLICY)
        return Handling(sid, sender_type, policy, False, version, webhook)
