"""No URL that a schema accepts makes webhooks raise, and only valid URLs are requested."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from processor.kafka.writing import Outgoing
from processor.stages.deliver_webhooks import Delivery
from processor.webhooks.addresses import host_and_port, parts_of, url_problem
from processor.webhooks.client import Client, Limits
from processor.webhooks.requests import request_of
from processor.webhooks.retries import overrides_of
from processor.webhooks.signature import signed_url
from schemas.common import Url
from tests.deliveries import TOPICS, a_delivery, a_record, a_stage, a_status

TAKEN = TypeAdapter(Url)
ODD = st.sampled_from(
    [*"[]@:/?#%\\;=&.-_~*+,!$'()|<>{}^`\"", "℀", "ß", "\x00", "\x1b", "\x7f", "%0a"]
)
PIECES = ODD | st.sampled_from(["a", "1", "::1", "xn--", "127.0.0.1", "99999", "ct=1", "rp=all"])


def is_taken(url: str) -> bool:
    try:
        TAKEN.validate_python(url)
    except ValidationError:
        return False
    return True


URLS = st.builds(
    lambda scheme, rest: scheme + "".join(rest),
    st.sampled_from(["http://", "https://"]),
    st.lists(PIECES | st.characters(codec="utf-8"), min_size=1, max_size=30),
).filter(is_taken)


@given(URLS)
@example("http://[")
@example("http://a℀b.com")
@example("http://a:b@[::1]:99999999999999999999999/?x#ct=²")
def test_a_url_is_split_as_python_does_it_wherever_python_does(url: str) -> None:
    parts = parts_of(url)
    host_and_port(url)
    overrides_of(url)
    signed_url(url)
    try:
        expected = urlsplit(url)
    except ValueError:
        assert url_problem(url) is not None
        return
    assert parts == expected
    if url_problem(url) is None:
        request = request_of(url, "GET", {"From": "+1"}, token="x", repeat_token="y")
        assert request.url.isascii()
        assert host_and_port(request.url)[0] == expected.hostname


class NoNames(AbstractResolver):
    """Knows no host."""

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        raise OSError(None, "not found")

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("topic", [TOPICS.webhook_deliveries, TOPICS.message_statuses])
@given(url=URLS, fallback=st.none() | URLS, attempt=st.integers(1, 4))
@example(url="http://[", fallback="http://a℀b.com", attempt=2)
def test_whatever_its_url_a_delivery_ends_in_a_retry_or_a_dead_letter(
    topic: str, url: str, fallback: str | None, attempt: int
) -> None:
    stage = a_stage()
    stage.client = Client((), Limits(0.1, 0.1), resolver=NoNames)
    if topic == TOPICS.message_statuses:
        value = a_status(status_callback=url)
    else:
        changes: dict[str, Any] = {"url": url, "attempt": attempt}
        value = a_delivery(**changes | ({"fallback_url": fallback} if fallback else {}))
    work = stage.work_of(a_record(topic, value))
    assert isinstance(work, Delivery)
    assert work.has_room
    [put_off] = work.put_off()
    assert isinstance(put_off, Outgoing)

    async def done() -> Any:
        try:
            return await work.do()
        finally:
            await stage.client.close()

    [outcome] = asyncio.run(done())
    assert outcome.topic in {TOPICS.dead_letters, *TOPICS.webhook_retries}
    assert json.loads(outcome.value)["url"] == url
    assert stage.counts["unexpected"] == 0
