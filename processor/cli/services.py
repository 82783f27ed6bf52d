"""`optout services`: the configuration in the compacted topic, which every worker follows."""

from __future__ import annotations

import hmac
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import IO, Protocol

import click
import orjson
import yaml

from processor import config
from processor.cli.common import actor, as_json, print_json, run
from processor.cli.documents import lay_over, load, refuse
from processor.config import Settings
from processor.configuration.apply import disabled, enabled
from processor.configuration.change import change_service
from processor.configuration.differences import differences
from processor.configuration.documents import read_document
from processor.configuration.drafts import warnings_about
from processor.configuration.edits import Edit, edit_of_service
from processor.configuration.languages import language_of, tag_of
from processor.configuration.languages import languages as known_languages
from processor.configuration.starters import starter_of
from processor.configuration.warnings import SOURCES
from processor.core.policy import OptOutConfig
from processor.errors import ConfigError, Problem
from processor.kafka.topics.configuration_writer import configuration
from processor.kafka.topics.services_topic import stored
from processor.wire.services import config_of
from processor.wire.topics import Topics
from schemas.messaging_service import MessagingService, ServiceDocument

Recorded = Callable[[str], str | None]
"""Finds the account that has recorded a number; None if there is none."""


@click.group("services")
def group() -> None:
    """Check, apply, show and enable messaging services and their opt-out configuration."""


@group.command("apply")
@click.argument("files", type=click.File("rb"), nargs=-1, required=True)
@as_json
def apply(files: tuple[IO[bytes], ...], as_json: bool) -> None:
    """Store the services of FILES; workers follow within a second.

    A file with a problem is refused as a whole, and each problem is printed with its place. The
    active configuration then stays. Applying the same file again changes nothing.

    Example: optout services apply services.yaml
    """
    settings = config.load()
    documents = [(file, load(file)) for file in files]
    stored: dict[str, MessagingService] = {}
    sids: list[str] = []

    def decide(
        now: Mapping[str, MessagingService], recorded: Recorded
    ) -> dict[str, MessagingService]:
        stored.clear()
        sids.clear()
        stored.update(now)
        for file, given in documents:
            applied = lay_over(given, stored, recorded)
            refuse(file, applied)
            stored.update(applied.changed)
            sids.extend(applied.sids)
        return stored

    changed = {edit.sid for edit in run(_update(settings, decide))}
    for file, given in documents:
        for warning in _warnings(given):
            click.echo(f"{file.name}: warning: {_in_full(warning)}", err=True)
    for sid in sids:
        line = {
            "sid": sid,
            "friendly_name": stored[sid].friendly_name,
            "version": stored[sid].version,
            "enabled": stored[sid].active is not None,
            "changed": sid in changed,
        }
        if as_json:
            print_json(line)
        else:
            click.echo(_line(stored[sid]) + ("" if sid in changed else "  unchanged"))


@group.command("check")
@click.argument("files", type=click.File("rb"), nargs=-1, required=True)
@click.option("--strict", is_flag=True, help="Count warnings as errors.")
@as_json
def check(files: tuple[IO[bytes], ...], strict: bool, as_json: bool) -> None:
    """Check FILES without applying them; errors would stop `apply`, warnings would not.

    Needs neither Kafka nor Redis. Exit 2 if there is an error; with --strict, or a warning.

    Example: optout services check services.yaml
    """
    wrong = False
    for file in files:
        try:
            documents = load(file)
            errors, warnings = list(lay_over(documents, {}).problems), _warnings(documents)
        except ConfigError as error:  # of the file; its name is printed before each line
            errors, warnings = [replace(one, where=()) for one in error.values], []
        if strict:
            errors, warnings = [*errors, *warnings], []
        wrong = wrong or bool(errors)
        if as_json:
            found = {"errors": errors, "warnings": warnings}
            print_json({"file": file.name} | {key: _as_json(of) for key, of in found.items()})
            continue
        for kind, lines in (("error", errors), ("warning", warnings)):
            for line in lines:
                click.echo(f"{file.name}: {kind}: {_in_full(line)}")
        click.echo(f"{file.name}: {len(errors)} errors, {len(warnings)} warnings")
    sys.exit(2 if wrong else 0)


