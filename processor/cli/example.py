"""The example account of `optout up`: its services and numbers, and the traffic of a minute."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from importlib.resources import files

from processor import clocks
from processor.cli.common import actor
from processor.cli.documents import lay_over, load
from processor.cli.example_traffic import ACCOUNT, Event, events_of
from processor.config import Settings
from processor.configuration.accounts import new_account
from processor.configuration.edits import Edit, edit_of_account, edit_of_number, edit_of_service
from processor.errors import ConfigError
from processor.kafka.topics.configuration_writer import Configuration, configuration
from processor.kafka.topics.owned_senders import a_number
from processor.kafka.writing import Outgoing, writer
from processor.wire.credentials import new_token

_FILES = ("services.yaml", "more_services.yaml")
_NUMBERS = {
    "+15005550006": "Clinic, main number",
    "+18005550100": "Clinic, toll-free",
    "12345": "Clinic, short code",
    "+15005550007": "Parcels",
    "+15005550008": "Garden club",
    "+15005550009": "Spare, in no pool",
}


async def store_account(settings: Settings) -> str | None:
    """Create the example account unless it is there.

    Returns:
        Its token; None if another secret key sealed it.
    """
    account = new_account(settings, ACCOUNT, new_token(), "Example", made=True)
    async with configuration(settings) as stored:
        await stored.update(
            lambda: [] if stored.accounts.get(ACCOUNT) else [edit_of_account(None, account)],
            actor=actor(),
        )
        token = stored.accounts.token_of(ACCOUNT)
        return token if isinstance(token, str) else None


async def store_services(settings: Settings) -> None:
    """Store the account's services and numbers, unless it has a service: that may be edited.

    Raises:
        ConfigError: with every problem, such as a number that another account has.
    """
    documents = [document for name in _FILES for document in _documents(name)]
    async with configuration(settings) as stored:
        await stored.update(lambda: _edits(stored, documents), actor=actor())


def _documents(name: str) -> list[object]:
    with files("schemas").joinpath("examples", name).open("rb") as file:
        return load(file)


def _edits(stored: Configuration, documents: list[object]) -> list[Edit]:
    if any(stored.services.of_account(ACCOUNT)):
        return []

    def recorded(address: str) -> str | None:
        number = stored.numbers.at(address)
        return number.account_sid if number else None

    applied = lay_over(documents, stored.services.all(), recorded)
    if applied.problems:
        raise ConfigError(applied.problems)
    numbers = [
        edit_of_number(None, a_number(ACCOUNT, address, friendly_name=name, granted=True))
        for address, name in _NUMBERS.items()
        if recorded(address) is None
    ]
    return [*(edit_of_service(None, service) for service in applied.changed.values()), *numbers]


async def play(settings: Settings, *, seconds: float) -> None:
    """Write the example's traffic to the topics, each record at its time.

    Raises:
        BrokerUnavailable: the broker does not take a record.
    """
    events = events_of(time.time_ns(), clocks.now_ms(), seconds=seconds)
    async with writer(settings) as out:
        began = time.monotonic()
        while events:
            passed_s = time.monotonic() - began
            due = [one for one in events if one.at_s <= passed_s]
            await out.send_all(_records(settings, due))
            events = events[len(due) :]
            if events:
                await asyncio.sleep(max(0, began + events[0].at_s - time.monotonic()))


def _records(settings: Settings, events: Sequence[Event]) -> list[Outgoing]:
    return [Outgoing(settings.topic_prefix + one.topic, one.key, one.value) for one in events]
