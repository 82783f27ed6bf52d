"""Merge documents into the stored services; the result is the services after the edit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from processor.configuration.documents import mapping_of, read_document, url_problems
from processor.configuration.rules import OF_PLACEHOLDERS, Pool, pool_problems, problems_of
from processor.core.normalise import exact
from processor.core.placeholders import PLACEHOLDERS
from processor.core.policy import RESERVED
from processor.errors import ConfigError, Problem
from processor.wire.services import config_of, values_of
from schemas.messaging_service import MessagingService, ServiceDocument


class Applied(NamedTuple):
    """The result of applying documents to the stored services."""

    changed: Mapping[str, MessagingService]  # by sid, only those that differ from what is stored
    sids: Sequence[str]  # of every document, in their order
    problems: Sequence[Problem]  # nothing may be applied while there is one


def apply(
    documents: Sequence[object],
    stored: Mapping[str, MessagingService],
    *,
    now: datetime,
    new_sid: Callable[[], str],
    recorded: Callable[[str], str | None] = lambda address: None,
) -> Applied:
    """Lay documents over the stored services: whole, or not at all.

    A document without a sid is the stored service of the same account and name, or a new one.
    Applying the same document again changes nothing.

    Args:
        documents: not checked yet.
        stored: every service of every account, by sid.
        now: when they are applied.
        new_sid: makes the sid of a new service.
        recorded: the account that has recorded a number.
    """
    overlay = _Overlay(stored, now=now, new_sid=new_sid)
    for number, given in enumerate(documents, 1):
        overlay.add(number, given)
    problems = [*overlay.problems, *pool_problems(overlay.pools(), recorded)]
    return Applied({} if problems else overlay.changed, list(overlay.sids), problems)


class _Overlay:
    """The stored services with documents laid over them, one after the other."""

    def __init__(
        self, stored: Mapping[str, MessagingService], *, now: datetime, new_sid: Callable[[], str]
    ) -> None:
        self.changed: dict[str, MessagingService] = {}
        self.sids: dict[str, None] = {}
        self.problems: list[Problem] = []
        self._stored = stored
        self._now = now
        self._new_sid = new_sid
        self._named = {
            (model.account_sid, model.friendly_name): sid for sid, model in stored.items()
        }
        self._pools: list[Pool] = []
        self._described: set[str] = set()  # sids of documents, readable or not

    def add(self, number: int, given: object) -> None:
        """Lay a document over the services; ``number`` counts from 1."""
        document, problems = read_document(given)
        name = mapping_of(given).get("friendly_name")
        where = f"service {number}" + (f" ({name})" if name else "")
        if document is None:
            problems += self._add_broken(where, given)
        else:
            problems = self._add_readable(where, given, document)
        self.problems += [problem.within(where) for problem in problems]

    def _add_broken(self, where: str, given: object) -> list[Problem]:
        pool = _pool_within(where, given)
        name = mapping_of(given).get("friendly_name")
        known = self._named.get((pool.account_sid or "", str(name)))
        sid = str(mapping_of(given).get("sid") or known or where)
        before = self._stored.get(sid)
        if sid not in self._described:
            self._pools.append(pool._replace(stored=_addresses(before)))
        self._described.add(sid)
        return url_problems(given, before)

    def _add_readable(self, where: str, given: object, document: ServiceDocument) -> list[Problem]:
        name = (document.account_sid, document.friendly_name)
        sid = document.sid or self._named.get(name) or self._new_sid()
        self._named[name] = sid
        before = self._stored.get(sid)
        problems = [
            *problems_with(document),
            *url_problems(given, before),
            *_refusals(document, before),
        ]
        if sid in self.sids:
            text = f"{sid} is described twice; services of one name need one each"
            problems.append(Problem(("sid",), "service_twice", text))
        elif sid not in self._described:
            self._pools.append(_pool(where, document, before))
        self.sids[sid] = None
        self._described.add(sid)
        after = _merged(document, sid, before, self._now)
        if after is not before:
            self.changed[sid] = after
        return problems

    def pools(self) -> list[Pool]:
        """The future pool of every service, those of stored services first."""
        others = [
            _pool(f"service {sid} ({model.friendly_name})", model, model)
            for sid, model in self._stored.items()
            if sid not in self._described
        ]
        return [*others, *self._pools]


def problems_with(document: ServiceDocument) -> list[Problem]:
    """The problems of a document's opt-out configuration, by their places in the document."""
    config, values = config_of(document.opt_out), values_of(document)
    return [problem.under("opt_out") for problem in problems_of(config, values=values)]


