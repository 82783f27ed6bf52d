"""Trying a message against a draft and against the configuration in force."""

from __future__ import annotations

import json
from typing import Any

import pytest

from processor.configuration.trial import Trial, try_out
from processor.core.events import ReplySent
from processor.core.messages import Scope
from schemas.messaging_service import MessagingService
from tests.builders import (
    ACCOUNT,
    LONG_CODE,
    NOW,
    RCS_SENDER,
    SERVICE,
    TOLL_FREE,
    an_inbound,
)
from tests.ears import ENOUGH, PLEASE, fake_assess


def tried(
    body: str,
    *,
    sender: str = LONG_CODE,
    scope: Scope = Scope.ACCOUNT,
    blocked: bool = False,
    **opt_out: Any,
) -> Trial:
    stored = {
        "sid": SERVICE,
        "account_sid": ACCOUNT,
        "friendly_name": "Clinic",
        "senders": [{"address": sender}],
        "opt_out": opt_out,
        "version": 1,
        "updated_at": NOW,
    }
    service = MessagingService.model_validate_json(json.dumps(stored))
    message = an_inbound(body, sender=sender, service_sid=SERVICE)
    return try_out(service, message, blocked=blocked, draft=True, scope=scope, hear=fake_assess)


def test_yes_of_somebody_not_blocked_is_ordinary_where_the_draft_says_so() -> None:
    assert tried("YES", yes_only_when_blocked=True).kind is None
    assert tried("YES", yes_only_when_blocked=True).keyword == "yes"
    assert tried("YES", yes_only_when_blocked=True, blocked=True).kind == "START"


def test_the_toll_free_network_answers_its_own_stop() -> None:
    trial = tried("STOP", sender=TOLL_FREE)
    assert (trial.reply, trial.reply_sent, trial.blocked) == (None, ReplySent.CARRIER, True)


@pytest.mark.parametrize("scope", Scope)
def test_a_block_of_any_scope_is_lifted(scope: Scope) -> None:
    assert tried("START", scope=scope, blocked=True).blocked is False


@pytest.mark.parametrize(
    ("body", "match", "tier"),
    [
        ("stop", "tolerant", "exact"),
        ("*STOP*", "tolerant", "tolerant"),
        ("Start!", "tolerant", "clean"),
        ("Help?", "tolerant", "tolerant"),
        ("STOP?", "tolerant", None),
        ("*STOP*", "exact", None),
        ("Start!", "exact", None),
    ],
)
def test_r13_a_trial_says_how_sure_the_match_is(body: str, match: str, tier: str | None) -> None:
    assert tried(body, match=match).match == tier


def test_r3_a_trial_on_an_rcs_sender_hears_its_buttons() -> None:
    service = MessagingService.model_validate_json(
        json.dumps(
            {
                "sid": SERVICE,
                "account_sid": ACCOUNT,
                "friendly_name": "Clinic",
                "senders": [{"address": RCS_SENDER}],
                "opt_out": {},
                "version": 1,
                "updated_at": NOW,
            }
        )
    )
    kinds = [
        try_out(
            service,
            an_inbound(body, sender=RCS_SENDER, service_sid=SERVICE, from_country=country),
            blocked=blocked,
            draft=False,
            scope=Scope.ACCOUNT,
        ).kind
        for body, country, blocked in [
            ("BAJA", "ES", False),
            ("BAJA", "US", False),
            ("ALTA", "MX", False),
            ("ALTA", "MX", True),
        ]
    ]
    assert kinds == ["STOP", None, None, "START"]


@pytest.mark.parametrize(
    ("body", "policies", "kind", "blocked"),
    [
        (PLEASE, {}, "STOP", True),
        (PLEASE, {"phrases": "report"}, None, False),
        (ENOUGH, {}, None, False),
        (ENOUGH, {"suspected": "block"}, "STOP", True),
    ],
)
def test_r30_other_words_are_tried_too(
    body: str, policies: dict[str, Any], kind: str | None, blocked: bool
) -> None:
    trial = tried(body, **policies)
    assert (trial.kind, trial.blocked) == (kind, blocked)
    assert trial.finding
    assert (trial.finding.policy == "block") is blocked


def test_r30_words_that_are_off_are_ordinary() -> None:
    assert tried(PLEASE, phrases="off") == tried("hello")