def _in_full(problem: Problem) -> str:
    """A line for people; for a warning, with its code, and its source where there is one."""
    if problem.code not in SOURCES:
        return str(problem)
    source = f" ({problem.source})" if problem.source else ""
    return f"{problem} [{problem.code}]{source}"


def _as_json(problems: Sequence[Problem]) -> list[dict[str, object]]:
    return [_written(problem) for problem in problems]


def _written(problem: Problem) -> dict[str, object]:
    body: dict[str, object] = {
        "document": next(iter(problem.where), None),
        "place": problem.place,
        "code": problem.code,
        "message": problem.text,
    }
    return {**body, "source": problem.source} if problem.source else body


def _warnings(documents: Sequence[object]) -> list[Problem]:
    return [
        warning.within(f"service {number} ({document.friendly_name})")
        for number, (document, _) in enumerate(map(read_document, documents), 1)
        if document
        for warning in warnings_about(document)
    ]


@group.command("diff")
@click.argument("files", type=click.File("rb"), nargs=-1)
@as_json
def diff(files: tuple[IO[bytes], ...], as_json: bool) -> None:
    """Compare every draft, or FILES, with the active configuration.

    Default handling answers for a service that is not enabled, so its draft is compared with
    default handling. Exit 1 if something differs.

    Example: optout services diff services.yaml
    """
    stored = _stored(config.load())
    wanted = {} if files else dict(stored)
    for file in files:
        applied = lay_over(load(file), stored)
        refuse(file, applied)
        wanted |= {sid: applied.changed.get(sid) or stored[sid] for sid in applied.sids}
    found = False
    for sid, model in wanted.items():
        before = stored.get(sid)
        active = config_of(before.active) if before and before.active else OptOutConfig()
        lines = [str(one) for one in differences(active, config_of(model.opt_out))]
        found = found or bool(lines)
        if as_json:
            print_json({"sid": sid, "differences": lines})
        elif lines:
            state = "" if before and before.active else "  (not enabled: default handling answers)"
            click.echo(f"{sid}  {model.friendly_name}{state}")
            for line in lines:
                click.echo(f"    {line}")
    sys.exit(1 if found else 0)


@group.command("starter")
@click.argument("languages", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Print the packs of all languages.")
def starter(languages: tuple[str, ...], every: bool) -> None:
    """Print the starter packs of LANGUAGES as a part of services.yaml; without one, list all.

    A word that two of them claim is placed in overrides of the countries that speak them, so
    `services check` accepts the parts together.

    No pack is in force by itself. Copy the parts you want into your file, and have them reviewed by
    someone who speaks the language.

    Example: optout services starter de nb sv
    """
    if not languages and not every:
        for one in known_languages().values():
            click.echo(f"{one.tag:<6} {one.name:<18} {one.native_name:<16} {one.status}")
        return
    tags = list(known_languages()) if every else _tags(languages)
    for pack in {one.tag: one for one in map(language_of, tags)}.values():
        click.echo(f"# {pack.name}: {pack.status}")
        for word, source in pack.sources.items():
            click.echo(f"# {word}: {source}")
    document = {part: given for part, given in starter_of(tags).items() if given}
    click.echo(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), nl=False)


def _tags(languages: Sequence[str]) -> list[str]:
    """The tags of languages as typed, each once; ends the command at an unknown one."""
    tags = [tag_of(language) for language in languages]
    if unknown := [given for given, tag in zip(languages, tags, strict=True) if tag is None]:
        named = ", ".join(map(repr, unknown))
        click.echo(f"no starter pack for {named}; `optout services starter` lists all", err=True)
        sys.exit(1)
    return list(dict.fromkeys(filter(None, tags)))


@group.command("disable")
@click.argument("sid")
@click.option("--operator-token", help="Asked for if absent.")
def disable(sid: str, operator_token: str | None) -> None:
    """Disable a service's Advanced Opt-Out: default handling answers again. Operators only (R5).

    The token must be one of OPTOUT_OPERATOR_TOKENS, which service owners do not have.

    Example: optout services disable MG0123456789abcdef0123456789abcdef
    """
    settings = config.load()
    operators = settings.operators()
    if not operators:
        raise ConfigError(["OPTOUT_OPERATOR_TOKENS: not set; only an operator may disable"])
    given = operator_token or click.prompt("operator token", hide_input=True, err=True)
    if not any(hmac.compare_digest(given.encode(), one.encode()) for one in operators.values()):
        raise ConfigError(
            ["--operator-token: not an operator's token; only an operator may disable"]
        )
    model = _one(_stored(settings), sid)
    if model.active is None:
        click.echo(f"{sid} is not enabled")
        return
    click.echo(_line(_change(settings, sid, disabled)))


