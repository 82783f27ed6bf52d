"""The headers that protect browsers, and a check for writes sent on behalf of other sites."""

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
"""For a response that is not a page: a browser must not display, cache or frame it."""

PAGE_HEADERS: Mapping[str, str] = {
    **DATA_HEADERS,
    "Content-Security-Policy": (
        "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self';"
        " object-src 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""For a page: only our own scripts, styles and pictures load."""

HSTS = ("Strict-Transport-Security", "max-age=31536000")
"""For HTTPS: a browser uses nothing but HTTPS for this host for a year."""

_SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")
_OURS = ("same-origin", "none")  # none: a person typed the address


def is_foreign_write(
    method: str, *, site: str | None, origin: str | None, hosts: Iterable[str]
) -> bool:
    """Whether another site's page makes a browser write here, with the browser's credentials.

    Clients other than browsers send neither header.

    Args:
        method: the HTTP method.
        site: ``Sec-Fetch-Site``, which no script can set.
        origin: ``Origin``; used where a browser is too old to send ``Sec-Fetch-Site``.
        hosts: our own hosts, with the port unless it is the scheme's default.
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
