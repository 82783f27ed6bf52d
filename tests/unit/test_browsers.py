"""Which writes a browser may send, by its headers about the page that sent them."""

from __future__ import annotations

import pytest

from processor.browser_headers import is_foreign_write

HOSTS = ["optout.example", "127.0.0.1:8080"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "NONSENSE"])
@pytest.mark.parametrize(
    ("site", "origin"),
    [
        ("cross-site", "https://evil.example"),
        ("same-site", "https://other.optout.example"),
        ("cross-site", "https://optout.example"),  # a script cannot choose Sec-Fetch-Site
        ("nonsense", None),
        (None, "https://evil.example"),
        (None, "null"),
        (None, ""),
        (None, "https://optout.example.evil.example"),
        (None, "https://optout.example:8443"),
        (None, "http://[::1"),
        (None, "ftp://optout.example"),
    ],
)
def test_a_write_of_another_site_is_foreign(
    method: str, site: str | None, origin: str | None
) -> None:
    assert is_foreign_write(method, site=site, origin=origin, hosts=HOSTS)


@pytest.mark.parametrize(
    ("site", "origin"),
    [
        (None, None),  # not a browser
        ("same-origin", "https://optout.example"),
        ("same-origin", "null"),
        ("none", None),
        (None, "https://optout.example"),
        (None, "http://127.0.0.1:8080"),
        (None, "https://OPTOUT.example"),
    ],
)
def test_a_write_of_our_own_pages_and_of_other_clients_is_not(
    site: str | None, origin: str | None
) -> None:
    assert not is_foreign_write("POST", site=site, origin=origin, hosts=HOSTS)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_nothing_that_only_reads_is_foreign(method: str) -> None:
    assert not is_foreign_write(method, site="cross-site", origin="null", hosts=())
