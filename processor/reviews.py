"""Reviewing texts that may be opt-outs: a view of both topics, decisions, and their commands (R30).

The API, the console and the command line decide here. A decision is a record of
`suspected-reviews`; where it changes the block list, a command goes first. A crash between both
leaves the text open, and the next decision gives the same command again, which has no effect.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

from processor import clocks
from processor.config import Settings
from processor.core.blocks import place_for
from processor.core.messages import ConsentCommand, Scope, channel_group_of
from processor.core.reviews import Act, State, Step, label_of, step
from processor.kafka.writing import Outgoing
from processor.stores.redis_client import RedisClient
from processor.stores.suspected_texts import ReviewedText, SuspectedTexts
from processor.wire import consent_commands
from processor.wire.json_values import to_ms
from processor.wire.suspected import entry_of, language_of, recipient_of, write_review
from processor.wire.topics import Topics
from schemas.suspected_opt_out import SuspectedOptOut
from schemas.suspected_review import SuspectedReview

BY_TIME = "overdue"
"""The actor of decisions that nothing but time makes."""
_SOURCE = "review"
_AT_ONCE = 200
_REASONS = {
    State.CONFIRMED: "a review found an opt-out in other words",
    State.OVERDUE: "a text was not reviewed in time",
    State.UNDONE: "a review undid the opt-out",
}


class Refusal(Enum):
    """Why a decision was not made."""

    GONE = "there is no such text, or it is older than 30 days"
    NOT_NOW = "another decision on it is under way; look again in a moment"
    NOT_SO = "its state does not allow that"


@dataclass(frozen=True, slots=True)
class Made:
    """A decision."""

    text: ReviewedText  # with the decision
    command: ConsentCommand | None  # that was given for it


def texts_of(settings: Settings, redis: RedisClient) -> SuspectedTexts:
    """The texts of an installation."""
    return SuspectedTexts(redis, prefix=settings.topic_prefix, clock_ms=clocks.now_ms)


class Reviews:
    """Decides on texts.

    Args:
        settings: of the installation.
        texts: the view of them.
        send: writes records, and waits until they are stored.
    """

    def __init__(
        self,
        settings: Settings,
        texts: SuspectedTexts,
        send: Callable[..., Awaitable[None]],
    ) -> None:
        self._scope = settings.block_scope
        self._topics = Topics.under(settings.topic_prefix)
        self.texts = texts
        self._send = send

    async def find(self, text_id: str, account_sid: str | None) -> ReviewedText | None:
        """A text of an account, or of any; None if there is none."""
        found = await self.texts.get([text_id])
        return next((one for one in found if account_sid in (None, one.text.account_sid)), None)

    async def decide(
        self, text_id: str, act: Act, *, actor: str, account_sid: str | None
    ) -> Made | Refusal:
        """Decide on a text.

        Args:
            text_id: of the text.
            act: the decision.
            actor: its author.
            account_sid: the text must be this account's; None: any.

        Raises:
            BrokerUnavailable: the records may be written, or not; decide again.
            StoreUnavailable: nothing is decided.
        """
        if await self.find(text_id, account_sid) is None:
            return Refusal.GONE
        if not await self.texts.claim(text_id):
            return Refusal.NOT_NOW
        try:
            return await self._decide(text_id, act, actor)
        finally:
            await self.texts.release(text_id)

    async def _decide(self, text_id: str, act: Act, actor: str) -> Made | Refusal:
        found = await self.find(text_id, None)
        if found is None:
            return Refusal.GONE
        others = await self.texts.of_recipient(entry_of(found.text))
        states = [one.state for one in others if one.text.text_id != text_id]
        taken = step(found.state, act, states)
        if taken is None:
            return Refusal.NOT_SO
        review = _review_of(found, taken, actor)
        command = _command_of(found.text, taken, review, self._scope)
        await self._send(*self._records(review, command))
        await self.texts.show(write_review(review))
        return Made(ReviewedText(found.text, review), command)

    def _records(
        self, review: SuspectedReview, command: ConsentCommand | None
    ) -> Iterable[Outgoing]:
        if command is not None:
            key, value = command.recipient.encode(), consent_commands.checked(command)
            yield Outgoing(self._topics.consent_commands, key, value)
        key, value = review.text_id.encode(), write_review(review)
        yield Outgoing(self._topics.suspected_reviews, key, value, partition=0)

    async def let_block(self) -> int:
        """Block for texts that were not reviewed in time, where their service wants it.

        Several processes may do so at once: the commands are the same.

        Returns:
            How many were decided.
        """
        count, start, now_ms = 0, 0, clocks.now_ms()
        while True:
            page = await self.texts.page(None, is_open=True, start=start, size=_AT_ONCE)
            due = [one.text for one in page.texts if is_overdue(one.text, now_ms)]
            decided = 0
            for text in due:
                if text.overdue == "block":
                    made = await self.decide(
                        text.text_id, Act.LET_BLOCK, actor=BY_TIME, account_sid=None
                    )
                    decided += isinstance(made, Made)
            count += decided
            if page.next is None or len(due) < len(page.texts):
                return count
            start = page.next - decided  # these have left the list


def is_overdue(text: SuspectedOptOut, now_ms: int) -> bool:
    """Whether a text should have been reviewed by now."""
    return text.due_at is not None and to_ms(text.due_at) <= now_ms


def _review_of(found: ReviewedText, taken: Step, actor: str) -> SuspectedReview:
    text = found.text
    number = found.review.number + 1 if found.review else 1
    fields = {
        "text_id": text.text_id,
        "account_sid": text.account_sid,
        "messaging_service_sid": text.messaging_service_sid,
        "message_sid": text.message_sid,
        "tier": text.suspected.tier,
        "score": text.suspected.score,
        "state": taken.state.value,
        "number": number,
        "actor": actor,
        "command_id": f"{text.text_id}.{number}" if taken.blocked is not None else None,
        "label": label_of(taken.state),
        "lang": language_of(text),
        "at": datetime.fromtimestamp(clocks.now_ms() / 1_000, UTC),
    }
    return SuspectedReview.model_validate(fields)


def _command_of(
    text: SuspectedOptOut, taken: Step, review: SuspectedReview, scope: Scope
) -> ConsentCommand | None:
    """The command of a decision, in the place where a STOP to the same sender would block."""
    if taken.blocked is None or review.command_id is None:
        return None
    place = place_for(scope, service_sid=text.messaging_service_sid, sender=text.to)
    return ConsentCommand(
        command_id=review.command_id,
        account_sid=text.account_sid,
        scope=place.scope,
        service_sid=place.target if place.scope is Scope.SERVICE else None,
        sender=place.target if place.scope is Scope.SENDER else None,
        recipient=recipient_of(text),
        channel_group=channel_group_of(text.from_),
        blocked=taken.blocked,
        source=_SOURCE,
        reason=_REASONS[taken.state],
        claimed_ms=to_ms(review.at),
        actor=review.actor,
        message_sid=text.message_sid,
    )
