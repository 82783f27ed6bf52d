"""The part of a partition's state about people with a number and user ids (R32).

A verdict by a link was judged by the lists of two partitions. It waits here as a letter until both
are audited. To find the blocks at its marks, the changes on WhatsApp are kept until then.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from processor.audit.values import Mark

TABLES = (
    "create table links (key blob primary key, partition int, number blob, epoch int, counter int)"
    " without rowid",
    "create table ids (number blob, id blob, epoch int, counter int, primary key (number, id))"
    " without rowid",
    "create table pasts (at integer primary key, key blob, epoch int, counter int, at_ms int,"
    " past blob)",
    "create index pasts_by_key on pasts (key, at)",
    "create table letters (at integer primary key, said blob)",
)


class Link(NamedTuple):
    """The number of a user id."""

    partition: int  # of the number
    number: bytes  # digest of its entry's key
    mark: Mark  # of a record of the list with the link; the link may be older


class PeopleState:
    """Reads and writes the tables; changes are written with the rest of the state.

    Args:
        file: of the partition's state.
    """

    def __init__(self, file: sqlite3.Connection) -> None:
        self._file = file
        self._pasts: list[tuple[bytes, int, int, int, bytes]] = []
        self._letters: list[tuple[bytes]] = []

    @property
    def unwritten(self) -> int:
        """How many changes are only in memory."""
        return len(self._pasts) + len(self._letters)

    def write(self) -> None:
        """Write what is in memory."""
        insert = "insert into pasts (key, epoch, counter, at_ms, past) values (?, ?, ?, ?, ?)"
        self._file.executemany(insert, self._pasts)
        self._file.executemany("insert into letters (said) values (?)", self._letters)
        self._pasts.clear()
        self._letters.clear()

    def link(self, id_: bytes, link: Link) -> None:
        """Note the number of a user id; the first mark counts."""
        row = (id_, link.partition, link.number, *link.mark)
        self._file.execute("insert or ignore into links values (?, ?, ?, ?, ?)", row)

    def link_of(self, id_: bytes) -> Link | None:
        """Find the number of a user id."""
        query = "select partition, number, epoch, counter from links where key = ?"
        row = self._file.execute(query, (id_,)).fetchone()
        return Link(row[0], row[1], Mark(row[2], row[3])) if row else None

    def merge(self, number: bytes, id_: bytes, mark: Mark) -> None:
        """Note that a number's entry names a user id; the first mark counts."""
        row = (number, id_, *mark)
        self._file.execute("insert or ignore into ids values (?, ?, ?, ?)", row)

    def merged_at(self, number: bytes, id_: bytes) -> Mark | None:
        """Find a mark at which the number's entry names the user id; it may have done before."""
        query = "select epoch, counter from ids where number = ? and id = ?"
        row = self._file.execute(query, (number, id_)).fetchone()
        return Mark(*row) if row else None

    def keep_past(self, key: bytes, mark: Mark, at_ms: int, past: bytes) -> None:
        """Keep a change, in the order of marks."""
        self._pasts.append((key, *mark, at_ms, past))

    def pasts(self, key: bytes, mark: Mark) -> list[bytes]:
        """Find the changes of an entry after a mark, latest first. Write before."""
        query = """select past from pasts where key = ? and (epoch, counter) > (?, ?)
            order by at desc"""
        return [row[0] for row in self._file.execute(query, (key, *mark))]

    def forget_pasts(self, before_ms: int) -> Mark | None:
        """Forget older changes; return the mark of the last of them, if there was one."""
        query = "select epoch, counter from pasts where at_ms < ? order by at desc limit 1"
        row = self._file.execute(query, (before_ms,)).fetchone()
        self._file.execute("delete from pasts where at_ms < ?", (before_ms,))
        return Mark(*row) if row else None

    def send(self, letter: bytes) -> None:
        """Keep a letter until it is judged."""
        self._letters.append((letter,))

    def letters(self) -> Iterator[bytes]:
        """Yield the letters. Write before."""
        for (said,) in self._file.execute("select said from letters order by at"):
            yield said

    def count_letters(self) -> int:
        """Count the letters. Write before."""
        [count] = self._file.execute("select count(*) from letters").fetchone()
        return int(count)

    def forget_letters(self) -> None:
        """Forget the letters, as they were judged."""
        self._file.execute("delete from letters")
