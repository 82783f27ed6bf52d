"""The work for one message: its turn, the last look, the request to the provider, the outcome."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta

from processor.carriers.adapter import (
    Accepted,
    Again,
    Connection,
    NotSendable,
    Outcome,
    Rejected,
    Response,
    Send,
    Sender,
)
from processor.carriers.providers import ADAPTERS
from processor.carriers.references import Reference, written
from processor.kafka.writing import Outgoing
from processor.stages.carrier_dependencies import CarrierDependencies
from processor.stages.last_look import LastLook, Stopped
from processor.webhooks.client import BROKEN
from processor.webhooks.endpoint import Endpoint
from processor.webhooks.requests import Answered, Request
from processor.webhooks.retries import Failure, Overrides, Why, tier_of, tiers_of, wait_of
from processor.wire import carrier_sends, message_statuses
from processor.wire.headers import hand_over_of, kept, passed_on
from processor.wire.json_values import to_ms
from processor.wire.records import Header, Record
from schemas.carrier_send import CarrierSend

logger = logging.getLogger(__name__)

CARRIER, PROVIDERS_ID = "carrier", "carrier-message-id"
_PERSON_S = 60.0  # not sooner where a person must act, and each try writes a record
_MOST_ID = 512  # characters
_UNKNOWN_ERROR = 30008  # Twilio's code of a failure without a known reason
_MOST_PAUSE_S = 3600.0


class HandOver:
    """One message that goes to one carrier; see ``Work``."""

    is_made = False  # the status of a send shows that a carrier has it

    def __init__(
        self,
        needs: CarrierDependencies,
        look: LastLook,
        record: Record,
        send: CarrierSend,
        by: tuple[Connection, Sender],
    ) -> None:
        self._needs = needs
        self._look = look
        self._record = record
        self._send = send
        self._connection, self._sender = by
        self._judged_by: Sequence[Header] = ()  # of the last look
        self.account_sid = self._connection.name  # carriers take turns as accounts do elsewhere
        self.begun = False

    @property
    def wait_s(self) -> float:
        """See ``Work``."""
        most_s = self._delays_s().get(self._record.topic, 0.0)
        return wait_of(self._send.not_before, self._needs.clock(), most_s)

    def _delays_s(self) -> dict[str, float]:
        needs = self._needs
        return dict(zip(needs.topics.carrier_retries, tiers_of(needs.rules), strict=True))

    @property
    def _endpoint(self) -> Endpoint:
        return self._needs.endpoints.of(self._connection.name, self._connection.api_url)

    @property
    def _is_reply(self) -> bool:
        return self._send.reply_to is not None

    @property
    def has_room(self) -> bool:
        """See ``Work``; replies do not wait for the pace, as their recipients wait for them."""
        pace = self._needs.pace_of(self._connection.name)
        is_free = self._is_reply or pace.is_free(self._connection.sends_per_second)
        return is_free and self._endpoint.has_room

    @property
    def has_neighbours(self) -> bool:
        """See ``Work``."""
        return self._needs.endpoints.accounts > 1

    def committed(self) -> None:
        """Do nothing: requests are counted as they are made; see ``Work``."""

    def put_off(self) -> Sequence[Outgoing]:
        """See ``Work``."""
        self._count("postponed")
        return self._again(self._send.attempt, at_least_s=0.0)

    async def do(self) -> Sequence[Outgoing]:
        """Hand the message over when its turn comes; see ``Work``."""
        by = self._needs.carriers.serving(self._send.account_sid, self._send.from_)
        if by is not None:
            self._connection, self._sender = by  # it may have changed while this waited
        if by is None or self._connection.closed:
            self._count("closed")
            return self._again(self._send.attempt, at_least_s=_PERSON_S)
        if self._is_late and self._send.late_reply == "drop":
            self._count("dropped_late")  # R36
            return ()
        if (taken := self._needs.taken.get(self._place)) is not None:
            outcome, self._judged_by = taken
            return self._after(outcome)  # before Kafka could note it
        pace = self._needs.pace_of(self._connection.name)
        if wait_s := pace.take(self._connection.sends_per_second):
            await asyncio.sleep(wait_s)
        return self._after(await self._in_turn())

    @property
    def _is_late(self) -> bool:
        before = self._send.send_before
        return before is not None and self._needs.clock() > before

    async def _in_turn(self) -> Outcome | Stopped | Failure:
        """The outcome; a ``Failure`` if no turn came."""
        outcome: Outcome | Stopped | None = None

        async def ask() -> Answered | Failure:
            nonlocal outcome
            outcome = await self._hand_over()
            self._note(outcome)
            if isinstance(outcome, Again) and outcome.is_ill:
                return Failure(Why.SERVER, _UNKNOWN_ERROR, outcome.why)  # for the circuit
            return Answered(200, None, b"")

        line = (self._record.key or b"").decode(errors="replace")
        turned = await self._endpoint.run(line, ask)
        if outcome is not None:
            return outcome
        assert isinstance(turned, Failure)
        return turned

    async def _hand_over(self) -> Outcome | Stopped:
        """Look at the list, then ask the provider, with nothing in between."""
        adapter = ADAPTERS[self._connection.provider]
        try:
            call = adapter.build(self._message(), self._connection)
        except NotSendable as error:
            return Rejected(None, str(error), is_ours=True)
        request = Request(call.method, call.url, call.headers, call.body, Overrides())
        answer = await self._ask(request)
        if isinstance(answer, Failure) and answer.reason == BROKEN:
            answer = await self._ask(request)  # the connection was idle, and closed by then
        if isinstance(answer, Answered):
            return adapter.outcome(_response(answer), self._connection)
        return Again(answer.reason) if isinstance(answer, Failure) else answer

    async def _ask(self, request: Request) -> Answered | Failure | Stopped:
        look = await self._look.at(self._send)
        self._judged_by = look.headers
        if look.stopped:
            return look.stopped
        self.begun = True
        with self._needs.metrics.carrier_send_seconds.time():
            return await self._needs.client.call(request)

    def _note(self, outcome: Outcome | Stopped) -> None:
        """Note a failure for the console, without words of the provider."""
        match outcome:
            case Again(why=why):
                said, code = why, None
            case Rejected(code=code, message=message):
                said = message if outcome.is_ours else "rejected by the provider"
            case _:
                return
        self._needs.figures.error(self._connection.name, said, to_ms(self._needs.clock()), code)

    def _message(self) -> Send:
        send, public_url = self._send, self._needs.public_url
        reference, status_url = "", None
        if public_url and not self._is_reply:
            reference = written(
                Reference(
                    send.message_sid,
                    send.account_sid,
                    send.messaging_service_sid,
                    self._sender.address,
                    send.to,
                    send.status_callback,
                )
            )
            status_url = f"{public_url}/carriers/{self._connection.name}?ref={reference}"
        return Send(
            sid=send.message_sid,
            sender=self._sender,
            recipient=send.to,
            body=send.body,
            media_urls=tuple(send.media_urls or ()),
            reference=reference,
            status_url=status_url,
        )

    @property
    def _place(self) -> tuple[str, int, int, str]:
        """The record, and its message: another topic of that name has other messages."""
        record = self._record
        return record.topic, record.partition, record.offset, self._send.message_sid

    def _after(self, outcome: Outcome | Stopped | Failure) -> Sequence[Outgoing]:
        """The records that follow: a status, the next try, or nothing."""
        attempt = self._send.attempt
        match outcome:
            case Accepted(id=id_):
                self._needs.taken[self._place] = outcome, self._judged_by
                self._count("sent_late" if self._is_late else "sent")
                return self._status(id_)
            case Rejected(code=code, message=message):
                return self._failed(code, message)
            case Again() if attempt >= self._needs.rules.attempts:
                return self._failed(_UNKNOWN_ERROR, f"{outcome.why}; attempt {attempt}")
            case Again():
                self._count("retried")
                pause_s = max(outcome.at_least_s, self._endpoint.pause_s)
                return self._again(attempt + 1, at_least_s=min(pause_s, _MOST_PAUSE_S))
            case Failure():  # its circuit is open, or too many wait: the provider was not asked
                self._count("postponed")
                return self._again(attempt, at_least_s=self._endpoint.pause_s)
            case _:
                return self._stopped(outcome)

    def _again(self, attempt: int, *, at_least_s: float) -> Sequence[Outgoing]:
        """The next try, after the delay that this one leads to."""
        needs, record = self._needs, self._record
        tier = tier_of(self._send.attempt, needs.rules, at_least_s=at_least_s)
        topic = needs.topics.carrier_retries[tier]
        due = needs.clock() + timedelta(seconds=tiers_of(needs.rules)[tier])
        again = self._send.model_copy(update={"attempt": attempt, "not_before": due})
        headers = kept(record.headers, record.key)
        return [Outgoing(topic, record.key, carrier_sends.write(again), headers)]

    def _status(self, id_: str | None) -> Sequence[Outgoing]:
        at_ms = to_ms(self._needs.clock())
        value = message_statuses.write_taken(carrier_sends.message_of(self._send, at_ms), at_ms)
        given = [(PROVIDERS_ID, id_[:_MOST_ID].encode("utf-8", "replace"))] if id_ else []
        return [self._written(value, given)]

    def _failed(self, code: int | None, message: str) -> Sequence[Outgoing]:
        self._count("failed")
        if self._is_reply:
            extra = {"carrier": self._connection.name, "code": code, "sid": self._send.message_sid}
            logger.warning("carriers.reply_failed", extra=extra)
        at_ms = to_ms(self._needs.clock())
        send = carrier_sends.message_of(self._send, at_ms)
        return [self._written(message_statuses.write_failed(send, code, message, at_ms), ())]

    def _stopped(self, stopped: Stopped) -> Sequence[Outgoing]:
        """The status of a send that its recipient has stopped since the gate allowed it."""
        at_ms = to_ms(self._needs.clock())
        send = carrier_sends.message_of(self._send, at_ms)
        if stopped == "suspended":
            self._count("suspended")
            return [self._written(message_statuses.write_suspended(send, at_ms), ())]
        if self._is_reply:
            self._count("outdated")  # a START's confirmation, and a STOP came since
            return ()
        self._count("blocked")
        value = message_statuses.write_refusal(send, stopped, at_ms)
        return [self._written(value, self._needs.cloud_events.of_refusal(send, at_ms))]

    def _written(self, value: bytes, more: Sequence[Header]) -> Outgoing:
        headers = [
            *(passed_on(self._record.headers) or ()),
            (CARRIER, self._connection.name.encode()),
            hand_over_of(self._send.reply_to),
            *self._judged_by,
            *more,
        ]
        return Outgoing(self._needs.topics.message_statuses, self._record.key, value, headers)

    def _count(self, result: str) -> None:
        self._needs.count(self._connection.name, result)


def _response(answer: Answered) -> Response:
    """The response as adapters read it; only a number of seconds counts as a time to wait."""
    text = answer.retry_after or ""
    after_s = float(text) if text.isascii() and text.isdigit() and len(text) < 7 else None
    return Response(answer.status, answer.body or b"", after_s)
