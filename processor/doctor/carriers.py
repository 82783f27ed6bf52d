"""The stored carriers: their secrets, their providers' servers, the processes that serve them."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import Mapping
from ipaddress import ip_network

from processor import clocks
from processor.carriers.adapter import Connection
from processor.configuration.carriers import about
from processor.doctor.examination import Examination
from processor.doctor.findings import count, some_of
from processor.doctor.stored import stored
from processor.errors import ConfigError
from processor.kafka.reading import read_whole
from processor.kafka.topics.topic_admin import members
from processor.statistics.carrier_history import SILENT_MS
from processor.webhooks.addresses import host_and_port, parts_of
from processor.webhooks.client import Client, Limits
from processor.webhooks.requests import Request
from processor.webhooks.retries import Failure, Overrides
from processor.wire.carrier_figures import read
from processor.wire.carriers import connection_of
from processor.wire.credentials import unseal
from processor.wire.json_values import UNREADABLE
from processor.wire.topics import Topics
from schemas.carrier import Carrier, Secret

_EVERYWHERE = (ip_network("0.0.0.0/0"), ip_network("::/0"))  # as the lane, see ``carrier_lanes``
_SERVE = "run `optout carriers` behind the address that providers call"
_CORRECT = "correct `api_url`, or see name servers and firewalls of this machine"
_WORK = "start a worker whose OPTOUT_ROLES name carriers"


async def carriers(at: Examination) -> str:
    """Check every stored carrier, and who serves it; without carriers there is nothing to check."""
    topics = Topics.under(at.settings.topic_prefix)
    found = await stored(at, topics.carriers, Carrier.model_validate_json)
    for name, why in found.unreadable.items():
        what = f"carrier {name}: its record cannot be read: {why}"
        at.wrong(what, "find who wrote it, and run `optout carriers apply` with the right file")
    if not found.models:
        return "no carrier is stored"
    connections = [_connection(at, one) for one in found.models.values()]
    if at.settings.carriers_url is None:
        what = (
            "OPTOUT_CARRIERS_URL is not set: no reports are asked for, and proxies break signatures"
        )
        at.note(what, "set it to the address that providers call")
    await _reach(at, connections)
    await _served(at, topics, found.models)
    return f"{count(len(found.models), 'carrier')}: {some_of(sorted(found.models))}"


def _connection(at: Examination, carrier: Carrier) -> Connection:
    opened = {name: _opened(at, carrier.name, one) for name, one in carrier.secrets.items()}
    for name, secret in carrier.secrets.items():
        if opened[name] is None:
            lacks = f"carrier {carrier.name}: {name} cannot be opened here"
            remedy = (
                f"set {secret.env} for `optout carriers` and workers with the role carriers"
                if secret.env
                else "add the key that sealed it to OPTOUT_SECRET_KEYS, or apply its file again"
            )
            # Only the processes that use it need it; each of them reports what it lacks.
            (at.wrong if at.role == "carriers" or secret.env is None else at.note)(lacks, remedy)
    return connection_of(carrier, opened)


def _opened(at: Examination, name: str, secret: Secret) -> str | None:
    if secret.env is not None:
        return os.environ.get(secret.env) or None
    try:
        return unseal(secret.sealed or "", at.settings.sealing_keys(), about=about(name))
    except (ValueError, ConfigError):
        return None


async def _reach(at: Examination, connections: list[Connection]) -> None:
    """Ask each provider's server, and our own address, for a page; any answer will do."""
    named: dict[str, list[str]] = defaultdict(list)
    for one in connections:
        if one.api_url:
            named[_origin(one.api_url)].append(one.name)
    ours = at.settings.carriers_url
    limits = Limits(at.settings.webhook_connect_s, at.settings.carrier_timeout_s)
    client = Client(_EVERYWHERE, limits, most_idle=0)

    async def why_not(origin: str) -> str | None:
        answer = await client.ask(Request("HEAD", f"{origin}/", {}, None, Overrides()))
        is_silent = isinstance(answer, Failure) and answer.status is None
        return answer.reason if isinstance(answer, Failure) and is_silent else None

    async def look(origin: str, names: list[str]) -> None:
        if why := await why_not(origin):
            at.wrong(f"{origin} ({some_of(names)}): {why}", _CORRECT)

    try:
        async with asyncio.TaskGroup() as group:
            for origin, names in sorted(named.items()):
                group.create_task(look(origin, names))
        if ours and (why := await why_not(_origin(ours))):
            # Providers may reach it all the same.
            at.note(f"OPTOUT_CARRIERS_URL: {ours} is not reached from here: {why}", _SERVE)
    finally:
        await client.close()


def _origin(url: str) -> str:
    host, port = host_and_port(url)
    return f"{parts_of(url).scheme}://{f'[{host}]' if ':' in host else host}:{port}"


async def _served(at: Examination, topics: Topics, models: Mapping[str, Carrier]) -> None:
    """See that a worker hands messages over and that routes are served, with all secrets."""
    group = f"{at.settings.topic_prefix}carriers"
    if not (await members(at.settings, [group]))[group]:
        at.wrong("no worker with the role carriers runs, so nothing is handed over", _WORK)
    if at.role != "operator":
        return  # others may not read the figures
    since_ms = clocks.now_ms() - SILENT_MS
    served, lacking = set[str](), defaultdict[str, set[str]](set)
    async for record in read_whole(
        at.settings, topics.carrier_figures, partitions=[0], since_ms=since_ms
    ):
        try:
            figure = read(record.value or b"")
        except UNREADABLE:
            continue  # others may write there, too
        if figure.part == "inbound":
            served.add(figure.carrier)
        lacking[figure.carrier].update(figure.state.closed)
    if unserved := sorted(set(models) - served):
        at.wrong(f"no `optout carriers` serves {some_of(unserved)}", f"{_SERVE}; or wait a minute")
    for name, secrets in sorted(lacking.items()):
        if name in models and secrets:
            what = f"carrier {name}: a process lacks {some_of(sorted(secrets))}"
            at.wrong(what, "give it to each `optout carriers` and worker")
