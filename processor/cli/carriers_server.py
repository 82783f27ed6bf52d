"""`optout carriers`: the web server that providers call."""

from __future__ import annotations

import logging
import signal
import sys

import click

from processor import config, logs
from processor.http.carrier_webhooks import create_carrier_webhooks
from processor.http.serving import Server, web_config
from processor.servers import free_port, settle_memory
from processor.webhooks import descriptors

logger = logging.getLogger(__name__)


def serve(*, quiet: bool) -> None:
    """Serve until SIGTERM; requests in progress are finished.

    Raises:
        ConfigError: a setting is wrong, or no port is free.
    """
    logs.set_up(quiet=quiet)
    settings = config.load()
    descriptors.raise_limit()
    port = free_port(settings.carriers_port, "OPTOUT_CARRIERS_PORT")
    app, backend = create_carrier_webhooks(settings)
    host = settings.carriers_host
    web = web_config(app, settings, host=host, port=port, metrics=backend.metrics)
    shown = "127.0.0.1" if host == "0.0.0.0" else host
    click.echo(f"carriers at {'https' if web.is_ssl else 'http'}://{shown}:{port}/carriers/…")
    # uvicorn drains, then raises the signal again, which would end us with exit code 143.
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(0))
    settle_memory()
    Server(web, backend).run()
    sys.exit(backend.exit_code)
