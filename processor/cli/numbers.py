"""`optout numbers`: record which account a number belongs to."""

from __future__ import annotations

from collections.abc import Callable

import click
from pydantic import TypeAdapter, ValidationError

from processor import config
from processor.cli.common import actor, as_json, print_json, run
from processor.configuration.edits import Edit, edit_of_number
from processor.core.messages import sender_type_of
from processor.errors import ConfigError
from processor.kafka.topics.configuration_writer import Configuration, configuration
from processor.kafka.topics.holdings import can_be_owned
from processor.kafka.topics.owned_senders import a_number, country_at, given_up
from schemas.common import SenderAddress

_Addresses = tuple[str, ...]
_ADDRESS = TypeAdapter[str](SenderAddress)
_addresses = click.argument("addresses", metavar="ADDRESS…", nargs=-1, required=True)


@click.group("numbers")
def group() -> None:
    """Grant numbers to accounts, list them, revoke them.

    A number belongs to the account that has it in a pool or has recorded it; no other account may
    take it. With OPTOUT_API_NUMBERS=granted, an account may take only the numbers granted to it.
    Names such as Clinic belong to no account.
    """


@group.command("grant")
@_addresses
@click.option("--account-sid", required=True, metavar="AC…")
@as_json
def grant(addresses: _Addresses, account_sid: str, as_json: bool) -> None:
    """Record numbers for an account, so that no other account may take them.

    Grants all of them or none. Granting a number that the account already has keeps its settings.

    Example: optout numbers grant +15005550006 --account-sid AC0123456789abcdef0123456789abcdef
    """
    _check(addresses)

    def decide(stored: Configuration) -> list[Edit]:
        if stored.accounts.get(account_sid) is None:
            problem = f"--account-sid: no account {account_sid}; `optout accounts list` shows all"
            raise ConfigError([problem])
        taken = [
            f"{address}: belongs to {owner}; `optout numbers revoke` takes it away"
            for address in addresses
            for owner in sorted(stored.holdings.owners_of(address) - {account_sid})
        ]
        if taken:
            raise ConfigError(taken)
        return [
            edit
            for address in dict.fromkeys(addresses)
            if (edit := _granted(stored, account_sid, address))
        ]

    _update(decide)
    for address in addresses:
        _print(as_json, address, account_sid, granted=True)


@group.command("list")
@click.option("--account-sid", metavar="AC…", help="Only numbers of this account.")
@as_json
def list_(account_sid: str | None, as_json: bool) -> None:
    """List every number that belongs to an account, with the account and whether it was granted.

    Example: optout numbers list --account-sid AC0123456789abcdef0123456789abcdef
    """

    async def work() -> list[tuple[str, str, bool]]:
        async with configuration(config.load()) as stored:
            sids = {account_sid} if account_sid else stored.holdings.accounts
            return [
                (address, sid, bool((number := stored.numbers.at(address)) and number.granted))
                for sid in sorted(sids)
                for address in sorted(stored.holdings.numbers_of(sid))
            ]

    for address, sid, granted in run(work()):
        _print(as_json, address, sid, granted=granted)


@group.command("revoke")
@_addresses
@as_json
def revoke(addresses: _Addresses, as_json: bool) -> None:
    """Take numbers away from their accounts: remove them from records and pools.

    From then on, sends that name such a number as their sender are refused. Blocks stay.

    Example: optout numbers revoke +15005550006
    """
    _check(addresses)
    had: list[tuple[str, str]] = []

    def decide(stored: Configuration) -> list[Edit]:
        had[:] = [
            (address, owner)
            for address in dict.fromkeys(addresses)
            for owner in sorted(stored.holdings.owners_of(address))
        ]
        if free := set(addresses) - {address for address, _ in had}:
            raise ConfigError([f"{address}: belongs to no account" for address in sorted(free)])
        return given_up(stored, had)

    _update(decide)
    for address, owner in had:
        _print(as_json, address, owner, granted=False)


def _check(addresses: _Addresses) -> None:
    problems = []
    for address in addresses:
        try:
            _ADDRESS.validate_python(address)
        except ValidationError:
            problems.append(f"{address}: is not a number, short code or channel sender")
            continue
        if not can_be_owned(address):
            problems.append(f"{address}: is a name, which cannot belong to an account")
    if problems:
        raise ConfigError(problems)


def _granted(stored: Configuration, account_sid: str, address: str) -> Edit | None:
    before = stored.numbers.at(address)
    if before is None:
        return edit_of_number(None, a_number(account_sid, address, granted=True))
    if before.granted:
        return None
    return edit_of_number(before, before.model_copy(update={"granted": True}))


def _update(decide: Callable[[Configuration], list[Edit]]) -> None:
    async def work() -> None:
        async with configuration(config.load()) as stored:
            await stored.update(lambda: decide(stored), actor=actor())

    run(work())


def _print(as_json: bool, address: str, account_sid: str, *, granted: bool) -> None:
    if as_json:
        line = {
            "address": address,
            "account_sid": account_sid,
            "type": sender_type_of(address),
            "country": country_at(address),
            "granted": granted,
        }
        print_json(line)
    else:
        click.echo(f"{address:<24} {account_sid}" + ("  granted" if granted else ""))
