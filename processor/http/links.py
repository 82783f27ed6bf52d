"""Links that lead the client back where it came from."""

from __future__ import annotations

from fastapi import Request

from processor.http.protection import asked_host


def url_of(request: Request, path: str) -> str:
    """An absolute link to a path: under OPTOUT_PUBLIC_URL, else as the client asked.

    A proxy's word on that counts where OPTOUT_TRUSTED_PROXIES names it. A host that cannot be one
    is not repeated.
    """
    public = request.app.state.backend.settings.public_url
    if public:
        return f"{public}{path}"
    return f"{request.scope['scheme']}://{asked_host(request.headers) or 'localhost'}{path}"
