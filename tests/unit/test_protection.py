"""Response headers, cross-site writes, proxies' headers and TLS: through real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import re
from ipaddress import ip_network
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from fastapi import Request

from processor import certificates
from processor.browser_headers import DATA_HEADERS
from processor.cli import main
from processor.config import Settings
from processor.http.api import create_api
from processor.http.links import url_of
from processor.http.serving import clear_text
from tests.edge import Edge, Pki, serving_alone
from tests.installation import until

pytestmark = pytest.mark.slow  # it waits for time-outs of real connections

POST = b"POST /v1/Services HTTP/1.1\r\nHost: optout.example\r\nContent-Length: 900000\r\n"
KEPT_AS_IT_IS = {"Content-Security-Policy", "Cache-Control", "Referrer-Policy"}  # pages differ


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (b"GET /livez HTTP/1.1\r\nHost: x\r\n", 200),
        (b"GET /nowhere HTTP/1.1\r\nHost: x\r\n", 404),
        (b"GET /v1/Services HTTP/1.1\r\nHost: x\r\n", 401),
        (b"DELETE /livez HTTP/1.1\r\nHost: x\r\n", 405),
        (b"POST /v1/Services HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n", 413),
        (POST + b"Origin: https://evil.example\r\n", 403),
        (b"GET /livez HTTP/1.1\r\nno header\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n", 431),
        (b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n", 200),
        (b"GET /docs HTTP/1.1\r\nHost: x\r\n", 200),
        (b"GET /docs/static/docs.js HTTP/1.1\r\nHost: x\r\n", 200),
        (b"GET /docs/static/nothing.js HTTP/1.1\r\nHost: x\r\n", 404),
        (b"GET /console/sign-in HTTP/1.1\r\nHost: x\r\n", 200),
        (b"GET /console HTTP/1.1\r\nHost: x\r\n", 503),
        (b"GET /console/static/console.css HTTP/1.1\r\nHost: x\r\n", 200),
    ],
)
async def test_every_answer_has_the_headers(given: bytes, status: int) -> None:
    async with serving_alone() as edge:
        answer = await edge.ask(given + b"Connection: close\r\n\r\n")
    head, *lines = answer.partition(b"\r\n\r\n")[0].decode().splitlines()
    headers = httpx.Headers([(line.partition(": ")[0], line.partition(": ")[2]) for line in lines])
    assert head.split()[1] == str(status)
    for name, value in DATA_HEADERS.items():
        assert headers.get(name) == value or (name in KEPT_AS_IT_IS and headers.get(name)), name
        assert len(headers.get_list(name)) == 1
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert "server" not in headers
    assert "strict-transport-security" not in headers


async def test_a_failure_of_ours_has_the_headers_too() -> None:
    async with serving_alone() as edge:

        @edge.api.get("/fails")
        async def fails(request: Request) -> None:
            raise RuntimeError("a defect")

        answer = (
            await edge.ask(b"GET /fails HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        ).lower()
    assert b"http/1.1 500 " in answer
    assert b"x-content-type-options: nosniff" in answer


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "header",
    ["Origin: https://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site"],
)
async def test_a_write_of_another_site_is_refused_before_its_body_is_read(
    method: str, header: str
) -> None:
    given = POST.replace(b"POST", method.encode()) + header.encode() + b"\r\n\r\n"
    async with serving_alone(api_header_s=0.5) as edge:
        answer = await edge.ask(given)  # without any body
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b'"code":20003' in answer
    assert b"more_info" in answer


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://optout.example"},
        {"Origin": "https://public.example"},
        {"Origin": "null", "Sec-Fetch-Site": "same-origin"},
    ],
)
async def test_a_write_of_ours_or_of_a_client_goes_on_to_the_login(headers: dict[str, str]) -> None:
    public = "https://public.example"
    async with serving_alone(public_url=public) as edge, httpx.AsyncClient() as client:
        url = f"http://127.0.0.1:{edge.port}/v1/Services"
        mine = {"Host": "optout.example", **headers}
        assert (await client.post(url, headers=mine)).status_code == 401


async def asked(edge: Edge, **headers: str) -> list[str]:
    """The client and the link that the API takes from a request."""

    @edge.api.get("/who")
    async def who(request: Request) -> list[str]:
        return [request.client.host if request.client else "", url_of(request, "/x")]

    async with httpx.AsyncClient() as client:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await client.get(f"http://127.0.0.1:{edge.port}/who", headers=given)
    found: list[str] = answer.json()
    return found


FORWARDED = {
    "Host": "optout.internal",
    "X_Forwarded_For": "198.51.100.7, 203.0.113.9",
    "X_Forwarded_Proto": "https",
    "X_Forwarded_Host": "optout.example",
}


async def test_what_is_forwarded_by_anybody_is_not_believed() -> None:
    async with serving_alone() as edge:
        assert await asked(edge, **FORWARDED) == ["127.0.0.1", "http://optout.internal/x"]


async def test_what_a_trusted_proxy_forwards_is_believed() -> None:
    async with serving_alone(trusted_proxies=(ip_network("127.0.0.0/8"),)) as edge:
        assert await asked(edge, **FORWARDED) == ["203.0.113.9", "https://optout.example/x"]


@pytest.mark.parametrize(
    "forwarded",
    [
        {"X_Forwarded_Proto": "javascript"},
        {"X_Forwarded_Host": "evil.example/path?"},
        {"X_Forwarded_Host": "user:pass@evil.example"},
        {"X_Forwarded_Host": "a b"},
        {"X_Forwarded_For": "<script>"},
    ],
)
async def test_what_is_no_scheme_host_or_address_is_not_repeated(forwarded: dict[str, str]) -> None:
    async with serving_alone(trusted_proxies=(ip_network("127.0.0.0/8"),)) as edge:
        client, link = await asked(edge, Host="optout.internal", **forwarded)
        assert client == "127.0.0.1"
        assert link in ("http://optout.internal/x", "http://localhost/x")


# Metrics

TOKEN = "a token for metrics"


@pytest.mark.parametrize(
    ("settings", "given", "status"),
    [
        ({}, "", 200),
        ({"api_host": "0.0.0.0"}, "", 403),
        ({"api_host": "0.0.0.0", "metrics_token": TOKEN}, "", 401),
        ({"metrics_token": TOKEN}, "", 401),
        ({"metrics_token": TOKEN}, f"Bearer {TOKEN}!", 401),
        ({"metrics_token": TOKEN}, f"Bearer {TOKEN}", 200),
        ({"api_host": "0.0.0.0", "metrics_token": TOKEN}, f"Bearer {TOKEN}", 200),
    ],
)
async def test_metrics_are_for_this_machine_or_for_who_has_the_token(
    settings: dict[str, str], given: str, status: int
) -> None:
    async with serving_alone(**settings) as edge, httpx.AsyncClient() as client:
        url = f"http://127.0.0.1:{edge.port}/metrics"
        answer = await client.get(url, headers={"Authorization": given})
    assert answer.status_code == status
    assert ("optout_" in answer.text) is (status == 200)


# TLS


@pytest.fixture
def pki(tmp_path: Any) -> Pki:
    return Pki(tmp_path)


async def test_with_its_files_the_api_speaks_tls_and_says_that_nothing_else_is_to_be_spoken(
    pki: Pki,
) -> None:
    async with serving_alone(**pki.files) as edge:
        async with httpx.AsyncClient(verify=pki.client) as client:
            answer = await client.get(f"https://127.0.0.1:{edge.port}/console/sign-in")
        assert answer.status_code == 200
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        assert "Secure" in answer.headers["set-cookie"]
        assert b"HTTP" not in await edge.ask(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")


async def test_a_certificate_that_was_renewed_is_served_without_a_restart(
    pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificates, "_LOOK_S", 0.1)
    async with serving_alone(**pki.files) as edge:

        async def names() -> set[str]:
            _, writer = await asyncio.open_connection("127.0.0.1", edge.port, ssl=pki.client)
            peer = writer.get_extra_info("peercert")
            writer.transport.abort()
            return {str(name) for _, name in peer["subjectAltName"]}

        assert await names() == {"127.0.0.1"}
        pki.give("127.0.0.1", "renewed.example")
        keeping = asyncio.create_task(certificates.keep_current())

        async def renewed() -> bool:
            return "renewed.example" in await names()

        await until(renewed, "new certificate")
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping


async def test_a_handshake_that_does_not_come_ends(pki: Pki) -> None:
    async with serving_alone(api_header_s=0.5, **pki.files) as edge:
        assert await edge.ask(b"") == b""
        assert await edge.ask(b"\x16\x03\x01\x02\x00") == b""  # the beginning of a handshake


@pytest.mark.parametrize("content", [None, "nonsense"])
def test_tls_files_that_cannot_be_used_stop_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, content: str | None
) -> None:
    for name in ("cert", "key"):
        file = tmp_path / name
        monkeypatch.setenv(f"OPTOUT_API_{name.upper()}FILE", str(file))
        if content:
            file.write_text(content)
    result = CliRunner().invoke(main, ["api"])
    assert result.exit_code == 2, result.output
    assert "OPTOUT_API_CERTFILE, OPTOUT_API_KEYFILE: " in result.output


# A warning


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "optout.example"])
def test_credentials_in_clear_are_warned_of(host: str) -> None:
    warning = clear_text(Settings(api_host=host))
    assert warning is not None
    assert "OPTOUT_API_CERTFILE" in warning
    assert clear_text(Settings(api_host=host, public_url="http://optout.example")) is not None


@pytest.mark.parametrize(
    "settings",
    [
        Settings(),
        Settings(api_host="localhost"),
        Settings(api_host="0.0.0.0", public_url="https://optout.example"),
        Settings(api_host="0.0.0.0", api_certfile="a", api_keyfile="b"),
    ],
)
def test_where_none_travel_in_clear_nobody_is_warned(settings: Settings) -> None:
    assert clear_text(settings) is None


# Credentials are checked before the body


def operations() -> list[tuple[str, str]]:
    """Every operation that takes a body from an authenticated caller."""
    paths = create_api(Settings()).openapi()["paths"]
    return [
        (method.upper(), re.sub(r"\{\w+\}", "x", path))
        for path, each in paths.items()
        for method, one in each.items()
        if "security" in one and "requestBody" in one
    ]


async def test_nothing_of_a_body_is_looked_at_before_the_credentials() -> None:
    found = operations()
    assert len(found) > 15
    async with serving_alone() as edge, httpx.AsyncClient() as client:
        for method, path in found:
            for kind in ("application/json", "application/x-www-form-urlencoded", "text/csv"):
                answer = await client.request(
                    method,
                    f"http://127.0.0.1:{edge.port}{path}",
                    content=b"{nonsense",
                    headers={"Content-Type": kind},
                )
                assert answer.status_code == 401, (method, path, kind, answer.text)


async def test_a_body_is_not_waited_for_where_nobody_is_known() -> None:
    head = b"POST /v1/OptOuts/Check HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    async with serving_alone(api_header_s=0.5) as edge:
        answer = await edge.ask(head + b"Content-Length: 900000\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 401 ")
