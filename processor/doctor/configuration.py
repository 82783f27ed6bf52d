"""The stored configuration: every service against the rules, every token against the keys."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from processor.configuration.drafts import warnings_about
from processor.configuration.rules import Pool, pool_problems, problems_of
from processor.doctor.examination import Examination
from processor.doctor.findings import count, some_of
from processor.doctor.stored import stored
from processor.errors import Problem
from processor.wire.credentials import key_id, sealed_with, unseal
from processor.wire.services import config_of, read_stored, values_of
from processor.wire.topics import Topics
from schemas.account import Account
from schemas.messaging_service import MessagingService

_EACH = 100  # services between two reports
_MAKE_A_KEY = "`openssl rand -hex 32` makes one; give it to the API and to webhooks workers"


async def services(at: Examination) -> str:
    """Check every service as a save would; warnings are counted."""
    topics = Topics.under(at.settings.topic_prefix)
    found = await stored(at, topics.messaging_services, read_stored)
    for sid, why in found.unreadable.items():
        what = f"service {sid}: its record cannot be read: {why}"
        at.wrong(what, "find who wrote it, and run `optout services apply` with the right file")
    warned = []
    for number, (sid, model) in enumerate(found.models.items(), 1):
        for problem in _problems(sid, model):
            at.wrong(f"service {sid}: {problem}", "save it with that mended")
        if warnings_about(model):
            warned.append(sid)
        if number % _EACH == 0:
            at.report(f"services: {number:,} of {len(found.models):,}")
            await asyncio.sleep(0)  # the time limit must have its turn
    for problem in pool_problems([_pool_of(sid, model) for sid, model in found.models.items()]):
        at.wrong(str(problem), "take it out of one pool")
    if warned:
        what = f"warnings about {count(len(warned), 'service')}: {some_of(warned)}"
        at.note(what, "the console shows them on the service's page")
    enabled = sum(model.active is not None for model in found.models.values())
    return f"{count(len(found.models), 'service')}, {enabled:,} enabled"


def _problems(sid: str, model: MessagingService) -> list[Problem]:
    if model.sid != sid:
        return [Problem(("sid",), "other_key", f"is {model.sid}, not the record's key")]
    values = values_of(model)
    draft = [one.under("opt_out") for one in problems_of(config_of(model.opt_out), values=values)]
    if model.active is None or model.active == model.opt_out:
        return draft
    active = problems_of(config_of(model.active), values=values)
    return [*draft, *(one.under("active") for one in active)]


def _pool_of(sid: str, model: MessagingService) -> Pool:
    addresses = [sender.address for sender in model.senders]
    # Both services may be stored so, and each finding must be reported.
    return Pool(f"service {sid}", model.account_sid, addresses, set())


async def keys(at: Examination) -> str:
    """Open the token of every account that is not closed."""
    topics = Topics.under(at.settings.topic_prefix)
    found = await stored(at, topics.accounts, Account.model_validate_json)
    for sid, why in found.unreadable.items():
        what = f"account {sid}: its record cannot be read: {why}"
        at.wrong(what, "find who wrote it; `optout accounts rotate` cannot mend it")
    known = {key_id(key) for key in at.settings.sealing_keys()}
    lacking: dict[str, list[str]] = defaultdict(list)  # accounts by the key that sealed the token
    damaged = []
    used = [one for one in found.models.values() if not one.closed_at]
    for account in used:
        sealed_by = _key_of(account)
        if sealed_by and sealed_by not in known:
            lacking[sealed_by].append(account.sid)
        elif not sealed_by or not _opens(at, account):
            damaged.append(account.sid)
    for sealed_by, sids in sorted(lacking.items()):
        what = f"key {sealed_by} is not in OPTOUT_SECRET_KEYS; it sealed tokens of {some_of(sids)}"
        at.wrong(what, "add the key, or make new tokens with `optout accounts rotate`")
    if damaged:
        what = f"no key opens the tokens of {some_of(damaged)}, which are damaged"
        at.wrong(what, "make new tokens with `optout accounts rotate`")
    if not known and not used:
        at.note("OPTOUT_SECRET_KEYS: not set, and the first account needs it", _MAKE_A_KEY)
    return f"{count(len(used), 'account')}, {count(len(known), 'key')}"


def _key_of(account: Account) -> str | None:
    try:
        return sealed_with(account.sealed_token)
    except ValueError:
        return None


def _opens(at: Examination, account: Account) -> bool:
    try:
        keys = at.settings.sealing_keys()
        return unseal(account.sealed_token, keys, about=account.sid) is not None
    except ValueError:
        return False
