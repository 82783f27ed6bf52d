"""Whether this machine reaches the applications that webhooks are sent to."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping

from processor.doctor.examination import Examination
from processor.doctor.findings import count, some_of
from processor.doctor.stored import stored
from processor.webhooks.addresses import host_and_port, parts_of, url_problem
from processor.webhooks.client import Client, Limits
from processor.webhooks.requests import Answered, Request
from processor.webhooks.retries import Failure, Overrides, Why
from processor.wire.services import read_head
from processor.wire.topics import Topics
from schemas.messaging_service import MessagingService

_AT_ONCE = 32
_REMEDIES = {
    Why.REFUSED: "correct the URL, or allow its network with OPTOUT_WEBHOOK_ALLOW_NETWORKS",
    Why.CONNECT: "ask the application's owner; check name servers and firewalls of this machine",
    Why.READ: "ask the application's owner",
    Why.BUSY: "raise the limit of open files",
}


async def webhooks(at: Examination) -> str:
    """Ask every server that services name for a page (HEAD /); any answer will do.

    No webhook is sent: the request has no path, no fields and no login.
    """
    topic = Topics.under(at.settings.topic_prefix).messaging_services
    found = _origins(at, (await stored(at, topic, read_head)).models)
    limits = Limits(at.settings.webhook_connect_s, at.settings.webhook_timeout_s)
    client = Client(at.settings.webhook_allow_networks, limits, most_idle=0)
    turns, done = asyncio.Semaphore(_AT_ONCE), 0

    async def look(origin: str, sids: list[str]) -> None:
        nonlocal done
        async with turns:
            answer = await client.ask(Request("HEAD", f"{origin}/", {}, None, Overrides()))
        done += 1
        at.report(f"webhooks: {done:,} of {len(found):,} servers")
        if isinstance(answer, Failure) and answer.status is None:
            at.wrong(f"{origin} ({some_of(sids)}): {answer.reason}", _REMEDIES.get(answer.why, ""))
        else:
            assert isinstance(answer, Answered | Failure)

    try:
        async with asyncio.TaskGroup() as group:
            for origin, sids in sorted(found.items()):
                group.create_task(look(origin, sids))
    finally:
        await client.close()
    return f"{count(len(found), 'server')} asked" if found else "no service names a URL"


def _origins(at: Examination, services: Mapping[str, MessagingService]) -> dict[str, list[str]]:
    """The services by the scheme, host and port that they name; wrong URLs are noted."""
    found: dict[str, list[str]] = defaultdict(list)
    for sid, service in services.items():
        for name, url in _urls(service):
            if problem := url_problem(url):
                at.wrong(f"service {sid}: {name}: {problem}", "correct the URL")
                continue
            host, port = host_and_port(url)
            origin = f"{parts_of(url).scheme}://{f'[{host}]' if ':' in host else host}:{port}"
            if sid not in found[origin]:
                found[origin].append(sid)
    return found


def _urls(service: MessagingService) -> Iterator[tuple[str, str]]:
    for name in ("inbound_request_url", "fallback_url", "status_callback"):
        if url := getattr(service, name):
            yield name, url