def _pool(name: str, model: ServiceDocument, before: ServiceDocument | None) -> Pool:
    addresses = [sender.address for sender in model.senders]
    return Pool(name, model.account_sid, addresses, _addresses(before))


def _addresses(model: ServiceDocument | None) -> set[str]:
    return {sender.address for sender in model.senders} if model else set()


def _pool_within(name: str, given: object) -> Pool:
    account_sid, senders = mapping_of(given).get("account_sid"), mapping_of(given).get("senders")
    addresses = [
        str(mapping_of(sender).get("address") or "")
        for sender in (senders if isinstance(senders, list) else ())
    ]
    return Pool(name, account_sid if isinstance(account_sid, str) else None, addresses)


def _refusals(document: ServiceDocument, before: MessagingService | None) -> list[Problem]:
    """Problems with changes that the stored service does not allow."""
    if before is None:
        return []
    refused = []
    if before.account_sid != document.account_sid:
        text = f"service {before.sid} belongs to {before.account_sid}"
        refused.append(Problem(("account_sid",), "other_account", text))
    if before.active is not None and not document.opt_out.enabled:
        text = "Advanced Opt-Out is enabled, and only an operator may disable it"
        refused.append(Problem(("opt_out", "enabled"), "operator_only", text))
    had, has = config_of(before.opt_out).standard, config_of(document.opt_out).standard
    for kind in had.keys() & has.keys():
        kept = {exact(keyword) for keyword in has[kind].keywords}
        place = ("opt_out", "standard", kind.value, "keywords")
        refused += [
            Problem(place, "reserved_removed", f"put {word!r} back; it is always a keyword")
            for word in RESERVED[kind]
            if word not in kept and word in map(exact, had[kind].keywords)
        ]
    return refused


def _merged(
    document: ServiceDocument, sid: str, before: MessagingService | None, now: datetime
) -> MessagingService:
    opt_out = document.opt_out
    fields = {
        **document.model_dump(by_alias=True, exclude_none=True),
        "sid": sid,
        "opt_out": opt_out.model_dump(),
        "active": opt_out.model_dump() if opt_out.enabled else None,
    }
    if before is not None:
        same = MessagingService.model_validate(
            {
                **fields,
                "version": before.version,
                "created_at": before.created_at,
                "updated_at": before.updated_at,
            }
        )
        if same == before:
            return before
    version = before.version + 1 if before else 1
    created_at = before.created_at if before else now
    return MessagingService.model_validate(
        {**fields, "version": version, "created_at": created_at, "updated_at": now}
    )


def updated(before: MessagingService, **fields: object) -> MessagingService:
    """A service with fields besides its configuration changed, by their names in the model.

    Raises:
        ConfigError: where a reply needs a field that is gone, or becomes too long by it.
    """
    after = changed(before, now=None, **fields)
    if fields.keys() & PLACEHOLDERS:
        problems = [one for one in problems_with(after) if one.code in OF_PLACEHOLDERS]
        if problems:
            raise ConfigError(problems)
    return after


def enabled(model: MessagingService, *, now: datetime) -> MessagingService:
    """The service with its draft in force, in one step (R5); the same where it is enabled."""
    if model.active is not None:
        return model
    opt_out = model.opt_out.model_copy(update={"enabled": True})
    return changed(model, now=now, opt_out=opt_out, active=opt_out)


def disabled(model: MessagingService, *, now: datetime) -> MessagingService:
    """The service with default handling in force (R5); the same where it is not enabled.

    The configuration that was active stays as the draft.
    """
    if model.active is None:
        return model
    opt_out = model.opt_out.model_copy(update={"enabled": False})
    return changed(model, now=now, opt_out=opt_out, active=None)


def changed(
    before: MessagingService, *, now: datetime | None = None, **fields: object
) -> MessagingService:
    """A service with fields changed, as its next version; the same where nothing differs.

    Args:
        before: as it is.
        now: of the change; the current time if None.
        fields: by their names in the model.
    """
    after = before.model_copy(update=fields)
    if after == before:
        return before
    at = now or datetime.now(UTC)
    return after.model_copy(update={"version": before.version + 1, "updated_at": at})
