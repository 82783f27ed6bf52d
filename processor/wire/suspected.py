"""Texts that may be opt-outs, and the decisions on them: values of two topics (R30)."""

from __future__ import annotations

from dataclasses import dataclass

import orjson
from typing_extensions import TypedDict

from processor.core import messages
from processor.core.addresses import subscriber_key
from processor.core.events import SuspectedOptOut
from processor.core.identity import text_id_of
from processor.core.reviews import State
from processor.core.suspected import Finding
from processor.json_types import JsonObject
from processor.wire.json_values import to_ms, to_text
from schemas.suspected_opt_out import SuspectedOptOut as TextModel
from schemas.suspected_review import SuspectedReview

REVIEWS = "reviews"
"""The source of decisions in the view of both topics; the others are partitions."""
_LANGUAGE = "language:"  # of a reason


@dataclass(frozen=True, slots=True)
class TextEntry:
    """A text as its index keeps it."""

    text_id: str
    account_sid: str
    entry: str  # of its recipient
    due_ms: int | None  # None: its policy has blocked already
    at_ms: int
    value: bytes  # of the topic


@dataclass(frozen=True, slots=True)
class ReviewEntry:
    """A decision as its index keeps it."""

    text_id: str
    account_sid: str
    number: int
    state: State
    at_ms: int
    value: bytes  # of the topic


class SuspicionFields(TypedDict):
    """How a text was read."""

    tier: str
    score: float
    reasons: list[str]
    policy: str


def suspicion_fields(finding: Finding | None) -> SuspicionFields | None:
    """How a text was read, as topics, webhooks and commands say it; None of others."""
    if finding is None:
        return None
    return {
        "tier": finding.tier.value,
        "score": finding.score,
        "reasons": list(finding.reasons),
        "policy": finding.policy.value,
    }


def text_fields(event: SuspectedOptOut) -> JsonObject:
    """The fields of `suspected-opt-outs.v1` besides the message's own."""
    return {
        "text_id": text_id_of(event.message),
        "messaging_service_sid": event.service_sid,
        "country": event.country,
        "suspected": suspicion_fields(event.finding),
        "overdue": event.finding.overdue.value,
        "due_at": None if event.due_ms is None else to_text(event.due_ms),
        "config_version": event.config_version,
        "aoo_enabled": event.aoo_enabled,
        "at": to_text(event.message.arrival.appended_ms),
    }


def read_text(value: bytes) -> TextModel:
    """A value of `suspected-opt-outs.v1`; raises pydantic's ``ValidationError``."""
    return TextModel.model_validate_json(value)


def text_entry(value: bytes) -> TextEntry:
    """The index entry of a text; raises pydantic's ``ValidationError``."""
    text = read_text(value)
    return TextEntry(
        text.text_id,
        text.account_sid,
        entry_of(text),
        to_ms(text.due_at) if text.due_at else None,
        to_ms(text.at),
        value,
    )


def entry_of(text: TextModel) -> str:
    """The entry of the block list that a text's recipient has."""
    return messages.entry_of(text.account_sid, text.from_)


def recipient_of(text: TextModel) -> str:
    """The subscriber key of a text's recipient."""
    return subscriber_key(text.from_)


def language_of(text: TextModel) -> str | None:
    """The language that a text was read in, where its reasons say it."""
    said = (one for one in text.suspected.reasons if one.startswith(_LANGUAGE))
    return next((one.removeprefix(_LANGUAGE) for one in said), None)


def read_review(value: bytes) -> SuspectedReview:
    """A value of `suspected-reviews.v1`; raises pydantic's ``ValidationError``."""
    return SuspectedReview.model_validate_json(value)


def write_review(review: SuspectedReview) -> bytes:
    """The value of `suspected-reviews.v1`."""
    return review.model_dump_json().encode()


def review_entry(value: bytes) -> ReviewEntry:
    """The index entry of a decision; raises pydantic's ``ValidationError``."""
    review = read_review(value)
    state, at_ms = State(review.state), to_ms(review.at)
    return ReviewEntry(review.text_id, review.account_sid, review.number, state, at_ms, value)


def suspicion_text(finding: Finding) -> str:
    """How a text was read, as one parameter of a webhook."""
    return orjson.dumps(suspicion_fields(finding)).decode()
