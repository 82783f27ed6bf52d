"""The state of a partition from one audit to the next: a file of SQLite.

It holds positions, the blocks in force and lately handled ids. Recipients are there as digests, so
the file has no number. A state of another version, another installation or other topics is refused.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import orjson

from processor.audit import people_state
from processor.audit.values import Block, Mark, Place, Source, Standing, State

VERSION = 4
_FILTER_BITS = 24  # 2 MiB; with a million entries one look-up in sixteen is for nothing
_CACHE_KIB = 512
_TABLES = (
    "create table about (name text primary key, value text) without rowid",
    "create table entries (key blob primary key, blocks blob, epoch int, counter int)"
    " without rowid",
    "create table listed (key blob primary key, at int, said blob, epoch int, counter int)"
    " without rowid",
    "create table seen (id blob primary key, at_ms int, cause blob) without rowid",
    "create index seen_by_time on seen (at_ms)",
    "create table replies (brake blob, at_ms int, id blob, primary key (brake, at_ms, id))"
    " without rowid",
    "create index replies_by_time on replies (at_ms)",
    "create table ended (topic text, first int, end int, id blob,"
    " primary key (topic, first, end, id))"
    " without rowid",
    *people_state.TABLES,
)


class StateRefused(Exception):
    """A state cannot be gone on from; the text has the reason and the remedy."""


class Seen(NamedTuple):
    """When an id was seen first, and of which cause."""

    at_ms: int
    cause: bytes


class PartitionState:
    """The state of one partition's audit; changes count once ``save`` returns.

    Args:
        path: of the file; None: a state in memory and a temporary file, for a single run.
        about: identifies the installation, such as by the topics' ids; another state is refused.
        filtered: keep 2 MiB in memory that spare most look-ups of recipients without blocks.

    Raises:
        StateRefused: the file is damaged, of another version or of something else.
    """

    def __init__(
        self, path: Path | None, about: Mapping[str, str], *, filtered: bool = True
    ) -> None:
        self._path = path
        self._entries: dict[bytes, tuple[State, Mark]] = {}  # changed, not written yet
        self._listed: dict[bytes, tuple[int, bytes, Mark]] = {}
        self._seen: dict[bytes, Seen] = {}
        self._replies: dict[bytes, set[tuple[int, bytes]]] = {}
        self._filter = bytearray(1 << (_FILTER_BITS - 3)) if filtered else None
        try:
            # "": a file that SQLite removes when it is closed.
            self._file = sqlite3.connect(str(path) if path else "", isolation_level=None)
            with refusing(path):
                self._open(about)
        except sqlite3.OperationalError as error:
            raise StateRefused(f"{path}: {error}") from error
        self.people = people_state.PeopleState(self._file)

    def _open(self, about: Mapping[str, str]) -> None:
        file = self._file
        file.execute(f"pragma cache_size = -{_CACHE_KIB}")
        file.execute("pragma synchronous = normal")
        [version] = file.execute("pragma user_version").fetchone()
        is_new = not file.execute("select count(*) from sqlite_master").fetchone()[0]
        if is_new:
            for table in _TABLES:
                file.execute(table)
            file.execute(f"pragma user_version = {VERSION}")
            self.put(about)
        elif version != VERSION:
            raise StateRefused(
                f"{self._path}: the state has version {version}, this program reads {VERSION};"
                f" {_REMEDY}"
            )
        [whole] = file.execute("pragma quick_check(1)").fetchone()
        if whole != "ok":
            raise StateRefused(f"{self._path}: the file is damaged; {_REMEDY}")
        for name, value in about.items():
            if (kept := self.get(name)) != value:
                raise StateRefused(
                    f"{self._path}: the state is of another {name} ({kept}, now {value}); {_REMEDY}"
                )
        file.execute("begin")
        if self._filter is not None:
            for (key,) in file.execute("select key from entries"):
                self._note(key)

    def get(self, name: str) -> str | None:
        """Read a value by its name."""
        found = self._file.execute("select value from about where name = ?", (name,)).fetchone()
        return found[0] if found else None

    def put(self, values: Mapping[str, str]) -> None:
        """Write values by their names."""
        self._file.executemany("replace into about values (?, ?)", values.items())

    def entry(self, key: bytes) -> tuple[State, Mark | None]:
        """Find the blocks of a recipient, and the mark of the last change; none is usual."""
        place = int.from_bytes(key[:4], "big") & ((1 << _FILTER_BITS) - 1)
        if self._filter is not None and not self._filter[place >> 3] & 1 << (place & 7):
            return _NOTHING
        if found := self._entries.get(key):
            return found
        row = self._file.execute(
            "select blocks, epoch, counter from entries where key = ?", (key,)
        ).fetchone()
        return (_unpacked(row[0]), Mark(row[1], row[2])) if row else _NOTHING

    def set_entry(self, key: bytes, state: State, mark: Mark) -> None:
        """Keep the blocks of a recipient after a change."""
        self._note(key)
        self._entries[key] = state, mark

    def _note(self, key: bytes) -> None:
        place = int.from_bytes(key[:4], "big") & ((1 << _FILTER_BITS) - 1)
        if self._filter is not None:
            self._filter[place >> 3] |= 1 << (place & 7)

    def list_entry(self, key: bytes, offset: int, said: bytes, mark: Mark) -> None:
        """Keep what the list's topic says of a recipient; ``said`` is empty for a tombstone."""
        self._listed[key] = offset, said, mark

    def seen(self, id_: bytes) -> Seen | None:
        """Find when an id was seen."""
        if found := self._seen.get(id_):
            return found
        row = self._file.execute("select at_ms, cause from seen where id = ?", (id_,)).fetchone()
        return Seen(*row) if row else None

    def see(self, id_: bytes, at_ms: int, cause: bytes = b"") -> None:
        """Remember an id."""
        self._seen[id_] = Seen(at_ms, cause)

    def reply(self, brake: bytes, at_ms: int, id_: bytes) -> None:
        """Count a reply; the same reply again makes no difference.

        Args:
            brake: digest of the reply's recipient, sender and kind.
            at_ms: when the message that it answers was appended.
            id_: of the reply.
        """
        self._replies.setdefault(brake, set()).add((at_ms, id_))

    def replied(self, brake: bytes, since_ms: int, until_ms: int) -> int:
        """How many replies of a brake answer messages within two times, both included."""
        query = "select at_ms, id from replies where brake = ? and at_ms between ? and ?"
        found = {*self._file.execute(query, (brake, since_ms, until_ms))}
        new = self._replies.get(brake, ())
        return len(found | {one for one in new if since_ms <= one[0] <= until_ms})

    @property
    def unwritten(self) -> int:
        """How many changes are only in memory."""
        parts = (self._entries, self._listed, self._seen, self._replies)
        return sum(len(part) for part in parts) + self.people.unwritten

    def write(self, forget_before_ms: int) -> None:
        """Write the changes to the file, within the transaction, to free memory."""
        file = self._file
        file.executemany(
            "replace into entries values (?, ?, ?, ?)",
            [(key, _packed(state), *mark) for key, (state, mark) in self._entries.items()],
        )
        file.executemany(
            "replace into listed values (?, ?, ?, ?, ?)",
            [(key, at, said, *mark) for key, (at, said, mark) in self._listed.items()],
        )
        file.executemany(
            "replace into seen values (?, ?, ?)",
            [(id_, at_ms, cause) for id_, (at_ms, cause) in self._seen.items()],
        )
        file.executemany(
            "insert or ignore into replies values (?, ?, ?)",
            [(brake, *one) for brake, ones in self._replies.items() for one in ones],
        )
        self.people.write()
        self._entries.clear()
        self._listed.clear()
        self._seen.clear()
        self._replies.clear()
        for table in ("seen", "replies"):
            file.execute(f"delete from {table} where at_ms < ?", (forget_before_ms,))

    def end(self, ends: Iterable[tuple[str, int, int, bytes]]) -> None:
        """Note how records of a topic ended, from an offset to another.

        Args:
            ends: topic, first offset, behind the last, and the id of the next try; empty: made.
        """
        self._file.executemany("replace into ended values (?, ?, ?, ?)", ends)

    def ended(self, topic: str) -> Iterator[tuple[int, int, bytes]]:
        """Yield how records of a topic ended, by their offset; see ``end``."""
        query = "select first, end, id from ended where topic = ? order by first"
        yield from self._file.execute(query, (topic,))

    def forget_ended(self, topic: str, before: int) -> None:
        """Forget how records before an offset ended."""
        self._file.execute("delete from ended where topic = ? and end <= ?", (topic, before))

    def unlisted(self) -> Iterator[bytes]:
        """Yield the recipients whose last change the list's topic does not show. Write before."""
        query = """select entries.key from entries left join listed on listed.key = entries.key
            where (listed.key is null and entries.blocks != ?)
            or (listed.epoch, listed.counter) < (entries.epoch, entries.counter)"""
        for (key,) in self._file.execute(query, (_packed({}),)):
            yield key

    def unchanged(self) -> Iterator[bytes]:
        """Yield the recipients in the list who never had a change. Write before."""
        query = """select key from listed where length(said) > 0
            and key not in (select key from entries)"""
        for (key,) in self._file.execute(query):
            yield key

    def listed(self, key: bytes) -> tuple[int, bytes] | None:
        """Find offset and digest of a recipient's last record in the list. Write before."""
        row = self._file.execute("select at, said from listed where key = ?", (key,)).fetchone()
        return (row[0], row[1]) if row else None

    def begin_serving(self) -> None:
        """Forget which recipients Redis was seen to serve."""
        self._file.execute("create temp table if not exists served (key blob primary key)")
        self._file.execute("delete from served")

    def serve(self, keys: Collection[bytes]) -> None:
        """Note recipients that Redis serves."""
        self._file.executemany("insert or ignore into served values (?)", [(key,) for key in keys])

    def is_served(self, key: bytes) -> bool:
        """Whether a recipient was noted."""
        query = "select 1 from served where key = ?"
        return self._file.execute(query, (key,)).fetchone() is not None

    def unserved(self) -> Iterator[tuple[bytes, int]]:
        """Yield recipients in the list that Redis does not serve, each with its offset."""
        query = """select key, at from listed where length(said) > 0
            and key not in (select key from served)"""
        yield from self._file.execute(query).fetchall()

    def blocked(self) -> int:
        """Count the entries with blocks in the list's topic."""
        [count] = self._file.execute(
            "select count(*) from listed where length(said) > 0"
        ).fetchone()
        return int(count)

    def save(self, values: Mapping[str, str], forget_before_ms: int) -> None:
        """Write everything for good."""
        self.write(forget_before_ms)
        self.put(values)
        self._file.execute("commit")
        self._file.execute("begin")

    def close(self) -> None:
        """Close the file; changes that were not saved are gone."""
        self._file.close()


