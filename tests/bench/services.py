"""One plain service, or thousands with 41 languages and 50 countries; and messages to them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import orjson
import phonenumbers

from processor.cli.traffic import KEYWORDS
from processor.config import Settings
from processor.configuration.languages import languages, starter
from processor.core.fold import Hit
from processor.core.services import Directory
from processor.kafka.writing import bulk_writer
from processor.stages.items import hit_of
from processor.wire import inbound_messages
from processor.wire.countries import COUNTRIES
from processor.wire.services import read_service
from processor.wire.topics import Topics
from tests.bench import load
from tests.builders import ACCOUNT

_LANGUAGES = 41  # as when the figures of README.md were measured
_COUNTRIES = 50
_DOCUMENTS_AT_ONCE = 100

Document = Mapping[str, Any]


def one() -> Sequence[Document]:
    """A typical service: its own standard words and replies, nothing more."""
    return [_service(0, {}, {})]


def many(count: int) -> Sequence[Document]:
    """Services with every language and 50 countries, each with its own standard replies."""
    packs = _packs()
    overrides = {
        country: {"languages": {tag: packs[tag]}}
        for country, tag in zip(sorted(COUNTRIES)[:_COUNTRIES], [*packs, *packs], strict=False)
    }
    return [_service(number, packs, overrides) for number in range(count)]


async def fill(settings: Settings, services: Sequence[Document], messages: int) -> load.Counts:
    """Store services and write messages to them; returns the match lane's required output."""
    topics = Topics.under(settings.topic_prefix)
    alone = settings.model_copy(update={"partitions": 1})
    stored = ((service["sid"].encode(), orjson.dumps(service)) for service in services)
    known = []
    async with bulk_writer(alone, topics.messaging_services) as out:
        while batch := list(islice(stored, _DOCUMENTS_AT_ONCE)):
            await out.send(batch)
            known += [read_service(value) for _, value in batch]
    directory = Directory(known)
    hits: list[Hit] = []
    async with bulk_writer(settings, topics.inbound_messages) as out:
        for records in _messages(services, messages):
            await out.send(records)
            found = (hit_of(inbound_messages.read(value), directory) for _, value in records)
            hits += [hit for hit in found if hit is not None]
    return load.expected(hits)


def _service(number: int, packs: Document, overrides: Document) -> Document:
    said = {
        "STOP": (["stop", "end", "quit", "cancel", "unsubscribe"], "You are out. START to return."),
        "START": (["start", "unstop", "yes"], "You are back. Reply STOP to leave."),
        "HELP": (["help", "info"], "Reply STOP to leave."),
    }
    opt_out = {
        "enabled": True,
        "standard": {
            kind: {"keywords": words, "reply": f"Brand {number}: {reply}"}
            for kind, (words, reply) in said.items()
        },
        "languages": packs,
        "countries": overrides,
    }
    return {
        "sid": f"MG{number:032x}",
        "account_sid": ACCOUNT,
        "friendly_name": f"Brand {number}",
        "senders": [{"address": f"+1555{number:07d}"}],
        "opt_out": opt_out,
        "active": opt_out,
        "version": 1,
        "updated_at": "2026-01-01T00:00:00.000Z",
    }


def _packs() -> dict[str, Any]:
    """Packs of 41 languages; a keyword of several languages stays with the first (R9)."""
    packs: dict[str, Any] = {tag: starter(tag) for tag in list(languages())[:_LANGUAGES]}
    owners: dict[str, str] = {}
    for tag, pack in packs.items():
        for given in pack.values():
            given["keywords"] = [
                word for word in given["keywords"] if owners.setdefault(word, tag) == tag
            ]
    return packs


def _messages(services: Sequence[Document], count: int) -> Iterator[list[tuple[bytes, bytes]]]:
    """Messages from 50 countries: keywords of every language of the services."""
    chosen = random.Random(load.SEED)
    words = [
        *KEYWORDS,
        *(
            word
            for pack in services[0]["opt_out"]["languages"].values()
            for given in pack.values()
            for word in given["keywords"]
        ),
    ]
    numbers = [
        phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)[:-4]
        for country in sorted(COUNTRIES)[:_COUNTRIES]
        if (example := phonenumbers.example_number(country))
    ]
    made = load.traffic(keyword_share=0)
    for size in load.chunks(count):
        records = []
        for _, value in made.inbound(size, load.AT_MS):
            message = orjson.loads(value)
            message["from"] = chosen.choice(numbers) + f"{chosen.randrange(10_000):04d}"
            message["to"] = chosen.choice(services)["senders"][0]["address"]
            if chosen.random() < load.KEYWORD_SHARE:
                message["body"] = chosen.choice(words)
            records.append((message["from"].encode(), orjson.dumps(message)))
        yield records
