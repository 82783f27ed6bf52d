"""Links that lead the client back where it came from."""

from __future__ import annotations

from fastapi import Request


def url_of(request: Request, path: str) -> str:
    """An absolute link to a path: under OPTOUT_PUBLIC_URL, else as the client or its proxy says."""
    public = request.app.state.backend.settings.public_url
    if public:
        return f"{public}{path}"
    headers = request.headers
    scheme = _first(headers.get("x-forwarded-proto")) or request.url.scheme
    host = _first(headers.get("x-forwarded-host")) or headers.get("host", "localhost")
    return f"{scheme}://{host}{path}"


def _first(header: str | None) -> str | None:
    return header.partition(",")[0].strip() if header else None
