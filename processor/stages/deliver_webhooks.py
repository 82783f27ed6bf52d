"""Webhooks: inform applications of messages and statuses, and send their responses (R28)."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from prometheus_client import Histogram

from processor.core.addresses import subscriber_key
from processor.core.gate import SUSPENDED_CODE
from processor.kafka.fetched import UnreadBatch
from processor.kafka.topics.services_topic import ServicesTopic
from processor.kafka.writing import Outgoing
from processor.stages.accounts import Accounts, AllActive
from processor.stages.records import reasons_of
from processor.stages.tracing import Traces
from processor.webhooks import twiml
from processor.webhooks.addresses import url_problem, with_login_of
from processor.webhooks.client import Client
from processor.webhooks.endpoint import CROWDED, Endpoint, Endpoints
from processor.webhooks.requests import Answered, request_of
from processor.webhooks.retries import (
    Failure,
    RetryRules,
    Why,
    asks_fallback,
    may_retry,
    overrides_of,
    tier_of,
    tiers_of,
    wait_of,
)
from processor.webhooks.signature import idempotency_token, signed_url
from processor.wire import dead_letters, webhook_deliveries, webhooks_made
from processor.wire.credentials import Unopened
from processor.wire.headers import is_of_reply, passed_on, retried
from processor.wire.json_values import UNREADABLE, refuse_size, why_unreadable
from processor.wire.records import Record
from processor.wire.topics import Topics
from schemas.webhook_delivery import WebhookDelivery

logger = logging.getLogger(__name__)

STAGE = "deliver_webhooks"
_SEALED = Failure(Why.SEALED, 11200, "OPTOUT_SECRET_KEYS lacks the key of the account's token")
_SEALED_S = 60.0  # not sooner: a person must add the key, and each try writes a record
# An account that is resumed gets every webhook that was still due for a retry.
_ENDED = {
    "suspended": Failure(Why.BUSY, SUSPENDED_CODE, "the account is suspended"),
    "closed": Failure(Why.REFUSED, SUSPENDED_CODE, "the account is closed"),
}
_BAD_SENDER, _BAD_MESSAGE, _TOO_LARGE = 14102, 12200, 11750


class Tokens(Protocol):
    """The accounts' auth tokens, which sign requests."""

    async def wait_loaded(self) -> None:
        """Wait until the tokens are known."""
        ...

    def token_of(self, account_sid: str) -> str | Unopened | None:
        """The account's token; None if there is no such account."""
        ...

    def unopened(self) -> Mapping[str, Unopened]:
        """Accounts whose tokens cannot be opened."""
        ...


@dataclass
class DeliverWebhooks:
    """Make the requests that records of every partition ask for; see ``DeliveryStage``.

    ``counts`` counts requests at once: ``failed.<why>``, ``refused``, ``circuit_opened``,
    ``unexpected``. It counts outcomes once they are committed, so that a repeated record counts
    once: ``delivered``, ``retried``, ``dead_lettered``, ``answers``,
    ``answers_after_opt_out_type``, ``answer_problems.<code>``.
    """

    topics: Topics
    services: ServicesTopic
    tokens: Tokens
    client: Client
    endpoints: Endpoints
    rules: RetryRules
    counts: Counter[str]
    request_seconds: Histogram
    accounts: Accounts = field(default_factory=AllActive)
    traces: Traces = field(default_factory=Traces)
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    delays_s: Mapping[str, float] = field(init=False)  # of each topic of retries
    _said: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.delays_s = dict(zip(self.topics.webhook_retries, tiers_of(self.rules), strict=True))

    @property
    def waits_for(self) -> str | None:
        """Always None: slow work is postponed instead."""
        return None

    async def begin(self) -> None:
        """Wait for services, tokens and accounts; see ``DeliveryStage``."""
        await self.services.wait_loaded()
        await self.tokens.wait_loaded()
        await self.accounts.wait_loaded()

    def work_of(self, record: Record) -> Delivery | Outgoing | None:
        """The delivery that a record asks for; see ``DeliveryStage``."""
        if isinstance(record, UnreadBatch):
            return self.put_aside(record, record.why)
        try:
            refuse_size(record.value)
            delivery = self._delivery_of(record)
        except UNREADABLE as error:
            self.counts["refused"] += 1
            return self.put_aside(record, why_unreadable(error))
        return Delivery(self, record, delivery) if delivery else None

    def _delivery_of(self, record: Record) -> WebhookDelivery | None:
        if record.topic != self.topics.message_statuses:
            return webhook_deliveries.read(record.value)
        status = webhook_deliveries.read_status(record.value)
        if status.status == "sent" and is_of_reply(record.headers):
            return None  # no application asked for it
        url = status.status_callback
        service = self.services.directory.service_of(
            status.account_sid, status.messaging_service_sid, status.from_
        )
        if service:
            # Carriers can read a send's URL, so a login is only in the service's URLs.
            url = with_login_of(url, service.urls) if url else service.status_callback
        return None if url is None else webhook_deliveries.callback_of(status, url)

    def put_aside(self, record: Record, why: str, *, whole: bool = True) -> Outgoing:
        """The dead letter of a record; see ``DeliveryStage``."""
        # No letter goes back to a retry topic, to wait behind records that are not due.
        back_to = self.topics.webhook_deliveries if record.topic in self.delays_s else None
        return self._letter(record, why, topic=back_to, by_reference=not whole)

    def unexpected(self, record: Record, error: Exception) -> Outgoing:
        """The dead letter of a record that made our code fail; see ``DeliveryStage``."""
        self.counts["unexpected"] += 1
        [(_, why)] = reasons_of([(record, error)])
        return self.put_aside(record, why)

    def undelivered(self, record: Record, delivery: WebhookDelivery, why: str) -> Outgoing:
        """The dead letter of a failed delivery; a redrive starts it from its first attempt."""
        anew = webhook_deliveries.write(
            delivery.model_copy(update={"attempt": 1, "not_before": None})
        )
        # Statuses have other readers, too, so only the delivery goes back.
        return self._letter(record, why, topic=self.topics.webhook_deliveries, value=anew)

    def _letter(self, record: Record, why: str, **more: Any) -> Outgoing:
        letter = dead_letters.letter_of(record, stage=STAGE, reason=why, **more)
        place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
        logger.warning("record.refused", extra=place)
        return Outgoing(self.topics.dead_letters, letter.key, letter.value, letter.headers)

    def made(self, partition: int, offsets: Mapping[str, Iterable[int]]) -> Sequence[Outgoing]:
        """The records that say which requests were answered; see ``DeliveryStage``."""
        topic, key = self.topics.webhooks_made, b"%d" % partition
        values = webhooks_made.write(offsets)
        return [Outgoing(topic, key, value, partition=partition) for value in values]

    def token_of(self, account_sid: str) -> str | Unopened | None:
        """The account's token; logs a warning once if nothing can be signed."""
        token = self.tokens.token_of(account_sid)
        if token is None:
            self.say_once("webhooks.unsigned", account_sid)
        elif isinstance(token, Unopened):
            self.say_once("webhooks.sealed", account_sid, key=token.key_id)
        return token

    def say_once(self, event: str, account_sid: str, **fields: str) -> None:
        """Warn once of a problem that every delivery of an account has."""
        if (event, account_sid) not in self._said:
            self._said.add((event, account_sid))
            logger.warning(event, extra={"account": account_sid, **fields})


