"""Letters: verdicts that were judged by the lists of two partitions, kept until both are audited.

A letter has no number and no user id, only digests of the entries' keys.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import orjson

from processor.audit.values import Mark, Marks, Named, Send, Verdict
from processor.audit.verdict_rules import Judged

_KEY = "/whatsapp:"  # of what it is sent to, as far as the configuration matters


@dataclass(frozen=True, slots=True)
class Letter:
    """A verdict on a send to a user id."""

    where: str  # for violations
    did: str  # said of a verdict that should have been a refusal
    key: bytes  # digest of the key of the id's entry
    at: int  # the id's partition
    mark: Mark  # of that partition's list
    config: int  # how far the services were read, if the verdict does not say so
    one: Judged  # without ids, bytes and offsets

    @property
    def others(self) -> Marks:
        """The marks of other partitions' lists."""
        return self.one.verdict.linked

    @property
    def places(self) -> set[int]:
        """The partitions whose lists it was judged by."""
        return {self.at, *(partition for partition, _ in self.others)}


def letter_of(one: Judged, *, where: str, did: str, key: bytes, at: int, config: int) -> Letter:
    """Make the letter about a verdict, which has a mark."""
    mark = one.verdict.mark or Mark(0, 0)
    return Letter(where, did, key, at, mark, config, one)


def packed(letter: Letter) -> bytes:
    """Write a letter; see ``unpacked``."""
    verdict, send = letter.one.verdict, letter.one.send
    refused = verdict.refused_by
    fields = [
        *(letter.where, letter.did, letter.key.hex(), letter.at, [*letter.mark], letter.config),
        *(verdict.topic, verdict.at_ms, verdict.config, verdict.service),
        None if refused is None else [refused.scope, refused.change_id, [*refused.mark]],
        sorted(verdict.except_from),
        [[partition, *mark] for partition, mark in verdict.linked],
        *(send.at_ms, send.account, send.service, send.sender),
        None if send.after is None else [*send.after],
    ]
    return orjson.dumps(fields)


def unpacked(value: bytes) -> Letter:
    """Read a letter of ``packed``."""
    where, did, key, at, mark, config, *fields = orjson.loads(value)
    own = Mark(*mark)
    return Letter(where, did, bytes.fromhex(key), at, own, config, _judged(own, *fields))


def _judged(
    mark: Mark,
    topic: str,
    at_ms: int,
    config: int | None,
    service: str | None,
    refused: list[Any] | None,
    except_from: list[str],
    linked: list[tuple[int, int, int]],
    sent_ms: int,
    account: str,
    its_service: str | None,
    sender: str | None,
    after: tuple[int, int] | None,
) -> Judged:
    verdict = Verdict(topic, 0, at_ms, mark, None, config, service, b"")
    if refused is not None:
        scope, change_id, of = refused
        verdict = replace(verdict, refused_by=Named(scope, change_id, Mark(*of)))
    marks = tuple((partition, Mark(*rest)) for partition, *rest in linked)
    verdict = replace(verdict, except_from=frozenset(except_from), linked=marks)
    seen = None if after is None else Mark(*after)
    send = Send(
        *("", (), 0, sent_ms, _KEY, account, its_service, sender, "", b""), seen, True, None
    )
    return Judged(verdict, send)
