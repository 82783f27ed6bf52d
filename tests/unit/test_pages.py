"""The worker's pages: their paths, their access and their headers. No broker is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from pydantic import SecretStr

from processor.browser_headers import DATA_HEADERS
from processor.config import Settings
from processor.worker.faust_host import create_app

TOKEN = "a token for metrics"
BEARER = {"Authorization": f"Bearer {TOKEN}"}

Client = TestClient[Any, Any]
Serve = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def pages(unused_tcp_port: int) -> Serve:
    """Serves the pages of a worker with these settings."""

    @asynccontextmanager
    async def served(**settings: Any) -> AsyncIterator[Client]:
        app = create_app(Settings(web_port=unused_tcp_port, **settings))
        app.web.init_server()
        async with TestClient(TestServer(app.web.web_app)) as client:
            yield client

    return served


async def status_of(client: Client, path: str, headers: dict[str, str] | None = None) -> int:
    async with client.get(path, headers=headers) as answer:
        return answer.status


async def test_a_worker_serves_its_own_pages_and_none_of_fausts(pages: Serve) -> None:
    async with pages() as client:
        ours = ["/livez", "/metrics", "/opt-out-rates"]
        assert [await status_of(client, path) for path in ours] == [200, 200, 200]
        assert await status_of(client, "/readyz") == 503  # it has not begun
        fausts = [
            "/",
            "/router/",
            "/table/",
            "/table/hours/",
            "/graph/",
            "/performance/",
            "/stats/",
        ]
        assert {await status_of(client, path) for path in fausts} == {404}


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/opt-out-rates", "/nowhere"])
async def test_every_answer_of_a_worker_has_the_headers(pages: Serve, path: str) -> None:
    async with pages() as client, client.get(path) as answer:
        assert DATA_HEADERS.items() <= dict(answer.headers).items()
        assert "Server" not in answer.headers


async def test_rates_are_for_this_machine_alone_unless_there_is_a_token(pages: Serve) -> None:
    async with pages(web_host="0.0.0.0") as client:
        async with client.get("/opt-out-rates") as answer:
            assert answer.status == 403
            assert "OPTOUT_METRICS_TOKEN" in (await answer.json())["error"]
        assert await status_of(client, "/metrics") == 200  # it names no account


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
async def test_with_a_token_only_who_has_it_reads_metrics_and_rates(
    pages: Serve, host: str
) -> None:
    async with pages(web_host=host, metrics_token=SecretStr(TOKEN)) as client:
        for path in ("/metrics", "/opt-out-rates"):
            without: list[dict[str, str]] = [{}, {"Authorization": f"Bearer {TOKEN}x"}]
            without += [{"Authorization": f"Basic {TOKEN}"}, {"Authorization": "Bearer é"}]
            assert {await status_of(client, path, one) for one in without} == {401}
        assert await status_of(client, "/metrics", BEARER) == 200
        assert await status_of(client, "/opt-out-rates", BEARER) == 200
        assert await status_of(client, "/livez") == 200
