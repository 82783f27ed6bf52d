"""Which records of a busy topic need a closer look: most messages are valid, and no keyword.

Compiled code looks (``_screen.c``), where a compiler was found when the package was built.
Without it, every record needs a closer look. Both lead to the same decisions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from processor.core.messages import Arrival, InboundMessage
from processor.wire.records import Record

if TYPE_CHECKING:
    from processor.core.prefilter import Prefilter

try:
    from processor.wire import _screen as native
except ImportError:  # pragma: no cover  # it was built where coverage is measured
    native = None  # type: ignore[assignment]  # every record needs a closer look


Origin = tuple[str, str | None, str | None]  # account, service and sender, as a send names them
Text = tuple[str, str | None, str, str, str, str | None]
"""A message's account, service, recipient, sender, body and reported country, as it names them."""


class Glances(Protocol):
    """Finds the texts that may be opt-outs in other words; see ``suspicion.glance``."""

    def at(self, bodies: Sequence[str]) -> Sequence[int]:
        """The indexes of such texts, rising."""
        ...

    def at_joined(self, bodies: bytes) -> Sequence[int]:
        """The same of texts in UTF-8, each between spaces, with a separator between two."""
        ...


def is_native() -> bool:
    """Whether compiled code looks at the records."""
    return native is not None


class Doubtful(NamedTuple):
    """Records that need a closer look."""

    records: Sequence[Record]  # in order
    in_other_words: Sequence[Record]  # those that are valid and no keyword, only named
    in_keywords: Sequence[Record]  # those that are valid and may be keywords, in order


def doubtful_messages(
    records: Sequence[Record],
    topic: str,
    prefilter: Prefilter,
    accounts: dict[str, int],
    glance: Glances,
) -> Doubtful:
    """The records that may be an opt-out, or may be invalid, or are of another topic or account.

    Args:
        records: of inbound messages and other topics, in order.
        topic: of inbound messages.
        prefilter: of all keywords.
        accounts: all messages of these need a closer look.
        glance: looks at the texts that are not keywords.
    """
    if native is None:
        return Doubtful(records, (), ())
    doubtful, bodies, joined, places = native.screen_messages(
        records, topic, prefilter.heads, prefilter.ascii_ends, accounts
    )
    index_of = memoryview(places).cast("i")
    named = [index_of[at] for at in glance.at_joined(joined)]
    others: list[tuple[int, str]] = []
    keywords: list[int] = []
    for index, body in bodies:
        if prefilter.passes(body):
            keywords.append(index)
        else:
            others.append((index, body))
    named += [others[at][0] for at in glance.at([body for _, body in others])]
    return Doubtful(
        [records[index] for index in sorted([*doubtful, *keywords, *named])],
        [records[index] for index in named],
        [records[index] for index in keywords],
    )


def sure_message(record: Record) -> InboundMessage | None:
    """The message of a record that is certainly valid; None: the model must read it.

    Args:
        record: of inbound messages.
    """
    if native is None or record.headers:
        return None
    fields = native.read_message(record.value)
    return None if fields is None else InboundMessage(*fields, Arrival(record.timestamp))


def sure_text(record: Record) -> Text | None:
    """The text of a record that is certainly valid; None: the model must read it.

    Args:
        record: of inbound messages.
    """
    return None if native is None else native.read_text(record.value)


def sure_sends(
    records: Sequence[Record], topic: str, partitions: int
) -> tuple[Sequence[str | None], Sequence[Origin | None]]:
    """The key of the block list's entry of each send, and where each send is from.

    A record with both is valid, and in the partition of its recipient. Others have None, and need
    a closer look.

    Args:
        records: of sends.
        topic: of sends.
        partitions: of the topic.
    """
    if native is None:
        unsure = [None] * len(records)
        return unsure, unsure
    return native.screen_sends(records, topic, partitions)
