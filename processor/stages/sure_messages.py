"""Messages that compiled code has found valid: most are settled without the model."""

from __future__ import annotations

from collections.abc import Iterator

from processor.core.fold import Hit, Reported
from processor.core.messages import InboundMessage
from processor.core.services import Directory
from processor.stages.hearing import Ear
from processor.stages.items import hit_in, item_of
from processor.wire.records import Record
from processor.wire.screening import Doubtful, Text, sure_message, sure_text

Settled = dict[int, tuple[Record, Hit | Reported] | None]


def settled_by(doubtful: Doubtful, directory: Directory, ear: Ear) -> Settled:
    """The items of valid messages, by the `id` of their records; None: they come to nothing.

    The model must read the records that are not in it. No application wants to know of these
    messages, as those of accounts with webhooks are never found valid here.
    """
    settled: Settled = {}
    unmatched: list[tuple[Record, InboundMessage]] = []
    for record in doubtful.in_keywords:
        if message := sure_message(record):
            hit = hit_in(message, directory)
            settled[id(record)] = (record, hit) if hit else None
            if hit is None:
                unmatched.append((record, message))
    for at in ear.glance(directory).at([message.body for _, message in unmatched]):
        record, message = unmatched[at]
        if heard := ear.heard(_text_of(message), directory):
            settled[id(record)] = record, item_of(heard, message)
    settled.update(_in_other_words(doubtful, directory, ear))
    return settled


def _in_other_words(
    doubtful: Doubtful, directory: Directory, ear: Ear
) -> Iterator[tuple[int, tuple[Record, Hit | Reported] | None]]:
    for record in doubtful.in_other_words:
        text = sure_text(record)
        if text is None:
            continue
        heard = ear.heard(text, directory)
        if heard is None:
            yield id(record), None
        elif message := sure_message(record):
            yield id(record), (record, item_of(heard, message))


def _text_of(one: InboundMessage) -> Text:
    return (
        *(one.account_sid, one.service_sid),
        *(one.recipient, one.sender, one.body, one.from_country),
    )
