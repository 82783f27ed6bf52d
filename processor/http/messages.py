"""2010-04-01 Messages: sends, which the gate judges, and their outcomes."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import Field

from processor import clocks
from processor.configuration.quotas import Quota
from processor.core import gate
from processor.core.addresses import subscriber_key
from processor.core.messages import SenderType, channel_group_of, sender_type_of
from processor.core.segments import segments_of
from processor.http.account_paths import PATH, AccountIs
from processor.http.addresses import Recipient
from processor.http.auth import CallerIs
from processor.http.authenticated_routes import Known
from processor.http.backend import Backend, BackendIs
from processor.http.errors import not_found, wrong_parameter
from processor.http.forms import CheckedUrl, Form, OptionalUrl, documented, form_of
from processor.http.limits import MADE
from processor.http.long_responses import written
from processor.http.paging import PageIs, Slice, between, uris_of
from processor.http.responses.messages import Media, Message, Messages, message_of
from processor.http.send_checks import is_refused
from processor.http.times import time_of
from processor.kafka.topics.owned_senders import owns
from processor.kafka.writing import Outgoing
from processor.stores.messages import Found, StoredMessage
from processor.webhooks.addresses import with_login_of, without_login
from processor.wire import outbound_messages
from processor.wire.json_values import to_ms
from schemas.common import SenderAddress
from schemas.messaging_service import MessagingService

router = APIRouter(route_class=Known, tags=["2010-04-01 messages"])

MAX_BODY = 1_600
_AT_ONCE = 50  # messages read in a slice
_MOST_LOOKED_AT = 1_000  # messages read for a page with a strict filter
_CLOCKS_DIFFER_MS = 3_600_000  # clocks of carriers and ours
_MESSAGES = PATH + "/Messages"
_Sid = Annotated[str, Path(description="SM or MM and 32 hexadecimal digits.")]
_SERVICE_SID = re.compile(r"MG[0-9a-fA-F]{32}")
_CODES = {
    "To": 21211,
    "From": 21606,
    "Body": 21617,
}


class MessageCreate(Form):
    """A message to be sent."""

    to: Recipient | None = Field(default=None, alias="To")
    sender: SenderAddress | None = Field(default=None, alias="From")
    service_sid: str | None = Field(default=None, alias="MessagingServiceSid")
    body: str = Field(default="", alias="Body", max_length=MAX_BODY)
    media_urls: list[CheckedUrl] = Field(default_factory=list, alias="MediaUrl", max_length=10)
    status_callback: OptionalUrl = Field(default=None, alias="StatusCallback")
    send_at: str | None = Field(default=None, alias="SendAt", description="Not supported.")
    content_sid: str | None = Field(default=None, alias="ContentSid", description="Not supported.")


class MessageUpdate(Form):
    """The changes to a message: its text may be removed."""

    body: str | None = Field(default=None, alias="Body")
    status: str | None = Field(default=None, alias="Status")


_LOGIN = (
    "StatusCallback: carriers would read the user and password in a message's URL. Set them in a"
    " URL of the messaging service, such as its StatusCallback: they are used for its host"
)


@router.post(_MESSAGES + ".json", status_code=201, openapi_extra=documented(MessageCreate))
async def create(
    request: Request,
    backend: BackendIs,
    account_sid: AccountIs,
    form: Annotated[MessageCreate, Depends(form_of(MessageCreate, codes=_CODES))],
) -> Message:
    """Send a message; if the recipient opted out, it becomes ``failed`` with 21610 (R24).

    Without a service it is refused with 21610 at once, unless OPTOUT_API_REFUSE_BLOCKED is false.
    """
    if (
        account_sid in backend.configuration.accounts.ended
    ):  # only an operator can ask for an ended account
        raise wrong_parameter(gate.SUSPENDED_MESSAGE, gate.SUSPENDED_CODE)
    service = _sendable(backend, account_sid, form)
    assert form.to is not None
    if (
        service is None
        and form.sender
        and backend.settings.api_refuse_blocked
        and await is_refused(backend, account_sid, form.sender, form.to)
    ):
        raise wrong_parameter(gate.ERROR_MESSAGE, gate.ERROR_CODE)
    message = _accepted(account_sid, form)
    value = outbound_messages.write(
        message_sid=message.sid,
        account_sid=account_sid,
        service_sid=form.service_sid,
        sender=form.sender,
        to=form.to,
        body=form.body,
        media_urls=form.media_urls,
        status_callback=_callback(form.status_callback, service),
        created_at_ms=message.created_at_ms,
    )
    # Store it first, so that no status comes before it.
    limits = backend.configuration.holdings.limits_of(account_sid)
    await backend.messages.add(message, most=limits[Quota.MESSAGES])
    try:
        await backend.send(
            Outgoing(backend.topics.outbound_messages, subscriber_key(form.to).encode(), value)
        )
    except Exception:
        await backend.messages.remove(message)
        raise
    return message_of(message)


def _callback(given: str | None, service: MessagingService | None) -> str | None:
    """Make the URL for a send's statuses without a login, as carriers read it; the service has it.

    Raises:
        ApiError: 21609, if the login would be lost.
    """
    if service is None:
        known: tuple[str | None, ...] = ()
    else:
        known = (service.status_callback, service.inbound_request_url, service.fallback_url)
    url = given or (service.status_callback if service else None)
    if url is None:
        return None
    bare = without_login(url)
    if with_login_of(bare, known) != url:
        raise wrong_parameter(_LOGIN, 21609)
    return bare


@router.get(_MESSAGES + ".json", response_model=Messages)
async def list_(
    request: Request,
    backend: BackendIs,
    caller: CallerIs,
    account_sid: AccountIs,
    page: PageIs,
    to: Annotated[
        str | None, Query(alias="To", description="Only messages to this address.")
    ] = None,
    sender: Annotated[
        str | None, Query(alias="From", description="Only messages from this address.")
    ] = None,
    sent_on: Annotated[
        str | None,
        Query(alias="DateSent", description="That day.", examples=["2026-11-02"]),
    ] = None,
    sent_before: Annotated[
        str | None, Query(alias="DateSent<", description="Only messages of this day or before.")
    ] = None,
    sent_after: Annotated[
        str | None, Query(alias="DateSent>", description="Only messages of this day or later.")
    ] = None,
) -> Response:
    """List the messages that are still kept, newest first.

    A page may be short or empty and still have a next page, as each page reads a limited number of
    messages.
    """
    wanted, until_ms = _sent(sent_on, sent_before, sent_after)
    found: list[Message] = []
    first: Found | None = None
    looked_at, after = 0, page.after
    async with backend.redis_turns.turn(caller.payer):
        while True:
            async with backend.slices.one():
                part = await backend.messages.find(
                    account_sid,
                    to=_address(to),
                    sender=_address(sender),
                    wanted=wanted,
                    size=page.size - len(found),
                    most=min(_AT_ONCE, page.size),
                    until_ms=until_ms,
                    start=page.number * page.size,
                    after=after,
                    before=None if first else page.before,
                )
                found += [message_of(message) for message in part.messages]
            first = first or part
            looked_at += part.looked_at
            after = part.after
            if after is None or len(found) == page.size or looked_at >= _MOST_LOOKED_AT:
                break
    backend.charge(caller, MADE * looked_at)
    slice_ = between(found, after=after, before=first.before)
    answer: Messages = {**uris_of(request, page, slice_), "messages": found}
    return written(answer)


@router.get(_MESSAGES + "/{sid}.json")
async def fetch(request: Request, backend: BackendIs, account_sid: AccountIs, sid: _Sid) -> Message:
    """Fetch a message with its current status."""
    return message_of(await _find(request, backend, account_sid, sid))


@router.post(_MESSAGES + "/{sid}.json", openapi_extra=documented(MessageUpdate, change=True))
async def update(
    request: Request,
    backend: BackendIs,
    account_sid: AccountIs,
    sid: _Sid,
    form: Annotated[MessageUpdate, Depends(form_of(MessageUpdate))],
) -> Message:
    """Remove a message's text with an empty ``Body``; there are no scheduled messages to cancel."""
    message = await _find(request, backend, account_sid, sid)
    if form.status is not None or form.body != "":
        raise wrong_parameter("Only an empty Body is supported: messages are not scheduled here")
    await backend.messages.redact(message.sid)
    return message_of(await _find(request, backend, account_sid, sid))


