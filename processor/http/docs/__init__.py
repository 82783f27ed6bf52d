"""The page that shows the OpenAPI document: Swagger UI, loaded from this package only.

It needs no login, as the document has no data of an installation.
"""

from __future__ import annotations

from fastapi import APIRouter, FastAPI, Response
from starlette.responses import HTMLResponse

from processor.browser_headers import PAGE_HEADERS
from processor.http.static_files import Static

PATH = "/docs"
# Swagger UI's pictures are in its style sheet.
_POLICY = f"{PAGE_HEADERS['Content-Security-Policy']}; img-src 'self' data:"
_HEADERS = {**PAGE_HEADERS, "Content-Security-Policy": _POLICY}
_PAGE = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>optout: the API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{PATH}/static/swagger-ui.css">
<script src="{PATH}/static/swagger-ui-bundle.js"></script>
<script src="{PATH}/static/docs.js"></script>
</head>
<body><div id="docs"></div></body>
</html>
"""

_router = APIRouter(include_in_schema=False)


@_router.get(PATH, response_class=HTMLResponse)
async def page() -> Response:
    """Serve the page."""
    return HTMLResponse(_PAGE, headers=_HEADERS)


def add_to(api: FastAPI) -> None:
    """Add the page and its files to an application."""
    api.include_router(_router)
    files = Static(packages=[("processor.http.docs", "static")])
    api.mount(f"{PATH}/static", files, name="docs-static")
