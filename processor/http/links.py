"""Links to the API under the address that the client used."""

from __future__ import annotations

from fastapi import Request

from processor.http.protection import asked_host


def url_of(request: Request, path: str) -> str:
    """Make an absolute link to a path: under OPTOUT_PUBLIC_URL, else under the requested host.

    A proxy's headers count only if OPTOUT_TRUSTED_PROXIES names it. A malformed host is not
    repeated.
    """
    public = request.app.state.backend.settings.public_url
    if public:
        return f"{public}{path}"
    return f"{request.scope['scheme']}://{asked_host(request.headers) or 'localhost'}{path}"