@router.delete(_MESSAGES + "/{sid}.json", status_code=204)
async def delete(
    request: Request, backend: BackendIs, account_sid: AccountIs, sid: _Sid
) -> Response:
    """Delete a message from the API; this does not stop the send."""
    await backend.messages.remove(await _find(request, backend, account_sid, sid))
    return Response(status_code=204)


@router.get(_MESSAGES + "/{sid}/Media.json")
async def media(
    request: Request, backend: BackendIs, account_sid: AccountIs, sid: _Sid, page: PageIs
) -> Media:
    """List a message's media: none are kept here."""
    await _find(request, backend, account_sid, sid)
    nothing: Slice[StoredMessage] = Slice((), None, None)
    return {**uris_of(request, page, nothing), "media_list": []}


def _sendable(backend: Backend, account_sid: str, form: MessageCreate) -> MessagingService | None:
    """Check a message, and return the service it names.

    Raises:
        ApiError: with Twilio's code for the first problem.
    """
    if not form.to:
        raise wrong_parameter("A 'To' phone number is required.", 21604)
    if not form.sender and not form.service_sid:
        raise wrong_parameter("A 'From' phone number or MessagingServiceSid is required.", 21603)
    if form.send_at is not None or form.content_sid is not None:
        raise wrong_parameter("SendAt and ContentSid are not supported here")
    if not form.body and not form.media_urls:
        raise wrong_parameter("Message body is required.", 21602)
    service = _service(backend, account_sid, form.service_sid) if form.service_sid else None
    if service and not service.senders:
        raise wrong_parameter("The Messaging Service contains no phone numbers.", 21704)
    if form.sender:
        if not _may_send(backend, account_sid, form.sender, service):
            raise wrong_parameter("The 'From' number is not a sender of this account.", 21606)
        if form.sender == form.to:
            raise wrong_parameter("'To' and 'From' number cannot be the same.", 21266)
        if channel_group_of(form.sender) is not channel_group_of(form.to):
            raise wrong_parameter("'From' and 'To' are not of the same channel.", 21910)
    return service


