"""Whether this worker makes spans, and where they go."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from processor.config import Settings
from processor.errors import ConfigError

if TYPE_CHECKING:  # it need not be installed
    from opentelemetry.sdk.trace import TracerProvider

logger = logging.getLogger(__name__)


def tracer_provider(settings: Settings) -> TracerProvider | None:
    """OpenTelemetry's provider of tracers, None where none is wanted.

    Raises:
        ConfigError: one is asked for, and OpenTelemetry is not installed.
    """
    endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT" in os.environ
    if not (endpoint if settings.tracing is None else settings.tracing):
        return None
    try:
        from processor.stages.spans import provider
    except ImportError:
        problem = "OPTOUT_TRACING: needs OpenTelemetry: pip install 'optout[tracing]'"
        if settings.tracing:
            raise ConfigError([problem]) from None
        logger.warning("tracing.off", extra={"why": problem})
        return None
    return provider()
