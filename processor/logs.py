"""Logs: one line per record, with time, level, event name and fields; no numbers, no bodies."""

from __future__ import annotations

import logging
import time
from logging.config import dictConfig

from processor.json_types import Options

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color"}


class FieldsFormatter(logging.Formatter):
    """The event name first, then the fields given as ``extra``, as ``key=value``."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        """Format one record, followed by its traceback if it has one."""
        fields = "".join(
            f" {key}={_on_one_line(value)}"
            for key, value in vars(record).items()
            if key not in _PLAIN
        )
        when = self.formatTime(record, "%Y-%m-%dT%H:%M:%S")
        line = (
            f"{when}.{record.msecs:03.0f}Z {record.levelname:<7} {record.name}"
            f" {_on_one_line(record.getMessage())}{fields}"
        )
        if record.exc_info:
            lines = map(_on_one_line, self.formatException(record.exc_info).splitlines())
            line = "\n".join((line, *lines))
        return line


def _on_one_line(value: object) -> str:
    """Escape control characters: a terminal may obey them, and a line break could forge a line."""
    text = str(value)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def configuration(*, quiet: bool = False) -> Options:
    """For ``logging.config.dictConfig``, and for Faust, which configures logging itself.

    Args:
        quiet: warnings only, and no error of aiokafka: a broker that has just begun is none.
    """
    # Libraries from WARNING on: their other lines are many, and may quote a record.
    levels = dict.fromkeys(("aiokafka", "faust", "mode", "aiohttp", "asyncio"), "WARNING")
    levels["uvicorn.error"] = "ERROR"  # it warns of each malformed request
    if quiet:
        levels["aiokafka"] = "CRITICAL"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"fields": {"()": FieldsFormatter}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "fields"}},
        "loggers": {name: {"level": level} for name, level in levels.items()},
        "root": {"level": "WARNING" if quiet else "INFO", "handlers": ["stderr"]},
    }


def set_up(*, quiet: bool = False) -> None:
    """Log to standard error; see ``configuration``."""
    dictConfig(configuration(quiet=quiet))
