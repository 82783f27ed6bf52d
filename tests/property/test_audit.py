"""No history of healthy lanes makes the audit cry wolf, in one run or in parts."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from processor.core.messages import Scope
from tests.builders import (
    ACCOUNT,
    LONG_CODE,
    OTHER_ACCOUNT,
    OTHER_LONG_CODE,
    OTHER_RECIPIENT,
    RECIPIENT,
    SERVICE,
    SHORT_CODE,
    TOLL_FREE,
)
from tests.small_world import World

BODIES = (
    *("stop", "STOP", "Stop!", "cancel", "start", "unstop", "YES", "help", "Info", "hello"),
    *("halt", "arrêt", "arret", "aide", "STOP?", "no stop", "baja", "alta", "help", "help"),
    *("*STOP*", "S T O P", "stop – all", "stop stop", "ЅТОР", "Start!", "“start” 🙂", "yes!"),
)
senders = st.sampled_from([LONG_CODE, OTHER_LONG_CODE, TOLL_FREE, SHORT_CODE, "rcs:agent"])
recipients = st.sampled_from([RECIPIENT, OTHER_RECIPIENT, f"whatsapp:{RECIPIENT}"])
accounts = st.sampled_from([ACCOUNT, ACCOUNT, OTHER_ACCOUNT])
services = st.sampled_from([None, None, SERVICE, "MG9"])
texts = st.fixed_dictionaries(
    {
        "what": st.just("text"),
        "sid": st.sampled_from(["M1", "M2", "M3", "M4", "M5", "M6", "M7"]),
        "body": st.sampled_from(BODIES),
        "to": senders,
        "from": recipients,
        "account_sid": accounts,
        "messaging_service_sid": services,
        "from_country": st.sampled_from([None, "US", "MX", "PR"]),
        "late_ms": st.sampled_from([0, 0, 0, 2 * 3_600_000]),
    }
)
commands = st.fixed_dictionaries(
    {
        "what": st.just("command"),
        "id": st.sampled_from(["C1", "C2", "C3", "C4", "C5"]),
        "blocked": st.booleans(),
        "place": st.sampled_from(
            [
                {"scope": "account"},
                {"scope": "service", "messaging_service_sid": SERVICE},
                {"scope": "sender", "sender": LONG_CODE},
            ]
        ),
        "recipient": st.sampled_from([RECIPIENT, OTHER_RECIPIENT]),
        "source": st.sampled_from(["operator", "api", "review"]),
        "reason": st.sampled_from([None, "asked by phone"]),
    }
)
sends = st.fixed_dictionaries(
    {
        "what": st.just("send"),
        "sid": st.sampled_from(["S1", "S2", "S3"]),
        "from": st.one_of(senders, st.none()),
        "to": recipients,
        "account_sid": accounts,
    }
)
edits = st.fixed_dictionaries(
    {
        "what": st.just("edit"),
        "senders": st.sets(senders),
        "webhook": st.booleans(),
        "enabled": st.booleans(),
        "repeat": st.sampled_from(["once", "always"]),
        "yes": st.booleans(),
        "limit": st.sampled_from([1, 2, 4]),
    }
)
batches = st.sampled_from([{"what": "match"}, {"what": "gate"}])
histories = st.lists(st.one_of(texts, texts, commands, sends, batches, batches, edits), max_size=40)


def opt_out(edit: dict[str, Any]) -> dict[str, Any]:
    return {
        "enabled": True,
        "repeat_reply": edit["repeat"],
        "yes_only_when_blocked": edit["yes"],
        "reply_limit": edit["limit"],
        "help_when_blocked": ["short_code"],
        "standard": {"STOP": {"keywords": ["stop", "halt"], "reply": "{brand}: out."}},
        "languages": {"fr": {"STOP": {"keywords": ["arrêt"], "reply": "Fini."}}},
        "countries": {
            "MX": {"languages": {"es": {"STOP": {"keywords": ["baja"], "reply": "Sí."}}}}
        },
    }


async def lived(history: list[dict[str, Any]], scope: Scope) -> World:
    """A partition that lives through a history."""
    world, version = World(scope), 0
    for one in history:
        fields = {name: value for name, value in one.items() if name != "what"}
        match one["what"]:
            case "text":
                sid, body = fields.pop("sid"), fields.pop("body")
                world.late_text(sid, body, fields.pop("late_ms"), **fields)
            case "command":
                place, id_ = fields.pop("place"), fields.pop("id")
                world.command(id_, **place, **fields)
            case "send":
                sid = fields.pop("sid")
                service = SERVICE if fields["from"] is None else None
                world.send(sid, messaging_service_sid=service, **fields)
            case "match":
                await world.match()
            case "gate":
                await world.gate()
            case _:
                version += 1
                world.configure(
                    sid=SERVICE,
                    account_sid=ACCOUNT,
                    friendly_name="Clinic",
                    brand="Clinic",
                    senders=[{"address": address} for address in sorted(one["senders"])],
                    inbound_request_url="https://example.com" if one["webhook"] else None,
                    opt_out=opt_out(one),
                    active=opt_out(one) if one["enabled"] else None,
                    version=version,
                )
        world.pass_time(300)
    await world.match()
    await world.gate()
    return world


@given(histories, st.sampled_from(Scope), st.data())
def test_a_healthy_history_has_no_violation(
    history: list[dict[str, Any]], scope: Scope, data: st.DataObject
) -> None:
    async def run() -> None:
        world = await lived(history, scope)
        assert (await world.audit()).said == []
        cut = data.draw(st.sampled_from(world.snapshots))
        with tempfile.TemporaryDirectory() as directory:
            assert (await world.audit(Path(directory), ends=cut)).said == []
            assert (await world.audit(Path(directory))).said == []

    asyncio.run(run())
