"""What browsers are told about every answer, and which writes they may not send for other sites."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

DATA_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Of an answer that is no page: a browser shows, keeps and frames nothing of it."""

PAGE_HEADERS: Mapping[str, str] = {
    **DATA_HEADERS,
    "Content-Security-Policy": (
        "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self';"
        " object-src 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""Of a page: scripts, styles and pictures of ours alone."""

HSTS = ("Strict-Transport-Security", "max-age=31536000")
"""Where HTTPS is spoken: a browser speaks nothing else to this host for a year."""

_SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")
_OURS = ("same-origin", "none")  # none: a person typed the address


def is_foreign_write(
    method: str, *, site: str | None, origin: str | None, hosts: Iterable[str]
) -> bool:
    """Whether a page of another site has a browser write here, with what the browser knows of us.

    Clients that are no browsers send neither header.

    Args:
        method: of HTTP.
        site: ``Sec-Fetch-Site``, which no script can set.
        origin: ``Origin``; looked at where a browser is too old for the other.
        hosts: our own hosts, with the port if it is not the scheme's.
    """
    if method in _SAFE:
        return False
    if site is not None:
        return site not in _OURS
    return origin is not None and _host(origin) not in {one.lower() for one in hosts}


def _host(origin: str) -> str | None:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return None
    return parts.netloc.lower() if parts.scheme in ("http", "https") else None
