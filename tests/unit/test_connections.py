"""Slow, idle, endless or too many connections end, and no other client waits for them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from ipaddress import ip_network

import pytest

from processor.http import connections
from tests.edge import FORM, HALF, LAST, heard, serving_alone
from tests.installation import until

pytestmark = pytest.mark.slow  # it waits for time-outs of real connections

WHOLE = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


async def test_400_half_sent_requests_end_and_others_are_answered_meanwhile() -> None:
    async with serving_alone(api_header_s=1.0, api_client_connections=500) as edge:
        streams = [await edge.connect(HALF) for _ in range(400)]
        assert (await edge.ask(LAST)).startswith(b"HTTP/1.1 200 ")
        answers = await asyncio.gather(*(heard(*one) for one in streams))
        assert {one.partition(b"\r\n")[0] for one in answers} == {b"HTTP/1.1 408 Refused"}
        assert b'"code":20001' in answers[0]
        await edge.has(0)
        metrics = await edge.ask(LAST.replace(b"livez", b"metrics"))
        assert b'optout_api_connections_ended_total{status="408"} 400.0' in metrics


async def test_who_sends_nothing_is_closed_and_told_nothing() -> None:
    async with serving_alone(api_header_s=0.5) as edge:
        assert await edge.ask(b"") == b""


async def test_who_sends_a_byte_now_and_then_has_no_more_time() -> None:
    async with serving_alone(api_header_s=1.0) as edge:
        reader, writer = await edge.connect(HALF)

        async def trickle() -> None:
            with contextlib.suppress(ConnectionError):
                while True:
                    writer.write(b"x")
                    await writer.drain()
                    await asyncio.sleep(0.05)

        trickling = asyncio.create_task(trickle())
        assert (await heard(reader, writer)).startswith(b"HTTP/1.1 408 ")
        trickling.cancel()


@pytest.mark.parametrize("rest", [b"", b"\r\n", HALF])
async def test_a_kept_connection_ends_when_no_whole_request_follows(rest: bytes) -> None:
    async with serving_alone(api_header_s=0.5, api_keep_alive_s=1) as edge:
        reader, writer = await edge.connect(WHOLE)
        assert await reader.readuntil(b"\r\n") == b"HTTP/1.1 200 OK\r\n"
        writer.write(rest)
        await heard(reader, writer)
        await edge.has(0)


async def test_a_request_that_arrives_while_the_server_stands_still_is_answered() -> None:
    async with serving_alone(api_keep_alive_s=1) as edge:
        reader, writer = await edge.connect(WHOLE)
        await reader.readuntil(b"}")
        loop = asyncio.get_running_loop()

        def stand_still() -> None:
            time.sleep(1.5)  # past the keep-alive, which is found to be over before the request
            loop.call_soon(writer.write, LAST)

        loop.call_later(0.5, stand_still)
        assert b"HTTP/1.1 200 OK" in await heard(reader, writer)


async def test_a_body_that_trickles_ends_and_one_that_comes_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "_BODY_PATIENCE_S", 3.0)
    async with serving_alone() as edge:
        slow = await edge.connect(FORM + b"100000\r\n\r\n")
        steady = await edge.connect(FORM + b"100000\r\n\r\n")

        async def send(writer: asyncio.StreamWriter, size: int) -> None:
            with contextlib.suppress(ConnectionError):
                for _ in range(50):
                    writer.write(b"x" * size)
                    await writer.drain()
                    await asyncio.sleep(0.1)

        sending = [
            asyncio.create_task(send(slow[1], 1)),
            asyncio.create_task(send(steady[1], 2000)),
        ]
        assert (await heard(*slow)).startswith(b"HTTP/1.1 408 ")
        assert b"HTTP/1.1 403 " in await heard(*steady)  # read whole; it is not one of our forms
        await asyncio.gather(*sending)


async def test_a_body_that_goes_on_after_its_answer_ends() -> None:
    async with serving_alone(api_header_s=0.5, api_keep_alive_s=600) as edge:
        asked = b"POST /v1/Services HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
        answer = await edge.ask(asked)
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert answer.count(b"HTTP/1.1") == 1
        await edge.has(0)


async def test_a_connection_goes_on_after_a_body_that_was_not_needed() -> None:
    async with serving_alone(api_header_s=5.0) as edge:
        asked = b"POST /v1/Services HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"
        reader, writer = await edge.connect(asked)
        assert b" 401 " in await reader.readuntil(b"\r\n")
        writer.write(b"0123456789" + LAST)
        assert b"HTTP/1.1 200 OK" in await heard(reader, writer)


@pytest.mark.parametrize(
    "given",
    [
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Large: " + b"a" * 100_000,
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Large: " + b"a" * 70_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 300 + b"\r\n",
    ],
    ids=["endless", "large", "path", "many"],
)
async def test_headers_have_a_size(given: bytes) -> None:
    async with serving_alone() as edge:
        assert (await edge.ask(given)).startswith(b"HTTP/1.1 431 ")


async def test_what_stands_around_a_body_has_a_size_too() -> None:
    head = FORM.replace(b"Content-Length: ", b"Transfer-Encoding: chunked\r\n\r\n")
    async with serving_alone() as edge:
        assert b" 431 " in await edge.ask(head + b"1;" + b"x" * 100_000)  # an endless extension
        assert b" 431 " in await edge.ask(head + b"1\r\na\r\n0\r\n" + b"a: b\r\n" * 20_000)


async def test_a_large_body_is_not_counted_against_the_next_request() -> None:
    asked = FORM.replace(b"Connection: close\r\n", b"") + b"200000\r\n\r\n" + b"x" * 200_000
    async with serving_alone() as edge:
        reader, writer = await edge.connect(asked)
        assert b" 403 " in await reader.readuntil(b"\r\n")
        writer.write(asked + LAST)
        answers = await heard(reader, writer)
    assert answers.count(b"HTTP/1.1 403 ") == 1
    assert answers.count(b"HTTP/1.1 200 ") == 1


async def test_a_flood_of_requests_at_once_ends() -> None:
    async with serving_alone() as edge:
        answers = await edge.ask(WHOLE * 5_000)
        assert answers.count(b"HTTP/1.1 200") <= 101


async def test_one_client_has_not_all_connections() -> None:
    async with serving_alone(api_client_connections=5) as edge:
        streams = [await edge.connect() for _ in range(5)]
        await edge.has(5)
        refused = await edge.ask(b"")
        assert refused.startswith(b"HTTP/1.1 429 ")
        assert b'"code":20429' in refused
        assert (await edge.ask(LAST, of="127.0.0.2")).startswith(b"HTTP/1.1 200 ")
        streams.pop()[1].close()
        await edge.has(4)
        assert (await edge.ask(LAST)).startswith(b"HTTP/1.1 200 ")


async def test_where_all_are_taken_who_has_most_makes_room() -> None:
    async with serving_alone(api_connections=10, api_client_connections=9) as edge:
        greedy = [await edge.connect(HALF) for _ in range(9)]
        modest = await edge.connect(HALF, of="127.0.0.2")
        await edge.has(10)
        assert (await edge.ask(LAST, of="127.0.0.3")).startswith(b"HTTP/1.1 200 ")
        assert (await heard(*greedy[0])).startswith(b"HTTP/1.1 503 ")
        modest[1].write(b"x\r\nConnection: close\r\n\r\n")
        assert (await heard(*modest)).startswith(b"HTTP/1.1 200 ")


async def test_where_all_are_taken_nobody_is_sent_away_for_his_like() -> None:
    async with serving_alone(api_connections=10, api_client_connections=9) as edge:
        streams = [await edge.connect(HALF, of=f"127.0.0.{number + 2}") for number in range(10)]
        await edge.has(10)
        refused = await edge.ask(LAST)
        assert refused.startswith(b"HTTP/1.1 503 ") or not refused  # closed while it was sent
        assert len(edge.connections) == 10
        assert not any(reader.at_eof() for reader, _ in streams)


async def test_a_trusted_proxy_connects_for_many() -> None:
    proxies = (ip_network("127.0.0.2/32"),)
    async with serving_alone(api_client_connections=2, trusted_proxies=proxies) as edge:
        for _ in range(5):
            await edge.connect(HALF, of="127.0.0.2")
        await edge.has(5)


async def test_who_reads_no_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_UNREAD_S", 1.0)
    async with serving_alone(api_keep_alive_s=600) as edge:
        large = b"GET /docs/static/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.port, limit=1024)
        writer.write(large * 20)

        async def ended() -> bool:
            return len(edge.connections) == 0

        await edge.has(1)
        await until(ended, "end of the connection")
        assert not reader.at_eof()
        writer.transport.abort()


async def test_a_client_that_breaks_off_leaves_no_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving_alone() as edge:
        _, writer = await edge.connect(FORM + b"1000\r\n\r\nsome of it")
        await edge.has(1)
        writer.close()
        await edge.has(0)
        answer = await edge.ask(LAST)
        assert answer.startswith(b"HTTP/1.1 200 ")
    assert [one for one in caplog.records if one.exc_info or one.levelname == "ERROR"] == []


async def test_a_client_is_not_blamed_for_a_process_that_stood_still() -> None:
    async with serving_alone(api_header_s=5.0) as edge:
        head, rest = FORM + b"1000\r\n\r\n", b"x" * 1_000
        half, body = await edge.connect(HALF), await edge.connect(head)
        await edge.has(2)
        await edge.looked()
        edge.connections._looked_s -= 3_600  # as if the process had been frozen for an hour
        await edge.looked()
        half[1].write(b"x\r\nConnection: close\r\n\r\n")
        body[1].write(rest)
        assert (await heard(*half)).startswith(b"HTTP/1.1 200 ")
        assert (await heard(*body)).startswith(b"HTTP/1.1 403 ")
