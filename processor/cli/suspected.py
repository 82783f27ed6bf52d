"""`optout suspected`: review texts that may be opt-outs, and export what was decided."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import click
import orjson
from pydantic import ValidationError

from processor import clocks, config
from processor.cli.common import actor as user
from processor.cli.common import as_json, print_json, run
from processor.config import Settings
from processor.core.reviews import Act
from processor.http.responses.suspected import SuspectedText, shown
from processor.kafka.reading import read_whole
from processor.kafka.writing import Outgoing, writer
from processor.reviews import Made, Refusal, Reviews, is_overdue, texts_of
from processor.stores.redis_client import redis_client
from processor.stores.suspected_texts import KEPT_MS, ReviewedText
from processor.wire.suspected import language_of, read_review, read_text
from processor.wire.topics import Topics
from schemas.suspected_opt_out import SuspectedOptOut
from schemas.suspected_review import SuspectedReview

_AT_ONCE = 200


@click.group("suspected")
def group() -> None:
    """Review texts that may be opt-outs in other words than keywords.

    The API keeps the list of them; without a running API it does not grow.
    """


@group.command("list")
@click.option("--account-sid", help="Only texts to this account.")
@click.option("--decided", is_flag=True, help="Those that were decided on, the latest first.")
@click.option("--overdue", is_flag=True, help="Only those that should have been reviewed by now.")
@as_json
def list_(account_sid: str | None, decided: bool, overdue: bool, as_json: bool) -> None:
    """List the texts of the last 30 days that wait for a review, by due time.

    Example: optout suspected list
    """

    async def work() -> None:
        now_ms = clocks.now_ms()
        async with _reviews() as reviews:
            async for one in _all(reviews, account_sid, is_open=not decided):
                if not overdue or is_overdue(one.text, now_ms):
                    _print(shown(one), as_json)

    run(work())


async def _all(
    reviews: Reviews, account_sid: str | None, *, is_open: bool
) -> AsyncIterator[ReviewedText]:
    start: int | None = 0
    while start is not None:
        page = await reviews.texts.page(account_sid, is_open=is_open, start=start, size=_AT_ONCE)
        for one in page.texts:
            yield one
        start = page.next


def _print(one: SuspectedText, as_json: bool) -> None:
    if as_json:
        print_json(one)
        return
    when = f"due {one['due_at']}" if one["due_at"] else "blocked at once"
    by = f" by {one['decision']['actor']}" if one["decision"] else ""
    how = one["suspected"]
    click.echo(f"{one['text_id']} {one['state']}{by}, {when}, {how['tier']} {how['score']:.2f}")
    click.echo(f"  {one['recipient']} to {one['sender']}: {one['body']}")


def _acting(act: Act, words: str, help_: str) -> click.Command:
    @click.argument("text_ids", nargs=-1, required=True, metavar="TEXT_ID…")
    @click.option("--actor", default=user, show_default="cli/<you>", help="Author of the decision.")
    def command(text_ids: Sequence[str], actor: str) -> None:
        sys.exit(0 if run(_decide(text_ids, act, actor, words)) else 1)

    return click.command(act.value, help=help_)(command)


async def _decide(text_ids: Sequence[str], act: Act, actor: str, words: str) -> bool:
    whole = True
    async with _reviews() as reviews:
        for text_id in text_ids:
            made = await reviews.decide(text_id, act, actor=actor, account_sid=None)
            if isinstance(made, Refusal):
                whole = False
                click.echo(f"{text_id}: {made.value}", err=True)
            else:
                click.echo(f"{text_id}: {words}{_command(made)}")
    return whole


def _command(made: Made) -> str:
    if made.command is None:
        return ""
    return f", command {made.command.command_id} {'blocks' if made.command.blocked else 'unblocks'}"


group.add_command(
    _acting(
        Act.CONFIRM,
        "confirmed",
        "Confirm that texts are opt-outs: their recipients are blocked.\n\n"
        "Example: optout suspected confirm TX2d5b8c1f0e9a47638b1d4c5e6f708192",
    )
)
group.add_command(
    _acting(
        Act.DISMISS,
        "dismissed",
        "Say that texts are not opt-outs.\n\n"
        "Example: optout suspected dismiss TX2d5b8c1f0e9a47638b1d4c5e6f708192",
    )
)
group.add_command(
    _acting(
        Act.UNDO,
        "undone",
        "Undo the last decision on texts, or the block by a policy.\n\n"
        "Blocks of other causes stay.\n\n"
        "Example: optout suspected undo TX2d5b8c1f0e9a47638b1d4c5e6f708192",
    )
)


@group.command("overdue")
def overdue() -> None:
    """Let texts block that were not reviewed in time, where their service wants it.

    A running API does so every 30 seconds by itself; this does it at once.

    Example: optout suspected overdue
    """

    async def work() -> int:
        async with _reviews() as reviews:
            return await reviews.let_block()

    click.echo(f"{run(work())} texts were overdue, and block now")


@group.command("export")
@click.argument("file", type=click.Path(dir_okay=False, writable=True, path_type=Path))
@click.option("--account-sid", help="Only texts to this account.")
@click.option("--labels", is_flag=True, help="Also labels whose text is gone, with body null.")
def export(file: Path, account_sid: str | None, labels: bool) -> None:
    """Write texts of the last 30 days with the labels that people gave them to FILE, as JSON lines.

    Each has a body, a label (`stop` or `not`) and a lang (`und` if it is not known). The
    training of the model reads them: `python -m tests.suspicion FILE`.

    Example: optout suspected export labelled.jsonl
    """

    async def work() -> int:
        settings = config.load()
        texts = await _texts(settings, account_sid)
        count = 0
        with file.open("wb") as out:
            for review in (await _labelled(settings, account_sid)).values():
                if labels or review.text_id in texts:
                    out.write(_line(review, texts.get(review.text_id)))
                    count += 1
        return count

    click.echo(f"{run(work())} labels written to {file}")


async def _texts(settings: Settings, account_sid: str | None) -> dict[str, SuspectedOptOut]:
    """The texts that are kept still, by id."""
    found = {}
    topic = Topics.under(settings.topic_prefix).suspected_opt_outs
    since_ms = clocks.now_ms() - KEPT_MS
    async for record in read_whole(settings, topic, since_ms=since_ms):
        try:
            text = read_text(record.value or b"")
        except ValidationError:
            continue  # of another writer
        if account_sid in (None, text.account_sid):
            found[text.text_id] = text
    return found


async def _labelled(settings: Settings, account_sid: str | None) -> dict[str, SuspectedReview]:
    """The last decision on each text, where a person made it."""
    found = {}
    topic = Topics.under(settings.topic_prefix).suspected_reviews
    async for record in read_whole(settings, topic, partitions=[0]):
        try:
            review = read_review(record.value or b"")
        except ValidationError:
            continue  # of another writer
        if account_sid in (None, review.account_sid):
            found[review.text_id] = review
    return {key: one for key, one in found.items() if one.label is not None}


def _line(review: SuspectedReview, text: SuspectedOptOut | None) -> bytes:
    lang = review.lang or (language_of(text) if text else None) or "und"
    fields = {"body": text.body if text else None, "label": review.label, "lang": lang}
    return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)


@asynccontextmanager
async def _reviews() -> AsyncIterator[Reviews]:
    settings = config.load()
    client = redis_client(settings)
    try:
        async with writer(settings, linger_ms=0) as out:

            async def send(*records: Outgoing) -> None:
                await out.send_all(records)

            yield Reviews(settings, texts_of(settings, client), send)
    finally:
        await client.close()
