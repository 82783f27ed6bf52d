"""Reading `services.yaml`."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import IO, Any

import yaml

from processor.errors import ConfigError
from processor.wire.service_documents import Applied, apply
from schemas.messaging_service import MessagingService


def read_documents(file: IO[bytes]) -> Mapping[str, MessagingService]:
    """The services of a file by sid, as if nothing had been stored before.

    Raises:
        ConfigError: with every problem and its place.
    """
    applied = lay_over(load(file), {})
    refuse(file, applied)
    return applied.changed


def load(file: IO[bytes]) -> list[Any]:
    """The documents of a file, not checked yet.

    Raises:
        ConfigError: where it is no list of documents.
    """
    try:
        given = yaml.safe_load(file)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError([f"{file.name}: not YAML: {error}"]) from None
    if isinstance(given, dict):
        given = [given]
    if not isinstance(given, list) or not given:
        raise ConfigError([f"{file.name}: must be a list of services, one document each"])
    return given


def lay_over(documents: list[Any], stored: Mapping[str, MessagingService]) -> Applied:
    """What documents change of the services stored, or the problems that forbid it."""
    return apply(
        documents,
        stored,
        now=datetime.now(UTC),
        new_sid=lambda: f"MG{uuid.uuid4().hex}",
    )


def refuse(file: IO[bytes], applied: Applied) -> None:
    """Raise ``ConfigError`` where applying met a problem, with each and its place."""
    if applied.problems:
        raise ConfigError([f"{file.name}: {problem}" for problem in applied.problems])
