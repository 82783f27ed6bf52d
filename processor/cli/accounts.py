"""`optout accounts`: create, limit and end the accounts that may use the API."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime

import click

from processor import config
from processor.cli.common import actor, as_json, print_json, run
from processor.config import Settings
from processor.configuration.accounts import (
    ACCOUNT_SID,
    new_account,
    sealing_keys,
    token_fields,
)
from processor.configuration.edits import Edit, edit_of_account
from processor.configuration.quotas import Quota
from processor.errors import ConfigError
from processor.kafka.topics import ending
from processor.kafka.topics.accounts_topic import AccountsView
from processor.kafka.topics.configuration_writer import Configuration, configuration
from processor.stores.messages import Messages
from processor.stores.redis_client import redis_client
from processor.wire.credentials import (
    UNKNOWN,
    hash_secret,
    key_id,
    mac_of,
    new_token,
    seal,
    sealed_with,
)
from schemas.account import Account, AccountLimits, ApiKey

_AT_ONCE = 500  # accounts in one transaction


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _limit_options(command: Callable[..., None]) -> Callable[..., None]:
    for quota in reversed(Quota):
        option = click.option(f"--{_dashed(quota)}", quota.value, type=click.IntRange(min=0))
        command = option(command)
    return command


@click.group("accounts")
def group() -> None:
    """Create accounts, give them tokens, API keys and limits, re-seal tokens, end accounts."""


@group.command("create")
@click.option("--sid", help="AC and 32 hexadecimal digits; generated if absent.")
@click.option(
    "--token",
    help="The account's programs log in with it; generated if absent. `-` reads it from standard"
    " input, or asks for it: others can read a command line, and the shell's history keeps it.",
)
@click.option("--friendly-name", default="Account", show_default=True)
@as_json
def create(sid: str | None, token: str | None, friendly_name: str, as_json: bool) -> None:
    """Create an account; its sid and token are printed once and cannot be shown again.

    Example: optout accounts create --friendly-name Clinic

    Example: head -1 token.txt | optout accounts create --token -
    """
    settings = config.load()
    is_made = token is None
    if token == "-":
        token = _token_given()
    sid, token = sid or f"AC{uuid.uuid4().hex}", token or new_token()
    if not ACCOUNT_SID.fullmatch(sid):
        raise ConfigError([f"--sid: {sid} is not AC and 32 hexadecimal digits"])
    if not 16 <= len(token) <= 128:
        raise ConfigError(["--token: must have 16 to 128 characters"])
    account = new_account(settings, sid, token, friendly_name, made=is_made)

    def decide(stored: Configuration) -> list[Edit]:
        if stored.accounts.get(sid):
            raise ConfigError([f"--sid: {sid} exists; `optout accounts rotate` makes a new token"])
        return [edit_of_account(None, account)]

    _update(settings, decide)
    _print(as_json, sid=sid, token=token)


def _token_given() -> str:
    """Read a token from standard input; a person at a terminal types it twice, unseen."""
    given = click.get_text_stream("stdin")
    if given.isatty():
        asked: str = click.prompt("token", hide_input=True, confirmation_prompt=True, err=True)
        return asked
    return given.readline().strip()


@group.command("list")
@as_json
def list_(as_json: bool) -> None:
    """List the accounts; tokens cannot be shown.

    Example: optout accounts list
    """

    async def work() -> list[Account]:
        async with configuration(config.load()) as stored:
            return stored.accounts.all()

    for account in run(work()):
        line = {
            "sid": account.sid,
            "friendly_name": account.friendly_name,
            "status": account.state,
            "api_keys": [key.sid for key in account.api_keys],
        }
        if as_json:
            print_json(line)
        else:
            keys = f"  {len(account.api_keys)} API keys" if account.api_keys else ""
            click.echo(f"{account.sid}  {account.state:<9}  {account.friendly_name}{keys}")


@group.command("rotate")
@click.argument("sid")
@as_json
def rotate(sid: str, as_json: bool) -> None:
    """Give an account a new token, printed once; the old one is refused from then on.

    Webhooks are signed with the new one at the same moment; API keys stay as they are.

    Example: optout accounts rotate AC0123456789abcdef0123456789abcdef
    """
    settings, token = config.load(), new_token()
    fields = token_fields(settings, sid, token, made=True)

    def decide(stored: Configuration) -> list[Edit]:
        return [_changed(stored, sid, **fields)]

    _update(settings, decide)
    _print(as_json, sid=sid, token=token)


@group.command("key")
@click.argument("sid")
@click.option("--friendly-name", default="key", show_default=True)
@click.option("--remove", metavar="SK…", help="Remove this key instead.")
@as_json
def key(sid: str, friendly_name: str, remove: str | None, as_json: bool) -> None:
    """Give an account an API key, printed once: a credential that can be removed on its own.

    Example: optout accounts key AC0123456789abcdef0123456789abcdef --friendly-name nightly
    """
    settings, secret = config.load(), new_token()
    made = ApiKey(
        sid=f"SK{uuid.uuid4().hex}",
        friendly_name=friendly_name,
        secret_hash=hash_secret(secret),
        secret_mac=mac_of(secret),
        created_at=datetime.now(UTC),
    )

    def decide(stored: Configuration) -> list[Edit]:
        keys = _one(stored, sid).api_keys
        left = [one for one in keys if one.sid != remove] if remove else [*keys, made]
        if remove and len(left) == len(keys):
            raise ConfigError([f"--remove: {sid} has no key {remove}"])
        return [_changed(stored, sid, api_keys=left)]

    _update(settings, decide)
    if remove is None:
        _print(as_json, sid=made.sid, secret=secret)


@group.command("suspend")
@click.argument("sid")
def suspend(sid: str) -> None:
    """Suspend an account: its credentials, sessions, sends and webhooks stop within a second.

    Sends fail with 30002. Webhooks are retried for their usual time, so an account that is resumed
    soon gets them. Its block list stays in force, and STOP is still answered.

    Example: optout accounts suspend AC0123456789abcdef0123456789abcdef
    """
    _print_state(_end(ending.suspend, sid))


@group.command("resume")
@click.argument("sid")
def resume(sid: str) -> None:
    """Let a suspended account continue as before; a deleted account cannot.

    Example: optout accounts resume AC0123456789abcdef0123456789abcdef
    """
    _print_state(_end(ending.resume, sid))


@group.command("delete")
@click.argument("sid")
@click.option("--confirm", metavar="SID", help="The sid again; asked for if absent.")
def delete(sid: str, confirm: str | None) -> None:
    """Close an account for good: its credentials, API keys, services and numbers are deleted.

    Sends that name it fail with 30002. Recipients who opted out stay on its block list.

    Example: optout accounts delete AC0123456789abcdef0123456789abcdef
    """
    if (confirm or click.prompt("the sid again", err=True)) != sid:
        raise ConfigError([f"--confirm: is not {sid}; nothing was deleted"])
    _print_state(_end(ending.close, sid))


@group.command("limits")
@click.argument("sid")
@_limit_options
@click.option(
    "--default",
    "usual",
    type=click.Choice([quota.value for quota in Quota]),
    multiple=True,
    help="Remove the account's own limit: the setting applies again.",
)
@as_json
def limits(sid: str, usual: tuple[str, ...], as_json: bool, **given: int | None) -> None:
    """Print the usage and limits of an account, or set its own limits.

    Things above a new limit stay; only growth is refused. Of messages, the oldest are deleted.

    Example: optout accounts limits AC0123456789abcdef0123456789abcdef --services 20
    """
    settings = config.load()
    own = {name: limit for name, limit in given.items() if limit is not None}
    if both := sorted(own.keys() & set(usual)):
        raise ConfigError([f"--default {name}: --{_dashed(name)} is given, too" for name in both])

    def decide(stored: Configuration) -> list[Edit]:
        had = _one(stored, sid).limits
        has = (had.model_dump(exclude_none=True) if had else {}) | own
        left = {name: limit for name, limit in has.items() if name not in usual}
        return [_changed(stored, sid, limits=AccountLimits(**left) if left else None)]

    async def work() -> list[tuple[Quota, int, int, bool]]:
        async with configuration(settings) as stored:
            if own or usual:
                await stored.update(lambda: decide(stored), actor=actor())
            _one(stored, sid)
            usage = stored.holdings.usage_of(sid)
            usage[Quota.MESSAGES] = await _messages_kept(settings, sid)
            has, its_own = stored.holdings.limits_of(sid), stored.holdings.own_limits_of(sid)
            return [(quota, usage[quota], has[quota], quota in its_own) for quota in Quota]

    for quota, used, limit, is_own in run(work()):
        if as_json:
            print_json({"quota": quota, "used": used, "limit": limit, "own": is_own})
        else:
            whose = "its own" if is_own else f"OPTOUT_ACCOUNT_{quota.upper()}"
            click.echo(f"{quota:<20} {used:>12,} of {limit:>12,}  {whose}")


async def _messages_kept(settings: Settings, sid: str) -> int:
    redis = redis_client(settings)
    try:
        return await Messages.of(settings, redis).count(sid)
    finally:
        await redis.close()


def _end(step: Callable[..., Coroutine[object, object, Account]], sid: str) -> Account:
    async def work() -> Account:
        async with configuration(config.load()) as stored:
            _one(stored, sid)
            return await step(stored, sid, actor=actor())

    return run(work())


def _print_state(account: Account) -> None:
    click.echo(f"{account.sid}  {account.state}")


@group.command("reseal")
@as_json
def reseal(as_json: bool) -> None:
    """Seal every token with the first of OPTOUT_SECRET_KEYS, so that the others can be removed.

    Running it again changes nothing. Exit 1 if a token cannot be opened; the others are sealed.

    Example: OPTOUT_SECRET_KEYS=new,old optout accounts reseal
    """
    settings = config.load()
    key = sealing_keys(settings)[0]

    async def work() -> tuple[int, int, dict[str, str]]:
        async with configuration(settings) as stored:
            accounts, done = stored.accounts, 0
            while edits := await stored.update(lambda: _resealed(accounts, key), actor=actor()):
                done += len(edits)
            failed = {sid: one.key_id for sid, one in sorted(accounts.unopened().items())}
            opened = sum(one.sid not in failed for one in accounts.all())
            return done, opened - done, failed

    done, current, failed = run(work())
    if as_json:
        print_json({"key": key_id(key), "sealed": done, "current": current, "unopened": failed})
    else:
        click.echo(f"{done} tokens sealed with key {key_id(key)}, {current} sealed already")
    known = {key_id(one) for one in settings.sealing_keys()}
    for sid, sealed_by in failed.items():
        if sealed_by == UNKNOWN:
            why = "its token names no key, or its record cannot be read; "
        elif sealed_by in known:
            why = f"key {sealed_by} does not open its token; "
        else:
            why = f"key {sealed_by} is not in OPTOUT_SECRET_KEYS; add it, or "
        click.echo(f"{sid}: {why}make a token with `optout accounts rotate`", err=True)
    sys.exit(1 if failed else 0)


def _resealed(accounts: AccountsView, key: bytes) -> list[Edit]:
    """Re-seal the tokens of the next accounts that another key sealed."""
    edits = []
    for account in accounts.all():
        token = accounts.token_of(account.sid)
        if isinstance(token, str) and sealed_with(account.sealed_token) != key_id(key):
            sealed = seal(token, key, about=account.sid)
            # Its users see no change, so updated_at stays.
            after = account.model_copy(update={"sealed_token": sealed})
            edits.append(edit_of_account(account, after))
            if len(edits) == _AT_ONCE:
                break
    return edits


def _update(settings: Settings, decide: Callable[[Configuration], list[Edit]]) -> None:
    async def work() -> None:
        async with configuration(settings) as stored:
            await stored.update(lambda: decide(stored), actor=actor())

    run(work())


def _one(stored: Configuration, sid: str) -> Account:
    account = stored.accounts.get(sid)
    if account is None:
        click.echo(f"no account {sid}; `optout accounts list` shows all", err=True)
        sys.exit(1)
    return account


def _changed(stored: Configuration, sid: str, **fields: object) -> Edit:
    before = _one(stored, sid)
    after = before.model_copy(update={**fields, "updated_at": datetime.now(UTC)})
    return edit_of_account(before, after)


def _print(as_json: bool, **fields: str) -> None:
    if as_json:
        print_json(fields)
        return
    for name, value in fields.items():
        click.echo(f"{name:<7}{value}")
    click.echo("Keep it: it cannot be shown again.", err=True)
