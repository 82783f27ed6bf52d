"""Texts that may be opt-outs, as the API and the command line show them."""

from __future__ import annotations

from typing import Annotated, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from processor.core.reviews import State
from processor.stores.suspected_texts import ReviewedText
from processor.wire.json_values import to_ms, to_text
from processor.wire.suspected import SuspicionFields


class Decision(TypedDict):
    """The last decision on a text."""

    actor: str
    at: str
    number: Annotated[int, Field(description="Grows by 1 with each decision.")]


class SuspectedText(TypedDict):
    """A text that may be an opt-out, and its review."""

    text_id: str
    state: State
    account_sid: str
    messaging_service_sid: str | None
    message_sid: str
    recipient: Annotated[str, Field(description="With its channel prefix.")]
    sender: str
    country: str | None
    body: str
    suspected: SuspicionFields
    at: str
    due_at: Annotated[str | None, Field(description="Null: its policy has blocked already.")]
    overdue: Annotated[str, Field(description="`block` or `keep`, if it is not reviewed in time.")]
    decision: Decision | None


class SuspectedMeta(TypedDict):
    """A page's place."""

    key: str
    page_size: int
    next_page_url: str | None


class SuspectedPage(TypedDict):
    """Some texts."""

    meta: SuspectedMeta
    suspected: list[SuspectedText]


class Reviewed(TypedDict):
    """The outcome of a decision."""

    text_id: str
    state: NotRequired[State]
    command_id: NotRequired[str | None]
    refused: NotRequired[str]


class ReviewedTexts(TypedDict):
    """The outcomes, in the order of the request."""

    results: list[Reviewed]


def shown(one: ReviewedText) -> SuspectedText:
    """A text with its state and the last decision."""
    text = one.text.model_dump(mode="json", by_alias=True)
    return {
        "text_id": text["text_id"],
        "state": one.state,
        "account_sid": text["account_sid"],
        "messaging_service_sid": text["messaging_service_sid"],
        "message_sid": text["message_sid"],
        "recipient": text["from"],
        "sender": text["to"],
        "country": text["country"],
        "body": text["body"],
        "suspected": text["suspected"],
        "at": text["at"],
        "due_at": text["due_at"],
        "overdue": text["overdue"],
        "decision": _decision(one),
    }


def _decision(one: ReviewedText) -> Decision | None:
    if one.review is None:
        return None
    at = to_text(to_ms(one.review.at))
    return {"actor": one.review.actor, "at": at, "number": one.review.number}