class Delivery:
    """The work for one record: the request, possibly the fallback, and what follows from both."""

    def __init__(self, stage: DeliverWebhooks, record: Record, delivery: WebhookDelivery) -> None:
        self._stage = stage
        self._record = record
        self._delivery = delivery
        self._overrides = overrides_of(delivery.url)
        self.account_sid = delivery.account_sid
        self.begun = False
        self.is_made = False
        self._counts: Counter[str] = Counter()  # of its outcome; a repeated delivery counts once

    @property
    def wait_s(self) -> float:
        """See ``Work``."""
        stage = self._stage
        most_s = stage.delays_s.get(self._record.topic, 0.0)
        return wait_of(self._delivery.not_before, stage.clock(), most_s)

    @property
    def _endpoint(self) -> Endpoint:
        return self._stage.endpoints.of(self._delivery.account_sid, self._delivery.url)

    @property
    def has_room(self) -> bool:
        """See ``Work``."""
        return url_problem(self._delivery.url) is not None or self._endpoint.has_room

    @property
    def has_neighbours(self) -> bool:
        """See ``Work``."""
        return self._stage.endpoints.accounts > 1

    def committed(self) -> None:
        """Count its outcome; see ``Work``."""
        self._stage.counts.update(self._counts)

    def put_off(self) -> Sequence[Outgoing]:
        """See ``Work``."""
        self._stage.counts[f"failed.{CROWDED.why}"] += 1
        return self._after(CROWDED)

    async def do(self) -> Sequence[Outgoing]:
        """Make the request; see ``Work``."""
        delivery, stage = self._delivery, self._stage
        has_ended = delivery.account_sid in stage.accounts.ended
        if not has_ended and isinstance(stage.token_of(delivery.account_sid), Unopened):
            stage.counts[f"failed.{_SEALED.why}"] += 1
            return self._after(_SEALED)
        told = await self._told(delivery.url, delivery.method, delivery.parameters)
        if not isinstance(told, Failure):
            return told
        if delivery.fallback_url and asks_fallback(
            told, delivery.attempt, stage.rules, self._overrides
        ):
            error = {"ErrorCode": str(told.code), "ErrorUrl": signed_url(delivery.url)}
            again = await self._told(
                delivery.fallback_url, delivery.fallback_method, delivery.parameters | error
            )
            if not isinstance(again, Failure):
                return again
            if again.why is Why.ANSWER:
                told = again
        return self._after(told)

    async def _told(
        self, url: str, method: str, fields: dict[str, str]
    ) -> Sequence[Outgoing] | Failure:
        try:
            told = await self._tell(url, method, fields)
        except Exception as error:
            # One application's odd response must not hold up the others.
            self._stage.counts["unexpected"] += 1
            told = Failure(Why.READ, 11200, f"the request failed: {type(error).__name__}")
        if isinstance(told, Failure):
            self._stage.counts[f"failed.{told.why}"] += 1
        return told

    async def _tell(
        self, url: str, method: str, fields: dict[str, str]
    ) -> Sequence[Outgoing] | Failure:
        outcome = await self._ask(url, method, fields)
        if isinstance(outcome, Failure):
            return outcome
        if not webhook_deliveries.is_inbound(self._delivery):
            self._is_answered()
            return ()
        if outcome.body is None:
            answer = twiml.Answer(problems=(_TOO_LARGE,))
        else:
            answer = twiml.read(outcome.content_type, outcome.body)
        for code in answer.problems:
            self._problem(code)
        if answer.unusable or outcome.body is None:
            return Failure(Why.ANSWER, answer.problems[0], "the answer cannot be used")
        self._is_answered()
        return self._sends(answer, url)

    def _is_answered(self) -> None:
        self._counts["delivered"] += 1
        self.is_made = True

    async def _ask(self, url: str, method: str, fields: dict[str, str]) -> Answered | Failure:
        problem = url_problem(url)
        if problem is not None:
            return Failure(Why.REFUSED, 11200, problem)
        stage, delivery = self._stage, self._delivery

        async def ask() -> Answered | Failure:
            if ended := stage.accounts.ended.get(delivery.account_sid):
                return _ENDED[ended]
            token = stage.token_of(delivery.account_sid)
            if isinstance(token, Unopened):
                return _SEALED  # the account changed while this waited
            self.begun = True
            request = request_of(
                url,
                method,
                fields,
                token=token,
                repeat_token=idempotency_token(delivery.account_sid, delivery.delivery_id),
            )
            with stage.request_seconds.time():
                return await stage.traces.ask(
                    self._record, delivery.attempt, request, stage.client.ask
                )

        line = (self._record.key or b"").decode(errors="replace")
        return await stage.endpoints.of(delivery.account_sid, url).run(line, ask)

    def _after(self, failure: Failure) -> Sequence[Outgoing]:
        """Return the next try, a dead letter, or nothing."""
        stage, delivery, record = self._stage, self._delivery, self._record
        if failure.why is Why.ANSWER:
            self.is_made = True
            return ()  # it was delivered
        if failure.why is Why.SEALED:  # not the application's fault, so not an attempt
            return self._again(delivery.attempt, at_least_s=_SEALED_S)
        if may_retry(failure, delivery.attempt, stage.rules, self._overrides):
            return self._again(delivery.attempt + 1, at_least_s=self._endpoint.pause_s)
        self._counts["dead_lettered"] += 1
        why = f"{failure.code}: {failure.reason}; attempt {delivery.attempt}"
        return [stage.undelivered(record, delivery, why)]

    def _again(self, attempt: int, *, at_least_s: float) -> Sequence[Outgoing]:
        """Return the next try, after the delay that this one leads to."""
        stage, delivery, record = self._stage, self._delivery, self._record
        tier = tier_of(delivery.attempt, stage.rules, at_least_s=at_least_s)
        topic = stage.topics.webhook_retries[tier]
        again = {
            "attempt": attempt,
            "not_before": stage.clock() + timedelta(seconds=stage.delays_s[topic]),
        }
        value = webhook_deliveries.write(delivery.model_copy(update=again))
        self._counts["retried"] += 1
        return [Outgoing(topic, record.key, value, retried(record))]

    def _sends(self, answer: twiml.Answer, url: str) -> Sequence[Outgoing]:
        """The response's messages, for the gate to judge like any send."""
        stage, delivery = self._stage, self._delivery
        sends = []
        for index, message in enumerate(answer.messages):
            directory = stage.services.directory
            if message.sender is not None and not directory.service_of(
                delivery.account_sid, None, message.sender
            ):
                self._problem(_BAD_SENDER)  # possibly of another account
                continue
            try:
                send = webhook_deliveries.send_of(
                    message, delivery, index=index, url=url, at=stage.clock()
                )
            except ValueError:
                self._problem(_BAD_MESSAGE)
                continue
            value = webhook_deliveries.write_send(send)
            key = subscriber_key(send.to).encode()
            headers = passed_on(self._record.headers) or ()
            sends.append(Outgoing(stage.topics.outbound_messages, key, value, headers))
        self._counts["answers"] += len(sends)
        if sends and "OptOutType" in delivery.parameters:
            # Twilio's guide advises against a second reply: the recipient got our confirmation.
            self._counts["answers_after_opt_out_type"] += len(sends)
            stage.say_once("webhooks.answer_after_opt_out_type", delivery.account_sid)
        return sends

    def _problem(self, code: int) -> None:
        self._counts[f"answer_problems.{code}"] += 1
        self._stage.say_once(f"webhooks.answer_problem_{code}", self._delivery.account_sid)
