"""Run in a checkout of another version (`--against`): its topics and its load, by its own code."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient

from processor import config
from processor.config import Settings
from tests.bench import block_list, load, services
from tests.bench.installations import Installations


async def _prepare(asked: dict[str, Any]) -> dict[str, dict[str, int]]:
    """The expected output of each load.

    Args:
        asked: ``prefix``; ``topics`` by the installation's name; ``inputs`` by the name of what
            fills them; and how many ``messages``, ``blocked`` and ``services``.
    """
    settings = config.load()
    admin = AIOKafkaAdminClient(**settings.kafka())
    await admin.start()
    try:
        made = Installations(settings, admin)
        for name in ("prefix", "_prefix"):  # as versions call it
            setattr(made, name, asked["prefix"])
        places = {name: await made.add(name, tuple(of)) for name, of in asked["topics"].items()}
        await made.wait_ready()
    finally:
        await admin.close()
    return {what: await _fill(what, places[name], asked) for what, name in asked["inputs"].items()}


async def _fill(what: str, place: Settings, asked: dict[str, Any]) -> dict[str, int]:
    messages = asked["messages"]
    match what:
        case "inbound":
            return await load.write_inbound(place, messages)
        case "outbound":
            await block_list.fill(place, asked["blocked"])
            return await load.write_sends(place, messages, blocked=asked["blocked"])
        case _:
            some = services.one() if what == "one_service" else services.many(asked["services"])
            return await services.fill(place, some, messages)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_prepare(json.loads(sys.argv[1])))))