def _may_send(
    backend: Backend, account_sid: str, sender: str, service: MessagingService | None
) -> bool:
    if service:
        return sender in {one.address for one in service.senders}
    # Names belong to no account; every other sender belongs to one account.
    named = sender_type_of(sender) is SenderType.ALPHANUMERIC
    return named or owns(backend.configuration, account_sid, sender)


def _service(backend: Backend, account_sid: str, sid: str) -> MessagingService:
    if not _SERVICE_SID.fullmatch(sid):
        raise wrong_parameter("The Messaging Service Sid is invalid.", 21705)
    stored = backend.configuration.services.get(sid)
    if stored is None or stored.head.account_sid != account_sid:
        raise wrong_parameter("The Messaging Service does not exist.", 21701)
    return stored.head


def _accepted(account_sid: str, form: MessageCreate) -> StoredMessage:
    now_ms = clocks.now_ms()
    return StoredMessage(
        sid=f"{'MM' if form.media_urls else 'SM'}{uuid.uuid4().hex}",
        account_sid=account_sid,
        service_sid=form.service_sid,
        sender=form.sender,
        to=form.to or "",
        body=form.body,
        num_media=len(form.media_urls),
        num_segments=0 if form.service_sid else segments_of(form.body).segments,
        status="accepted" if form.service_sid else "queued",
        error_code=None,
        error_message=None,
        created_at_ms=now_ms,
        updated_at_ms=now_ms,
        sent_at_ms=None,
    )


async def _find(request: Request, backend: Backend, account_sid: str, sid: str) -> StoredMessage:
    message = await backend.messages.get(sid)
    if message is None or message.account_sid != account_sid:
        raise not_found(request)
    return message


def _address(given: str | None) -> str | None:
    """Read an address in a query, where an unescaped + arrives as a space."""
    return given.replace(" ", "+") if given else None


def _sent(
    on: str | None, before: str | None, after: str | None
) -> tuple[Callable[[StoredMessage], bool], int | None]:
    """Make a filter by day of sending, and the latest time of creation.

    Messages that are not sent yet count by their creation.
    """
    day = _instant(on).date() if on else None
    until, since = (_instant(given) if given else None for given in (before, after))
    if day and (until is None or until.date() > day):
        until = datetime.combine(day, datetime.max.time(), UTC)

    def wanted(message: StoredMessage) -> bool:
        at = time_of(message.sent_at_ms or message.created_at_ms)
        return (
            (day is None or at.date() == day)
            and (until is None or at <= until)
            and (since is None or at >= since)
        )

    return wanted, to_ms(until) + _CLOCKS_DIFFER_MS if until else None


def _instant(given: str) -> datetime:
    try:
        at = datetime.fromisoformat(given)
    except ValueError:
        raise wrong_parameter("DateSent: must be a date such as 2026-11-02") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
