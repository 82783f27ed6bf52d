"""messaging.v2 Channels/Senders: WhatsApp and RCS senders, so that services can use them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, StringConstraints

from processor.core.messages import SenderType, sender_type_of
from processor.http.auth import CallerIs
from processor.http.authenticated_routes import Known
from processor.http.backend import BackendIs
from processor.http.errors import wrong_parameter
from processor.http.forms import OptionalUrl
from processor.http.number_records import NumberRecord, record
from processor.http.paging import PageIs, meta_of, slice_of
from processor.http.responses.senders import ChannelSender, ChannelSenders, channel_sender_of
from processor.kafka.topics.owned_senders import a_number, numbers_of
from schemas.common import HttpMethod, SenderAddress

router = APIRouter(route_class=Known, tags=["messaging.v2 channel senders"])

_Sid = Annotated[str, Path(description="XE and 32 hexadecimal digits.")]
_CHANNELS = {SenderType.WHATSAPP: "whatsapp", SenderType.RCS: "rcs"}


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class Webhook(_Part):
    """Webhooks of the sender."""

    callback_url: OptionalUrl = None
    callback_method: HttpMethod = "POST"
    fallback_url: OptionalUrl = None
    fallback_method: HttpMethod = "POST"
    status_callback_url: OptionalUrl = None
    status_callback_method: HttpMethod = "POST"


class ChannelSenderUpdate(_Part):
    """The fields of a sender that may change; its network keeps the profile."""

    friendly_name: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None
    webhook: Webhook | None = None

    def given(self) -> dict[str, object]:
        """The given fields, by the names of the stored record."""
        fields: dict[str, object] = {}
        if self.friendly_name:
            fields["friendly_name"] = self.friendly_name
        if self.webhook:
            fields |= {
                "sms_url": self.webhook.callback_url,
                "sms_method": self.webhook.callback_method,
                "sms_fallback_url": self.webhook.fallback_url,
                "sms_fallback_method": self.webhook.fallback_method,
                "status_callback": self.webhook.status_callback_url,
            }
        return fields


class ChannelSenderCreate(ChannelSenderUpdate):
    """A new sender: ``whatsapp:`` and a number, or ``rcs:`` and an agent."""

    sender_id: SenderAddress


@router.post("/v2/Channels/Senders", status_code=201)
async def create(
    request: Request, backend: BackendIs, caller: CallerIs, given: ChannelSenderCreate
) -> ChannelSender:
    """Record a channel sender, so that services can use it."""
    if sender_type_of(given.sender_id) not in _CHANNELS:
        raise wrong_parameter("sender_id: must begin with whatsapp: or rcs:")
    number = a_number(caller.account, given.sender_id, **given.given())
    return channel_sender_of(request, await record(backend, caller, number))


@router.get("/v2/Channels/Senders")
async def list_(
    request: Request,
    backend: BackendIs,
    caller: CallerIs,
    page: PageIs,
    channel: Annotated[
        str | None, Query(alias="Channel", description="Only senders of `whatsapp`, or of `rcs`.")
    ] = None,
) -> ChannelSenders:
    """List the channel senders, newest first."""
    numbers = [
        number
        for number in numbers_of(backend.configuration, caller.account).values()
        if (name := _CHANNELS.get(SenderType(number.type))) and channel in (None, name)
    ]
    numbers.sort(key=lambda number: (number.created_at, number.sid), reverse=True)
    found = slice_of(numbers, page, lambda number: number.sid)
    return {
        "meta": meta_of(request, page, "senders", found),
        "senders": [channel_sender_of(request, one) for one in found.items],
    }


@router.get("/v2/Channels/Senders/{sid}")
async def fetch(request: Request, backend: BackendIs, caller: CallerIs, sid: _Sid) -> ChannelSender:
    """Fetch a channel sender."""
    number = NumberRecord(request, backend, caller.account, sid, tuple(_CHANNELS))
    return channel_sender_of(request, number.now())


@router.post("/v2/Channels/Senders/{sid}", status_code=202)
async def update(
    request: Request,
    backend: BackendIs,
    caller: CallerIs,
    sid: _Sid,
    given: ChannelSenderUpdate,
) -> ChannelSender:
    """Change a channel sender."""
    number = NumberRecord(request, backend, caller.account, sid, tuple(_CHANNELS))
    after = await number.change(given.given(), actor=caller.actor)
    return channel_sender_of(request, after)


@router.delete("/v2/Channels/Senders/{sid}", status_code=204)
async def delete(request: Request, backend: BackendIs, caller: CallerIs, sid: _Sid) -> Response:
    """Delete a channel sender; this also removes it from its service."""
    number = NumberRecord(request, backend, caller.account, sid, tuple(_CHANNELS))
    await number.give_up(actor=caller.actor)
    return Response(status_code=204)
