"""Style sheets and scripts of pages, from the package."""

from __future__ import annotations

from typing import Any

from fastapi import Response
from starlette.staticfiles import StaticFiles

from processor.core.browsers import PAGE_HEADERS


class Static(StaticFiles):
    """Style sheets and scripts with the pages' headers; browsers revalidate them."""

    def file_response(self, *given: Any, **named: Any) -> Response:
        """See Starlette."""
        response = super().file_response(*given, **named)
        response.headers.update({**PAGE_HEADERS, "Cache-Control": "no-cache"})
        return response
