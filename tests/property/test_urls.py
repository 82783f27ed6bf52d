"""All later readers can read a URL that is accepted; all others are refused."""

from __future__ import annotations

import re
from urllib.parse import urljoin

from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from processor.webhooks.addresses import url_problem
from processor.webhooks.requests import request_of
from processor.webhooks.retries import overrides_of
from processor.webhooks.signature import signed_url
from schemas.common import Url, pattern_of

PATTERN = re.compile(pattern_of(Url))
PARTS = st.sampled_from(
    [
        *("[", "]", "@", ":", "/", "//", "?", "#", "%", "\\", ".", "..", "-", "xn--", "*", ","),
        *("h", "example.com", "user:pass@", "[::1]", "127.0.0.1", "0x7f.1", ":80", ":65536"),
        *("\x00", "\x7f", "\u0085", "\u2028", "\ud800", "é", "℀", "８０", "。", "\u200d", "💥"),
        *("ct=9&rp=5xx", "&&=;", "%00", "%zz"),
    ]
)
URLS = st.builds(
    lambda scheme, parts: scheme + "".join(parts),
    st.sampled_from(["http://", "https://", "HTTP://", "http:", ""]),
    st.lists(PARTS | st.text(max_size=3), max_size=8),
)


@given(URLS | st.text() | st.from_regex(PATTERN))
@example("http://[")
@example("http://a℀b.com")
@example("http://xn--a.com/")
@example("http://h:８０/")
@example("http://[::1]%")
@example("http://][::1]")
def test_what_is_let_through_can_be_read_signed_and_asked(url: str) -> None:
    if url_problem(url) is not None:
        return
    read = URL(url, encoded=True)
    assert read.host
    assert (read.port or 0) > 0
    overrides_of(url)
    urljoin(signed_url(url), "a")
    for method in ("GET", "POST"):
        request = request_of(url, method, {"A": "b"}, token="t", repeat_token="r")
        assert URL(request.url, encoded=True).raw_host == read.raw_host
        assert request.url.isascii()
        assert not re.search(r"[\s\x00-\x1f]", request.url)
