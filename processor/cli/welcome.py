"""The last words of `optout up`: where things are, and three things to try."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

import click

from processor.cli import secret_key
from processor.config import Settings

_OTHERS_NEED = ("topic_prefix", "partitions")  # commands find nothing without them


class Login(NamedTuple):
    """A user of the API and the console."""

    user: str
    token: str


def next_steps(
    settings: Settings, address: str, logins: Sequence[Login], *, recipient: str | None
) -> None:
    """Print them.

    Args:
        settings: of the installation.
        address: the API's URL.
        logins: possibly none; an account's comes first.
        recipient: a recipient to look up; None in an empty installation.
    """
    click.echo("\n" + click.style("Up", fg="green", bold=True) + "; Ctrl-C stops. Try:\n")
    _step(1, "the console", _console(address, logins, recipient))
    _step(2, "the API", _api(address, logins, recipient))
    _step(3, "the commands, in another terminal", _commands(settings, recipient))


def _step(number: int, title: str, lines: Sequence[str]) -> None:
    click.echo(f"{number}. " + click.style(title, bold=True))
    for line in lines:
        click.echo(f"   {line}")


def _console(address: str, logins: Sequence[Login], recipient: str | None) -> list[str]:
    lines = [click.style(f"{address}/console", fg="cyan", underline=True)]
    lines += [f"sign in as {login.user} with {login.token}" for login in logins]
    if recipient:
        lines.append(f"traffic plays now, one text of it unreadable: see Live, Rates, {recipient}")
    return lines


def _api(address: str, logins: Sequence[Login], recipient: str | None) -> list[str]:
    if not logins:
        return [f"{address}/docs"]
    if recipient is None:
        return [f"{address}/docs, once there is an account"]
    user = f"{logins[0].user}:{logins[0].token}"
    return [f"curl -u {user} {address}/v1/Services"]


def _commands(settings: Settings, recipient: str | None) -> list[str]:
    optout = sys.argv[0]
    first = f"{optout} simulate --rate 2000 --seconds 5"
    if recipient is None:
        first = f"{optout} accounts create --friendly-name Clinic"
    return [_exports(settings), f"{optout} doctor", first, f"{optout} blocks list"]


def _exports(settings: Settings) -> str:
    """The line that makes commands find this installation."""
    variables = [f"OPTOUT_KAFKA_BOOTSTRAP={settings.kafka_bootstrap}"]
    if "@" not in settings.redis_url:  # never show a password
        variables.append(f"OPTOUT_REDIS_URL={settings.redis_url}")
    variables += [
        f"OPTOUT_{name.upper()}={value}"
        for name in _OTHERS_NEED
        if (value := getattr(settings, name)) != Settings.model_fields[name].default
    ]
    if "OPTOUT_SECRET_KEYS" not in os.environ:
        variables.append(f"OPTOUT_SECRET_KEYS=$(cat {secret_key.FILE})")
    return f"export {' '.join(variables)}"
