"""`optout backtest`: run recorded traffic through two configurations and print what changes."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import IO

import click

from processor import config
from processor.cli.common import UtcTime, as_json, lines_of, print_json, run
from processor.cli.documents import read_documents
from processor.config import Settings
from processor.configuration.apply import enabled
from processor.core.fold import Hit, Reported, finding_of
from processor.core.messages import OptOutType, bare_number
from processor.core.services import Directory
from processor.errors import ConfigError
from processor.kafka.reading import read_whole
from processor.stages.hearing import Ear
from processor.stages.items import read_of
from processor.wire import inbound_messages
from processor.wire.countries import country_of
from processor.wire.json_values import UNREADABLE, why_unreadable
from processor.wire.services import service_of
from processor.wire.topics import Topics
from schemas.messaging_service import MessagingService

_POLICIES = {"block": "block them", "report": "have people review them"}
_EXAMPLES = 3  # of each change
_TOLD = 10_000  # messages between two updates of the progress line
_NAMED = 10  # unreadable lines that are named; the rest are counted


@dataclass(slots=True)
class Change:
    """Messages that two configurations read differently in one way."""

    count: int = 0
    countries: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)


# Kind, keyword, language; of other words their policy, tier and no language; None for no match.
Reading = tuple[str, str, str | None] | None
_REVIEW = "REVIEW"  # instead of a kind: a person would review it


@dataclass(slots=True)
class Backtest:
    """Counts the messages that a draft reads differently from the active configuration."""

    draft: Directory
    active: Directory
    messages: int = 0
    unreadable: int = 0
    matched: Counter[str] = field(default_factory=Counter)  # by kind, under the draft
    suspected: Counter[tuple[str, str]] = field(default_factory=Counter)  # by tier and policy
    ears: tuple[Ear, Ear] = field(default_factory=lambda: (Ear(), Ear()))  # of both
    changes: dict[tuple[Reading, Reading], Change] = field(default_factory=dict)

    def add(self, place: str, value: bytes) -> None:
        """Read a recorded message under both; name a line that is not a message, and skip it."""
        try:
            read = inbound_messages.read(value)
        except UNREADABLE as error:
            self.unreadable += 1
            if self.unreadable <= _NAMED:
                click.echo(f"{place}: {why_unreadable(error)}", err=True)
            return
        self.messages += 1
        before = read_of(read, self.active, self.ears[0])
        after = read_of(read, self.draft, self.ears[1])
        if isinstance(after, Hit):
            self.matched[after.match.kind.value] += 1
        if finding := finding_of(after):
            self.suspected[finding.tier.value, finding.policy.value] += 1
        pair = (_reading(before), _reading(after))
        if pair[0] == pair[1]:
            return
        change = self.changes.setdefault(pair, Change())
        change.count += 1
        country = read.from_country or country_of(bare_number(read.from_))
        change.countries[country or "unknown"] += 1
        if len(change.examples) < _EXAMPLES and read.body not in change.examples:
            change.examples.append(read.body)

    @property
    def stops_lost(self) -> int:
        """Messages that are a STOP now and would not be under the draft."""
        return sum(
            change.count
            for (before, after), change in self.changes.items()
            if before and before[0] == OptOutType.STOP and (not after or after[0] != before[0])
        )


def _reading(item: Hit | Reported | None) -> Reading:
    if isinstance(item, Hit) and item.match.finding is None:
        return item.match.kind, item.match.keyword, item.match.language
    if finding := finding_of(item):
        kind = OptOutType.STOP if isinstance(item, Hit) else _REVIEW
        return kind, finding.tier.value, None
    return None


@click.command("backtest")
@click.option("--services", "draft", type=click.File("rb"), required=True, help="The draft.")
@click.option("--against", "active", type=click.File("rb"), help="Default: default handling.")
@click.option("--topic", is_flag=True, help="Read this installation's inbound topic too.")
@click.option("--since", "since_ms", type=UtcTime(), help="With --topic: messages from then on.")
@click.argument("recorded", type=click.File("rb"), nargs=-1)
@as_json
def command(
    draft: IO[bytes],
    active: IO[bytes] | None,
    topic: bool,
    since_ms: int | None,
    recorded: tuple[IO[bytes], ...],
    as_json: bool,
) -> None:
    """Send RECORDED messages (JSON lines) or the inbound topic through two configurations.

    Prints which messages would match only under the draft, no longer, or as something else. The
    draft's services are treated as enabled; those of --against are read as they are. Exit 1 if a
    STOP would be lost, 2 if there is no message to read.

    Example: optout backtest --services draft.yaml --against active.yaml recorded.jsonl
    """
    if not recorded and not topic:
        raise click.UsageError("name files of recorded messages, or give --topic")
    drafts = (_enabled(model) for model in read_documents(draft).values())
    actives = read_documents(active).values() if active else ()
    test = Backtest(Directory(map(service_of, drafts)), Directory(map(service_of, actives)))
    for file in recorded:
        with lines_of(file, file.name) as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    test.add(f"{file.name}:{number}", line)
    if topic:
        run(_from_topic(config.load(), since_ms, test))
    if not test.messages:
        raise ConfigError(["no inbound message found: nothing was tested"])
    if as_json:
        print_json(_as_json(test))
    else:
        _print(test)
    sys.exit(1 if test.stops_lost else 0)


def _enabled(model: MessagingService) -> MessagingService:
    return enabled(model, now=model.updated_at)


async def _from_topic(settings: Settings, since_ms: int | None, test: Backtest) -> None:
    topic = Topics.under(settings.topic_prefix).inbound_messages
    async for record in read_whole(settings, topic, since_ms=since_ms, with_unread=True):
        test.add(f"{topic}[{record.partition}]@{record.offset}", record.value or b"")
        if test.messages % _TOLD == 0 and sys.stderr.isatty():
            click.echo(f"\r{test.messages:,} messages read", nl=False, err=True)


def _as_json(test: Backtest) -> dict[str, object]:
    return {
        "messages": test.messages,
        "unreadable": test.unreadable,
        "matched": test.matched,
        "stops_lost": test.stops_lost,
        "suspected": [
            {"tier": tier, "policy": policy, "count": count}
            for (tier, policy), count in sorted(test.suspected.items())
        ],
        "changes": [
            {
                "active": before,
                "draft": after,
                "count": change.count,
                "countries": change.countries,
                "examples": change.examples,
            }
            for (before, after), change in _sorted(test)
        ],
    }


def _print(test: Backtest) -> None:
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(test.matched.items()))
    click.echo(f"{test.messages:,} messages: {kinds or 'no match'} under the draft")
    for (tier, policy), count in sorted(test.suspected.items()):
        click.echo(f"{count:,} {tier}: the draft would {_POLICIES[policy]}")
    if test.unreadable:
        click.echo(f"{test.unreadable:,} lines are not inbound messages")
    for (before, after), change in _sorted(test):
        what = (
            f"newly matched as {_said(after)}"
            if before is None
            else f"no longer matched as {_said(before)}"
            if after is None
            else f"{_said(before)} becomes {_said(after)}"
        )
        countries = ", ".join(f"{name} {count}" for name, count in change.countries.most_common(5))
        click.echo(f"{change.count:>8,}  {what}  ({countries})")
        for body in change.examples:
            click.echo(f"{'':>10}{body!r}")
    if not test.changes:
        click.echo("nothing would change")
    if test.stops_lost:
        click.echo(f"{test.stops_lost:,} STOP would be lost", err=True)


def _sorted(test: Backtest) -> list[tuple[tuple[Reading, Reading], Change]]:
    return sorted(test.changes.items(), key=lambda pair: -pair[1].count)


def _said(reading: Reading) -> str:
    if reading is None:
        return "nothing"
    kind, keyword, language = reading
    return f"{kind} {keyword!r}" + (f" in {language}" if language else "")
