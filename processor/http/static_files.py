"""Style sheets and scripts of pages, from the package."""

from __future__ import annotations

import os

from fastapi import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from processor.browser_headers import PAGE_HEADERS


class Static(StaticFiles):
    """Style sheets and scripts with the pages' headers; browsers revalidate them."""

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """See Starlette."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers.update({**PAGE_HEADERS, "Cache-Control": "no-cache"})
        return response
