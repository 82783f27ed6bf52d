"""`optout api`: the HTTP API, a separate process."""

from __future__ import annotations

import logging
import signal
import sys

import click

from processor import config, logs
from processor.servers import free_port, settle_memory

logger = logging.getLogger(__name__)


@click.command("api")
@click.option("--quiet", is_flag=True, help="Log warnings only.")
def command(quiet: bool) -> None:
    """Serve the API until SIGTERM; requests in progress are finished.

    Any number may run; each listens on OPTOUT_API_PORT or the next free port.

    Example: OPTOUT_API_PORT=9000 optout api
    """
    # Imported here, as only this command needs them.
    from processor.http.api import create_api
    from processor.http.serving import Server, clear_text, web_config
    from processor.webhooks import descriptors

    logs.set_up(quiet=quiet)
    settings = config.load()
    descriptors.raise_limit()
    port = free_port(settings.api_port, "OPTOUT_API_PORT")
    api = create_api(settings)
    web = web_config(
        api, settings, host=settings.api_host, port=port, metrics=api.state.backend.metrics
    )
    host = "127.0.0.1" if settings.api_host == "0.0.0.0" else settings.api_host
    click.echo(f"API at {'https' if web.is_ssl else 'http'}://{host}:{port}")
    if warning := clear_text(settings):
        click.echo(f"warning: {warning}")
        logger.warning("api.clear_text", extra={"why": warning})
    # uvicorn drains, then raises the signal again, which would end us with exit code 143.
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(0))
    settle_memory()
    Server(web, api.state.backend).run()
    sys.exit(api.state.backend.exit_code)
