"""One host's cost to requests to other hosts: no thread, few addresses, few idle connections."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from processor.webhooks import descriptors
from processor.webhooks.client import Client, Limits
from processor.webhooks.requests import Answered, Request
from processor.webhooks.retries import Failure, Overrides, Why
from tests.application import application
from tests.installation import until

HERE = [ip_network("127.0.0.0/8"), ip_network("::1/128")]
LIMITS = Limits(connect_s=20, total_s=20)


def a_request(url: str) -> Request:
    return Request("POST", url, {}, b"", Overrides())


async def test_names_that_nobody_answers_for_keep_no_other_name_waiting() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        server = f"127.0.0.1:{silent.getsockname()[1]}"
        client = Client(HERE, LIMITS, resolver=lambda: aiohttp.AsyncResolver(nameservers=[server]))
        async with application() as app:
            waiting = [
                asyncio.create_task(client.ask(a_request(f"http://name{number}.example/")))
                for number in range(200)
            ]
            await asyncio.sleep(0)
            answer = await client.ask(a_request(f"http://localhost:{app.port}/"))
        assert isinstance(answer, Answered)
        assert not any(task.done() for task in waiting)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await client.close()


class ManyAddresses(AbstractResolver):
    """A host with a hundred addresses of each family."""

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=f"{prefix}{number + 1}",
                port=port,
                family=of_family,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for prefix, of_family in (("127.2.0.", socket.AF_INET), ("fe80::", socket.AF_INET6))
            for number in range(100)
        ]

    async def close(self) -> None:
        pass


async def test_of_a_host_with_many_addresses_two_are_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[str] = []
    client = Client(HERE, LIMITS, resolver=ManyAddresses)
    make = client._socket

    def note_and_make(address: Any) -> socket.socket:
        tried.append(address[4][0])
        return make(address)

    monkeypatch.setattr(client, "_socket", note_and_make)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        answer = await client.ask(a_request(f"http://many.example:{free.getsockname()[1]}/"))
    assert isinstance(answer, Failure)
    assert sorted(tried) == ["127.2.0.1", "fe80::1"]
    await client.close()


async def test_few_connections_are_kept_that_nothing_is_asked_over() -> None:
    open_now = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now
        open_now += 1
        while await reader.read(65_536):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        open_now -= 1
        writer.close()

    server = await asyncio.start_server(answer, "0.0.0.0", 0)
    port = server.sockets[0].getsockname()[1]
    client = Client(HERE, LIMITS, most_idle=3)
    async with server:
        for number in range(20):
            told = await client.ask(a_request(f"http://127.3.0.{number + 1}:{port}/"))
            assert isinstance(told, Answered)

        async def few() -> bool:
            return open_now <= 3

        await until(few, "three open connections")
        assert open_now == 3
        await client.close()


@contextmanager
def descriptors_at_most(soft: int) -> Iterator[None]:
    was = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, was[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, was)


async def test_where_no_socket_is_left_it_is_not_the_endpoints_fault() -> None:
    client = Client(HERE, LIMITS)
    async with application() as app:
        # None at all, because a descriptor of an earlier test may be closed at any moment.
        with descriptors_at_most(0):
            answer = await client.ask(a_request(app.url("/")))
    await client.close()
    assert isinstance(answer, Failure)
    assert answer.why is Why.BUSY


def test_requests_have_a_quarter_of_the_descriptors_and_a_worker_takes_what_it_may(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with descriptors_at_most(400):
        assert descriptors.most_requests(1_000) == 100
        assert "webhooks.few_descriptors" in caplog.text
        descriptors.raise_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (min(hard, 65_536), hard)
        assert descriptors.most_requests(1_000) == 1_000
