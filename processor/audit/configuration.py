"""The history of services and accounts, kept beside the states: compaction forgets old versions."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from processor import clocks
from processor.audit.parsing import KafkaRecord
from processor.audit.services import Accounts, Services
from processor.audit.state import StateRefused, refusing
from processor.audit.values import CONFIGURATION, SERVICES
from processor.config import Settings
from processor.kafka.reading import read_whole

_VERSION = 1
_NAME = "services.sqlite"
_KEPT_MS = 30 * 86_400_000  # longer than any topic keeps what was decided under a version
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
        directory: keeps versions that the topic has forgotten, see ``keep_services``; None: only
            the topic counts.
        about: identifies the topic.

    Raises:
        BrokerUnavailable: Kafka does not answer.
        StateRefused: the file is damaged or of another topic.
    """
    services, accounts = Services(), Accounts()
    if directory is None:
        async for record in _records(settings, SERVICES):
            services.add(record)
    else:
        with opened(directory / _NAME, about) as file:
            for kept in kept_in(file):
                services.add(kept)
    async for record in _records(settings, CONFIGURATION):
        accounts.add(record)
    return services, accounts


async def keep_services(settings: Settings, directory: Path, about: Mapping[str, str]) -> None:
    """Add what messaging-services has now to the file, and drop what no record needs any more.

    Raises:
        BrokerUnavailable: Kafka does not answer.
        StateRefused: the file is damaged or of another topic.
    """
    with opened(directory / _NAME, about) as file:
        async for record in _records(settings, SERVICES):
            keep(file, record)
        drop_before(file, clocks.now_ms() - _KEPT_MS)


def _records(settings: Settings, topic: str) -> AsyncGenerator[KafkaRecord, None]:
    return read_whole(settings, settings.topic_prefix + topic, partitions=[0])


@contextmanager
def opened(path: Path, about: Mapping[str, str]) -> Iterator[sqlite3.Connection]:
    """Open the file; its changes count at the end.

    Raises:
        StateRefused: it is damaged, of another version or of another topic.
    """
    try:
        with closing(sqlite3.connect(path)) as file, refusing(path), file:
            [version] = file.execute("pragma user_version").fetchone()
            if version not in (0, _VERSION):
                raise StateRefused(f"{path}: version {version} is unknown; {_REMEDY}")
            if not version:
                file.execute("create table about (name text primary key, value text)")
                file.execute(
                    "create table kept (at integer primary key, at_ms int, key blob, value blob)"
                )
                file.execute(f"pragma user_version = {_VERSION}")
                file.executemany("insert into about values (?, ?)", about.items())
            kept = dict(file.execute("select name, value from about").fetchall())
            for name, value in about.items():
                if kept.get(name) != value:
                    raise StateRefused(f"{path}: the state is of another {name}; {_REMEDY}")
            yield file
    except sqlite3.OperationalError as error:
        raise StateRefused(f"{path}: {error}") from error


def keep(file: sqlite3.Connection, record: KafkaRecord) -> None:
    """Add a record of messaging-services."""
    fields = record.offset, record.timestamp, record.key or b"", record.value
    file.execute("insert or ignore into kept values (?, ?, ?, ?)", fields)


def drop_before(file: sqlite3.Connection, at_ms: int) -> None:
    """Drop the versions that were replaced before a time."""
    query = """delete from kept where exists (select 1 from kept as later
        where later.key = kept.key and later.at > kept.at and later.at_ms < ?)"""
    file.execute(query, (at_ms,))


def kept_in(file: sqlite3.Connection) -> Iterator[KafkaRecord]:
    """Yield the versions in the order of the topic."""
    for row in file.execute("select at, at_ms, key, value from kept order by at"):
        yield _Kept(*row)
