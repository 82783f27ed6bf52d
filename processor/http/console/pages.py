"""Rendering of pages and of their errors: HTML, with headers that restrict browsers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from processor.browser_headers import PAGE_HEADERS
from processor.configuration.languages import language_of
from processor.core.segments import segments_of
from processor.errors import ConfigError, RetryableError
from processor.http.console.layers import field_of, grouped, in_words
from processor.http.console.sessions import PATH, SignedOut
from processor.http.errors import ApiError

_environment = Environment(
    loader=PackageLoader("processor.http.console"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=StrictUndefined,
)


def _clock(at_ms: int) -> Markup:
    at = datetime.fromtimestamp(at_ms / 1_000, UTC)
    return Markup('<time datetime="{}">{:%H:%M:%S}</time>').format(at.isoformat(), at)


def _type_name(sender_type: str) -> str:
    names = {"whatsapp": "WhatsApp", "rcs": "RCS"}
    return names.get(sender_type, sender_type.replace("_", " "))


_environment.globals |= {
    "path": PATH,
    "segments_of": segments_of,
    "language_of": language_of,
    "clock": _clock,
}
_environment.filters |= {
    "in_words": in_words,
    "field_of": field_of,
    "grouped": grouped,
    "type_name": _type_name,
}


def render(name: str, /, **values: object) -> str:
    """Render a part of a page from its template."""
    return _environment.get_template(f"{name}.html").render(values)


def page(request: Request, name: str, /, *, status: int = 200, **values: object) -> HTMLResponse:
    """Render a page from its template.

    Args:
        request: has the session of the page.
        name: of the template, without `.html`.
        status: HTTP status.
        values: for the template.
    """
    session = getattr(request.state, "session", None)
    shown = {
        "session": session,
        "said": request.query_params.get("said", ""),
        "here": request.url.path,
        **values,
    }
    return HTMLResponse(render(name, **shown), status)


def go(path: str, said: str = "") -> RedirectResponse:
    """Redirect to a page after a form was accepted; the page starts with the result.

    Args:
        path: below the console's.
        said: the name of a sentence in `base.html`.
    """
    return RedirectResponse(PATH + path + (f"?said={said}" if said else ""), 303)


def asked_page(request: Request) -> int:
    """Read the number of the requested page of a list; the first by default."""
    asked = request.query_params.get("page", "")
    return int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 6 else 0


class Page(APIRoute):
    """A route whose errors are pages."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[object, object, Response]]:
        """See FastAPI."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                response = await handler(request)
            except SignedOut:
                response = _to_sign_in(request)
            except ApiError as error:
                response = _refusal(request, error.status, error.message)
            except ConfigError as error:
                response = _refusal(request, 400, "; ".join(error.problems))
            except RetryableError:
                response = _refusal(
                    request, 503, "Kafka or Redis does not answer. Try again in a moment."
                )
            finally:
                await request.close()  # the files of its form
            response.headers.update(PAGE_HEADERS)
            return response

        return handle


def _to_sign_in(request: Request) -> Response:
    query = f"?{request.url.query}" if request.url.query else ""
    after = request.url.path + query if request.method == "GET" else PATH
    return RedirectResponse(f"{PATH}/sign-in?after={quote(after)}", 303)


def _refusal(request: Request, status: int, why: str) -> Response:
    return page(request, "refusal", status=status, why=why)