@group.command("list")
@as_json
def list_(as_json: bool) -> None:
    """List every service.

    Example: optout services list
    """
    for model in _stored(config.load()).values():
        if as_json:
            print_json(_document(model))
        else:
            click.echo(_line(model))


@group.command("show")
@click.argument("sid")
@as_json
def show(sid: str, as_json: bool) -> None:
    """Show a service as a document that `services apply` accepts.

    Example: optout services show MG0123456789abcdef0123456789abcdef
    """
    model = _one(_stored(config.load()), sid)
    if as_json:
        print_json(_document(model))
        return
    usual = {
        name
        for name, field in ServiceDocument.model_fields.items()
        if getattr(model, name) == field.default
    }
    document = {
        key: value
        for key, value in _document(model).items()
        if key in ServiceDocument.model_fields and key not in usual
    }
    state = "enabled" if model.active else "not enabled"
    click.echo(
        f"# version {model.version}, {state}, saved {model.updated_at:%Y-%m-%d %H:%M:%S} UTC"
    )
    click.echo(yaml.safe_dump([document], allow_unicode=True, sort_keys=False), nl=False)


@group.command("enable")
@click.argument("sid")
def enable(sid: str) -> None:
    """Put a service's draft in force for every sender of its pool; only an operator can undo it.

    Example: optout services enable MG0123456789abcdef0123456789abcdef
    """
    settings = config.load()
    model = _one(_stored(settings), sid)
    if model.active is not None:
        click.echo(f"{sid} is enabled already; each valid save takes effect")
        return
    for warning in warnings_about(model, enabled=True):
        click.echo(f"warning: {_in_full(warning)}", err=True)
    click.echo(_line(_change(settings, sid, enabled)))


class _Step(Protocol):
    """Enables or disables Advanced Opt-Out of a service."""

    def __call__(self, model: MessagingService, *, now: datetime) -> MessagingService: ...


def _change(settings: Settings, sid: str, step: _Step) -> MessagingService:
    async def work() -> MessagingService:
        async with configuration(settings) as stored:
            return await change_service(
                stored,
                lambda: _one(stored.services.all(), sid),
                lambda before: step(before, now=datetime.now(UTC)),
                actor=actor(),
            )

    return run(work())


async def _update(
    settings: Settings,
    decide: Callable[[Mapping[str, MessagingService], Recorded], Mapping[str, MessagingService]],
) -> Sequence[Edit]:
    """Decide from the stored services and store the result; no other writer comes in between."""
    async with configuration(settings) as stored:

        def recorded(address: str) -> str | None:
            number = stored.numbers.at(address)
            return number.account_sid if number else None

        def edits() -> list[Edit]:
            before = stored.services.all()
            return [
                edit_of_service(before.get(sid), after)
                for sid, after in decide(before, recorded).items()
                if after != before.get(sid)
            ]

        return await stored.update(edits, actor=actor())


def _stored(settings: Settings) -> Mapping[str, MessagingService]:
    return run(stored(settings, Topics.under(settings.topic_prefix).messaging_services))


def _one(stored: Mapping[str, MessagingService], sid: str) -> MessagingService:
    if sid not in stored:
        click.echo(f"no service {sid}; `optout services list` shows all", err=True)
        sys.exit(1)
    return stored[sid]


def _document(model: MessagingService) -> dict[str, object]:
    document: dict[str, object] = orjson.loads(
        model.model_dump_json(by_alias=True, exclude_none=True, exclude_defaults=False)
    )
    return document


def _line(model: MessagingService) -> str:
    state = "enabled" if model.active else "draft"
    return (
        f"{model.sid}  v{model.version:<3} {state:<8} {len(model.senders)} senders  "
        f"{model.friendly_name}"
    )
