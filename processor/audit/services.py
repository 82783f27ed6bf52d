"""The services and accounts as they were at any moment of the configuration's history."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import orjson
import phonenumbers

from processor.audit.keywords import DEFAULT, DEFAULT_RCS, Keywords, keywords_of
from processor.audit.parsing import WRONG, KafkaRecord, fields_of
from processor.audit.people import is_user_id
from processor.audit.prefilter import Words
from processor.audit.values import Unreadable

_TOLL_FREE = re.compile(r"\+1(?:800|833|844|855|866|877|888)[0-9]{7}")
_ENDED = ("suspended", "closed")
_PLACEHOLDERS = ("brand", "help_contact")
_DEFAULTS = {"short_code": None, "whatsapp": None, "rcs": DEFAULT_RCS}  # of senders (R3)


class Unknown(Exception):
    """Compaction took the version of a service that was in force."""


@dataclass(frozen=True, slots=True)
class Service:
    """A version of a service; ``active`` is JSON, or None until Advanced Opt-Out is enabled."""

    sid: str
    account: str
    senders: Mapping[str, str | None]  # address to type, None where the address says it
    webhook: str | None
    active: bytes | None
    version: int
    values: tuple[tuple[str, str], ...] = ()  # of the placeholders in its replies (R17)


@dataclass(frozen=True, slots=True)
class Handling:
    """How a message to a sender is handled."""

    service: str | None  # named or implied
    version: int | None
    sender_type: str
    keywords: Keywords | None  # None: nothing matches
    aoo: bool
    webhook: str | None
    values: tuple[tuple[str, str], ...] = ()  # of the placeholders in its replies (R17)


def _are_texts(values: Iterable[object]) -> bool:
    return all(isinstance(value, str) for value in values)


class Services:
    """Every known version of every service, by its offset in messaging-services."""

    def __init__(self) -> None:
        self._versions: dict[str, tuple[list[int], list[Service | None]]] = {}
        self._claims: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._changes: list[tuple[int, str]] = []
        self._shared: dict[bytes, bytes] = {}
        self._words = Words()
        self._compiled: set[bytes] = set()
        self.has_webhooks = False
        self.end = 0  # behind the last record

    def add(self, record: KafkaRecord) -> None:
        """Add the next record of the topic; one that cannot be used changes nothing."""
        self.end = record.offset + 1
        try:
            sid = record.key.decode()
            service = self._read(sid, record.value)
            if service:
                self._learn(service)
        except (Unreadable, *WRONG):
            return
        offsets, services = self._versions.setdefault(sid, ([], []))
        offsets.append(record.offset)
        services.append(service)
        self._changes.append((record.offset, sid))

    def _learn(self, service: Service) -> None:
        claims = {(service.account, address) for address in service.senders}
        if service.active is not None and service.active not in self._compiled:
            keywords_of(service.active)  # raises where later look-ups would
            self._words.add(orjson.loads(service.active))
            self._compiled.add(service.active)
        self.has_webhooks |= service.webhook is not None
        for claim in claims:
            self._claims[claim].add(service.sid)

    def _read(self, sid: str, value: bytes | None) -> Service | None:
        if value is None:
            return None
        fields = fields_of(value)
        texts = [fields["account_sid"], fields.get("inbound_request_url") or ""]
        texts += [fields.get(name) or "" for name in _PLACEHOLDERS]
        version = fields["version"]
        if fields["sid"] != sid or not isinstance(version, int) or not _are_texts(texts):
            raise Unreadable
        active = fields.get("active")
        said = None if active is None else orjson.dumps(active)
        return Service(
            sid,
            fields["account_sid"],
            {one["address"]: one.get("type") for one in fields.get("senders", ())},
            fields.get("inbound_request_url"),
            None if said is None else self._shared.setdefault(said, said),
            version,
            tuple((name, fields[name]) for name in _PLACEHOLDERS if fields.get(name) is not None),
        )

    def may_match(self, value: bytes) -> bool:
        """Whether a message may be a keyword of any service, by its JSON; False is certain."""
        try:
            return self._words.may_be(orjson.loads(value)["body"])
        except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError):
            return True

    def changed(self, since: int, until: int) -> set[str]:
        """Find the services that changed from one position to another."""
        first = bisect_left(self._changes, (since, ""))
        return {sid for _, sid in self._changes[first : bisect_left(self._changes, (until, ""))]}

    def at(self, sid: str, position: int) -> Service | None:
        """Find a service as a reader knew it who had read the topic up to a position.

        Raises:
            Unknown: compaction took what was in force then.
        """
        offsets, services = self._versions.get(sid, ((), ()))
        place = bisect_left(offsets, position)
        before = services[place - 1] if place else None
        after = services[place] if place < len(services) else None
        # Versions grow by one: a gap before the next one hides what was in force.
        if after is not None and after.version != (before.version if before else 0) + 1:
            raise Unknown
        return before

    def of(
        self, account: str, named: str | None, sender: str | None, position: int
    ) -> Service | None:
        """Find the service that a message names, else the service with its sender (R1)."""
        if named is not None:
            service = self.at(named, position)
            return service if service and service.account == account else None
        claims = self._claims.get((account, sender or ""), ())
        holding = [
            service
            for sid in claims
            if (service := self.at(sid, position))
            and service.account == account
            and sender in service.senders
        ]
        if len(holding) < 2:
            return holding[0] if holding else None
        return max(holding, key=lambda one: self._offset_of(one.sid, position))

    def _offset_of(self, sid: str, position: int) -> int:
        offsets = self._versions[sid][0]
        return offsets[bisect_left(offsets, position) - 1]

    def sid_of(
        self, account: str, named: str | None, sender: str | None, position: int
    ) -> str | None:
        """Find the sid that service blocks are looked up by."""
        if named is not None:
            return named
        service = self.of(account, None, sender, position)
        return service.sid if service else None

    def pool(self, account: str, sid: str | None, position: int, *, whatsapp: bool) -> set[str]:
        """Find a service's senders that reach a recipient on WhatsApp, or elsewhere."""
        service = self.at(sid, position) if sid else None
        if service is None or service.account != account:
            return set()
        return {one for one in service.senders if one.startswith("whatsapp:") is whatsapp}

    def handling(self, account: str, named: str | None, sender: str, position: int) -> Handling:
        """Find how a message is handled (R1 to R4).

        Raises:
            Unknown: see ``at``.
        """
        service = self.of(account, named, sender, position)
        pooled = service if named is None else self.of(account, None, sender, position)
        kind = (pooled.senders.get(sender) if pooled else None) or type_of(sender)
        sid = named or (service.sid if service else None)
        version, webhook = (service.version, service.webhook) if service else (None, None)
        if service and service.active is not None:
            keywords = keywords_of(service.active)
            return Handling(sid, version, kind, keywords, True, webhook, service.values)
        return Handling(sid, version, kind, _DEFAULTS.get(kind, DEFAULT), False, webhook)