_NOTHING: tuple[State, Mark | None] = ({}, None)
_REMEDY = "run `optout audit --afresh` once: it begins again at the start of the topics"


@contextmanager
def refusing(path: Path | None) -> Iterator[None]:
    """Turn SQLite's errors about a file into one that names a remedy."""
    try:
        yield
    except sqlite3.OperationalError:
        raise  # locked, read-only, no space: not the file's content
    except sqlite3.DatabaseError as error:
        raise StateRefused(f"{path}: the file is damaged ({error}); {_REMEDY}") from error


def pack_block(block: Block) -> list[object]:
    """Write a block as JSON's values; see ``unpack_block``."""
    standing = block.standing
    only = None if standing.only is None else sorted(standing.only)
    sources, but = [list(one) for one in sorted(standing.sources)], sorted(standing.but)
    return [*block.place, *block.mark, block.asked_ms, sources, only, but, standing.locked]


def unpack_block(
    scope: str,
    target: str,
    carrier: bool,
    epoch: int,
    counter: int,
    asked_ms: int,
    sources: Sequence[tuple[str, str, int]],
    only: Sequence[str] | None,
    but: Sequence[str],
    locked: bool,
) -> Block:
    """Read a block of ``pack_block``."""
    standing = Standing(
        frozenset(Source(*one) for one in sources),
        None if only is None else frozenset(only),
        frozenset(but),
        locked,
    )
    return Block(Place(scope, target, carrier), standing, Mark(epoch, counter), asked_ms)


def _packed(state: State) -> bytes:
    return orjson.dumps([pack_block(block) for block in state.values()])


def _unpacked(value: bytes) -> State:
    blocks = [unpack_block(*fields) for fields in orjson.loads(value)]
    return {block.place: block for block in blocks}
