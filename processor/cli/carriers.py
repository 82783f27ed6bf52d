"""`optout carriers`: serve providers' webhooks; check, store, list, delete and try carriers."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import IO

import click

from processor import config
from processor.cli.common import actor, as_json, print_json, run
from processor.cli.documents import load, read_documents
from processor.configuration.accounts import sealing_keys
from processor.configuration.carrier_warnings import carrier_warnings
from processor.configuration.carriers import Applied, Seal, about, apply
from processor.configuration.edits import Edit, edit_of_carrier
from processor.errors import ConfigError, Problem
from processor.kafka.topics.configuration_writer import Configuration, configuration
from processor.wire.credentials import seal, unseal
from schemas.carrier import Carrier
from schemas.messaging_service import MessagingService

_Files = tuple[IO[bytes], ...]
_UNSEALED = "0" * 8 + ".AA=="  # takes a secret's place where nothing is stored


@click.group("carriers", invoke_without_command=True)
@click.option("--quiet", is_flag=True, help="Log warnings only.")
@click.pass_context
def group(context: click.Context, quiet: bool) -> None:
    """Serve the webhooks of the stored carriers until SIGTERM; or check, store and list carriers.

    Each carrier has the route /carriers/NAME on OPTOUT_CARRIERS_PORT or the next free port. Any
    number may run. The role `carriers` of a worker hands the sends over.

    Example: OPTOUT_CARRIERS_URL=https://sms.example.com optout carriers
    """
    if context.invoked_subcommand is None:
        from processor.cli.carriers_server import serve  # only this needs a web server

        serve(quiet=quiet)


@group.command("check")
@click.argument("files", type=click.File("rb"), nargs=-1, required=True)
@click.option(
    "--services",
    type=click.File("rb"),
    multiple=True,
    help="A services.yaml: warn where both the provider and a service answer, or neither.",
)
@as_json
def check(files: _Files, services: _Files, as_json: bool) -> None:
    """Check FILES without storing them; needs neither Kafka nor Redis. Exit 2 on an error.

    Example: optout carriers check carriers.yaml --services services.yaml
    """
    known = {sid: one for file in services for sid, one in read_documents(file).items()}
    problems: list[Problem] = []
    for file in files:
        try:
            applied = _applied(load(file, of="carriers"), {}, lambda secret, name: _UNSEALED)
        except ConfigError as error:
            problems += error.values
            continue
        problems += [one.within(file.name) for one in applied.problems]
        _print_warnings(carrier_warnings(applied.changed, known))
    for problem in problems:
        if as_json:
            print_json({"place": problem.place, "code": problem.code, "message": str(problem)})
        else:
            click.echo(str(problem))
    if not as_json:
        click.echo(f"{len(problems)} errors")
    sys.exit(2 if problems else 0)


def _print_warnings(warnings: Sequence[Problem]) -> None:
    for warning in warnings:
        click.echo(f"warning: {warning} [{warning.code}]", err=True)


def _applied(
    documents: list[object],
    stored: Mapping[str, Carrier],
    sealing: Seal,
    keys: Sequence[bytes] = (),
) -> Applied:
    def is_sealed(sealed: str, secret: str, name: str) -> bool:
        try:
            return unseal(sealed, keys, about=about(name)) == secret
        except ValueError:
            return False

    return apply(
        documents, stored, now=datetime.now(UTC), actor=actor(), seal=sealing, is_sealed=is_sealed
    )


@group.command("apply")
@click.argument("files", type=click.File("rb"), nargs=-1, required=True)
@as_json
def apply_(files: _Files, as_json: bool) -> None:
    """Store the carriers of FILES; processes follow within a second.

    Secrets in a file are sealed with the first of OPTOUT_SECRET_KEYS. A file with a problem is
    refused as a whole. Applying the same file again changes nothing.

    Example: optout carriers apply carriers.yaml
    """
    settings = config.load()
    documents = [(file, load(file, of="carriers")) for file in files]
    names: list[str] = []
    changed: set[str] = set()

    def sealing(secret: str, name: str) -> str:
        return seal(secret, sealing_keys(settings)[0], about=about(name))

    def decide(stored: Configuration) -> list[Edit]:
        names.clear()
        now = dict(stored.carriers.stored())
        before = dict(now)
        for file, given in documents:
            applied = _applied(given, now, sealing, settings.sealing_keys())
            if applied.problems:
                raise ConfigError([one.within(file.name) for one in applied.problems])
            now |= applied.changed
            names.extend(applied.names)
        edits = [
            edit_of_carrier(before.get(name), one)
            for name, one in now.items()
            if one is not before.get(name)
        ]
        changed.clear()
        changed.update(edit.sid for edit in edits)
        return edits

    async def work() -> tuple[dict[str, Carrier], dict[str, MessagingService]]:
        async with configuration(settings) as stored:
            await stored.update(lambda: decide(stored), actor=actor())
            return dict(stored.carriers.stored()), dict(stored.services.all())

    carriers, services = run(work())
    _print_warnings(carrier_warnings({name: carriers[name] for name in names}, services))
    for name in names:
        _print(carriers[name], as_json, changed=name in changed)


def _print(carrier: Carrier, as_json: bool, **more: object) -> None:
    line = {
        "name": carrier.name,
        "provider": carrier.provider,
        "account_sid": carrier.account_sid,
        "senders": len(carrier.senders),
        "path": f"/carriers/{carrier.name}",
        **more,
    }
    if as_json:
        print_json(line)
        return
    rest = "".join(f"  {name}: {value}" for name, value in more.items() if value != [])
    senders = f"{len(carrier.senders):>5} sender{'' if len(carrier.senders) == 1 else 's'}"
    click.echo(f"{carrier.name:<20} {carrier.provider:<9} {senders:<13}  {line['path']}{rest}")


@group.command("list")
@as_json
def list_(as_json: bool) -> None:
    """List the carriers; names the secrets that this environment cannot open.

    Example: optout carriers list
    """

    async def work() -> list[tuple[Carrier, Sequence[str]]]:
        async with configuration(config.load()) as stored:
            view = stored.carriers
            carriers = sorted(view.stored().items())
            return [(one, list(view.closed.get(name, ()))) for name, one in carriers]

    for carrier, closed in run(work()):
        _print(carrier, as_json, secrets_not_opened=closed)


@group.command("delete")
@click.argument("names", nargs=-1, required=True)
def delete(names: tuple[str, ...]) -> None:
    """Delete carriers: their routes are gone, and their senders' sends are left to others.

    Example: optout carriers delete twilio-us
    """

    def decide(stored: Configuration) -> list[Edit]:
        known = stored.carriers.stored()
        if unknown := [name for name in names if name not in known]:
            raise ConfigError([f"{name}: no such carrier" for name in unknown])
        return [edit_of_carrier(known[name], None) for name in names]

    async def work() -> None:
        async with configuration(config.load()) as stored:
            await stored.update(lambda: decide(stored), actor=actor())

    run(work())


@group.command("test")
@click.argument("name")
@click.option("--to", required=True, metavar="NUMBER", help="The recipient, such as your phone.")
@click.option("--body", default="A test of this carrier.", show_default=True)
@click.option("--from", "sender", help="One of the carrier's senders; the first if absent.")
@click.option(
    "--seconds",
    type=click.FloatRange(1, 600),
    default=30.0,
    show_default=True,
    help="How long to wait for the status.",
)
def test(name: str, to: str, body: str, sender: str | None, seconds: float) -> None:
    """Send a message by a carrier, as applications do, and print its statuses.

    It takes the whole way: the gate, the role `carriers`, the provider. Exit 1 unless the provider
    takes it in time.

    Example: optout carriers test twilio-us --to +15550100001
    """
    from processor.cli.carriers_trial import tried

    settings = config.load()
    sid = f"SM{uuid.uuid4().hex}"
    status = run(tried(settings, name, sid=sid, to=to, body=body, sender=sender, seconds=seconds))
    if status is None:
        click.echo(
            f"no status within {seconds:g} s: is a worker with the roles gate and carriers running?"
        )
    sys.exit(0 if status in ("sent", "delivered", "read") else 1)
