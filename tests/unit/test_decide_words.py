"""`optout decide` says how it read a text that is not a keyword (R30)."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from processor.cli import decide, main
from tests.builders import inbound_record
from tests.ears import ENOUGH, PLEASE, an_ear


def test_r30_decide_says_how_it_read_other_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decide, "Ear", an_ear)
    bodies = [PLEASE, ENOUGH, "hello", "stop"]
    lines = "\n".join(
        json.dumps(inbound_record(body, message_sid=f"SM{n}")) for n, body in enumerate(bodies)
    )
    run = CliRunner().invoke(main, ["decide"], input=lines)
    found = [json.loads(line) for line in run.stdout.splitlines()]
    assert [(one["kind"], one["blocked_after"]) for one in found] == [
        ("STOP", True),
        (None, True),
        (None, True),
        ("STOP", True),
    ]
    phrase, suspected, ordinary, keyword = (one["suspected"] for one in found)
    assert phrase == {
        "tier": "phrase",
        "score": 1.0,
        "reasons": ["keyword:stop", "courtesy"],
        "policy": "block",
    }
    assert (suspected["tier"], suspected["policy"]) == ("suspected", "report")
    assert ordinary is None
    assert keyword is None
