"""The history of services and accounts, kept beside the states: compaction forgets old versions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from processor.audit.parsing import KafkaRecord
from processor.audit.services import Accounts, Services
from processor.audit.state import StateRefused, refusing
from processor.audit.values import CONFIGURATION, SERVICES
from processor.config import Settings
from processor.kafka.reading import read_whole

_VERSION = 1
_REMEDY = "run `optout audit --afresh` once"


class _Kept(NamedTuple):
    """A record of messaging-services, as it was read."""

    offset: int
    timestamp: int
    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


async def read_configuration(
    settings: Settings, directory: Path | None, about: Mapping[str, str]
) -> tuple[Services, Accounts]:
    """Read every version of every service, and every change of an account.

    Args:
        settings: of the installation.
        directory: keeps versions that the topic has forgotten; None: only the topic counts.
        about: identifies the topic.

    Raises:
        BrokerUnavailable: Kafka does not answer.
        StateRefused: the file is damaged or of another topic.
    """
    services, accounts = Services(), Accounts()
    name = settings.topic_prefix + SERVICES
    found = [record async for record in read_whole(settings, name, partitions=[0])]
    kept = found if directory is None else _merged(directory / "services.sqlite", found, about)
    for record in kept:
        services.add(record)
    name = settings.topic_prefix + CONFIGURATION
    async for record in read_whole(settings, name, partitions=[0]):
        accounts.add(record)
    return services, accounts


def _merged(
    path: Path, found: Iterable[KafkaRecord], about: Mapping[str, str]
) -> Iterator[KafkaRecord]:
    """Add what the topic has now, and yield all that was ever read, in its order."""
    try:
        with closing(sqlite3.connect(path)) as file, refusing(path), file:
            [version] = file.execute("pragma user_version").fetchone()
            if version not in (0, _VERSION):
                raise StateRefused(f"{path}: version {version} is unknown; {_REMEDY}")
            file.execute("create table if not exists about (name text primary key, value text)")
            file.execute(
                "create table if not exists kept"
                " (at integer primary key, at_ms int, key blob, value blob)"
            )
            file.execute(f"pragma user_version = {_VERSION}")
            for name, value in about.items():
                file.execute("insert or ignore into about values (?, ?)", (name, value))
                query = "select value from about where name = ?"
                if file.execute(query, (name,)).fetchone()[0] != value:
                    raise StateRefused(f"{path}: the state is of another {name}; {_REMEDY}")
            file.executemany(
                "insert or ignore into kept values (?, ?, ?, ?)",
                [(one.offset, one.timestamp, one.key or b"", one.value) for one in found],
            )
            rows = file.execute("select at, at_ms, key, value from kept order by at").fetchall()
    except sqlite3.OperationalError as error:
        raise StateRefused(f"{path}: {error}") from error
    return (_Kept(*row) for row in rows)