def type_of(address: str) -> str:
    """Read a sender's type from its address (R2)."""
    prefix, colon, _ = address.partition(":")
    if colon and prefix in ("whatsapp", "rcs"):
        return prefix
    if address.isdigit() and 3 <= len(address) <= 8:
        return "short_code"
    if _TOLL_FREE.fullmatch(address):
        return "toll_free"
    return "long_code" if address.startswith("+") else "alphanumeric"


def countries_of(number: str, said: str | None) -> Collection[str | None]:
    """Find the countries that a recipient may be in; several where the plan is not sure (R15)."""
    if said is not None:
        return (said,)
    if is_user_id(number):
        country = number[:2]
        return (country if country in phonenumbers.SUPPORTED_REGIONS else None,)
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return (None,)
    code = parsed.country_code or 0
    regions = phonenumbers.region_codes_for_country_code(code)
    known = phonenumbers.region_code_for_number(parsed)
    if code == 1:
        area = phonenumbers.parse(number[:5] + "2345678")
        return {phonenumbers.region_code_for_number(area) or "US"}
    if len(regions) == 1 or known is None:
        return {None if region == "001" else region for region in regions} or {None}
    return {known, *regions}


class Accounts:
    """When each account was suspended or closed, and active again."""

    def __init__(self) -> None:
        self._status: dict[str, tuple[list[int], list[bool]]] = {}  # times; whether it is active

    def add(self, record: KafkaRecord) -> None:
        """Add the next record of configuration-changes."""
        try:
            change = fields_of(record.value)
            status, sid = change.get("status_after"), str(change["sid"])
        except (Unreadable, KeyError):
            return
        if status is not None:
            times, active = self._status.setdefault(sid, ([], []))
            times.append(record.timestamp)
            active.append(status not in _ENDED)

    def may_be_ended(self, account: str, at_ms: int, skew_ms: int) -> bool:
        """Whether an account was not active at a time, or within the skew around it."""
        times, active = self._status.get(account, ((), ()))
        first = bisect_right(times, at_ms - skew_ms)
        last = bisect_right(times, at_ms + skew_ms)
        before = [active[first - 1]] if first else []
        return not all([*before, *active[first:last]])

    def is_ended(self, account: str, since_ms: int, until_ms: int) -> bool:
        """Whether an account was surely not active at any time of a range."""
        times, active = self._status.get(account, ((), ()))
        first, last = bisect_right(times, since_ms), bisect_right(times, until_ms)
        return first > 0 and not any(active[first - 1 : last])


def read_services(records: Iterable[KafkaRecord]) -> Services:
    """Read the services' history from records in their order."""
    services = Services()
    for record in records:
        services.add(record)
    return services
