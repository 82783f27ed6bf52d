"""Advanced Opt-Out configurations, in the names of Twilio's unreleased messaging.v3 OptOuts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from processor.core.messages import InboundMessage, OptOutType
from processor.core.policy import RESERVED, STANDARD, KeywordSet
from processor.errors import ConfigError
from processor.http.answers.documented import Documented
from processor.http.answers.opt_outs import (
    AllKeywords,
    AllReplies,
    Configuration,
    Configurations,
    DefaultSet,
    Diff,
    KeywordsAndReply,
    KeywordSets,
    KnownLanguages,
    MessageTypes,
    Place,
    StarterPack,
    Trial,
    Trials,
    Validated,
    head_of,
    trial_of,
    whole_of,
)
from processor.http.answers.services import created_at
from processor.http.auth import Caller, CallerIs
from processor.http.backend import Backend, BackendIs
from processor.http.errors import ApiError, not_found
from processor.http.paging import PageIs, meta_of, slice_of
from processor.http.services import find
from processor.keywords.load import language_of, languages, starter, tag_of
from processor.wire import opt_outs
from processor.wire.configuration import Edit, edit_of_service
from processor.wire.countries import COUNTRIES
from processor.wire.opt_outs import EVERYWHERE, Layer, layer_of
from processor.wire.service_documents import disabled, enabled
from schemas.common import Body as MessageBody
from schemas.common import CountryCode, RecipientAddress, SenderAddress
from schemas.messaging_service import KeywordSets as KeywordSetsDocument
from schemas.messaging_service import MessagingService, OptOut

router = APIRouter(prefix="/v3/OptOuts", tags=["opt-out configurations"])

_Document = Annotated[
    dict[str, Any],
    Documented(OptOut),
    Body(
        description="A configuration as `opt_out` of services.yaml.",
        examples=[{"standard": {"STOP": {"keywords": ["stop", "end"], "reply": "You are out."}}}],
    ),
]
_Sets = Annotated[
    dict[str, Any],
    Documented(KeywordSetsDocument),
    Body(
        description="Keyword sets by opt-out type.",
        examples=[{"STOP": {"keywords": ["baja"], "reply": "Listo. Responda ALTA para volver."}}],
    ),
]
_Sid = Annotated[str, Path(description="OO and the digits of its service's sid.")]
_Language = Annotated[str, Path(description="A tag or a name; `ALL`: none.", examples=["es"])]
_MessageType = Annotated[str, Path(description="`ALL` or a country.", examples=["MX"])]
_IfMatch = Annotated[
    str | None, Header(description="The version (ETag) it must still have; else 412.")
]
_Change = Callable[[MessagingService], MessagingService]


class Pair(BaseModel):
    """The keywords, the message, or both, of a keyword type; what is not given stays."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    keywords: list[str] | None = Field(default=None, examples=[["baja", "alto"]])
    message: str | None = Field(default=None, examples=["Listo."])


class Try(BaseModel):
    """A message as it would arrive."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    body: MessageBody = Field(examples=["Stop!"])
    recipient: RecipientAddress = Field(default="+15550100000", description="Who texts.")
    country: CountryCode | None = Field(default=None, description="The recipient's, if not told.")
    sender: SenderAddress | None = Field(default=None, description="Default: the pool's first.")
    blocked: bool = Field(default=False, description="Whether the recipient is blocked before.")


# What there is for every service


@router.get("/DefaultKeywordsMessages")
async def defaults(caller: CallerIs) -> dict[OptOutType, DefaultSet]:
    """The keywords and messages that every configuration begins with."""
    return {
        kind: {
            "keywords": [
                {"keyword": word.upper(), "reserved": word in RESERVED[kind]}
                for word in one.keywords
            ],
            "message": one.reply,
        }
        for kind, one in STANDARD.items()
    }


@router.get("/Configurations/Languages")
async def known_languages(caller: CallerIs) -> KnownLanguages:
    """The languages that keyword types may name."""
    return {
        "languages": [
            {
                "language": Layer(one.tag, None).language_name,
                "tag": one.tag,
                "name": one.name,
                "native_name": one.native_name,
                "direction": one.direction,
            }
            for one in languages().values()
        ]
    }


@router.get("/Configurations/MessageTypes")
async def known_message_types(caller: CallerIs) -> MessageTypes:
    """Where keywords may hold: everywhere, or in a country."""
    return {"message_types": [EVERYWHERE, *sorted(COUNTRIES)]}


@router.get("/StarterPacks/{language}")
async def starter_pack(request: Request, caller: CallerIs, language: _Language) -> StarterPack:
    """Keyword sets to begin a language with, for a speaker of it to review."""
    tag = tag_of(language)
    if tag is None:
        raise not_found(request)
    pack = language_of(tag)
    return {
        "language": tag,
        "status": pack.status,
        "sets": starter(tag),
        "sources": dict(pack.sources),
    }


# Configurations whole


@router.get("")
async def list_(
    request: Request, backend: BackendIs, caller: CallerIs, page: PageIs
) -> Configurations:
    """List the configurations, the newest first."""
    stored = backend.configuration.services.of_account(caller.account)
    heads = sorted((one.head for one in stored), key=lambda one: (created_at(one), one.sid))
    found = slice_of(heads[::-1], page, lambda service: service.sid)
    return {
        "meta": meta_of(request, page, "opt_outs", found),
        "opt_outs": [head_of(service) for service in found.items],
    }


@router.get("/{sid}")
async def fetch(
    request: Request, response: Response, backend: BackendIs, caller: CallerIs, sid: _Sid
) -> Configuration:
    """Read a configuration whole: its draft, and what is in force."""
    return _whole(response, _stored(request, backend, caller, sid))


@router.put("/{sid}")
async def replace(
    request: Request,
    response: Response,
    backend: BackendIs,
    caller: CallerIs,
    sid: _Sid,
    document: _Document,
    if_match: _IfMatch = None,
) -> Configuration:
    """Replace the draft; where Advanced Opt-Out is enabled, it is in force at once."""
    at = _At(request, backend, caller, sid, if_match)
    return _whole(response, await at.save(lambda service: document))


@router.post("/{sid}/Validate")
async def validate(
    request: Request, backend: BackendIs, caller: CallerIs, sid: _Sid, document: _Document
) -> Validated:
    """Say what is wrong with a draft (errors, which refuse it) and what to look at (warnings)."""
    service = _stored(request, backend, caller, sid)
    try:
        after = opt_outs.with_draft(service, document, now=datetime.now(UTC))
    except ConfigError as error:
        return {"errors": list(error.problems), "warnings": []}
    return {"errors": [], "warnings": opt_outs.warnings_about(after)}


@router.get("/{sid}/Diff")
async def diff(
    request: Request, response: Response, backend: BackendIs, caller: CallerIs, sid: _Sid
) -> Diff:
    """How the draft differs from what is in force, or from default handling."""
    service = _stored(request, backend, caller, sid)
    response.headers["ETag"] = _etag(service)
    return {"differences": opt_outs.not_in_force(service), "enabled": service.active is not None}


@router.post("/{sid}/Enable")
async def enable(
    request: Request,
    response: Response,
    backend: BackendIs,
    caller: CallerIs,
    sid: _Sid,
    if_match: _IfMatch = None,
) -> Configuration:
    """Put the draft in force; only an operator can undo it."""

    def change(service: MessagingService) -> MessagingService:
        return service if service.active else enabled(service, now=datetime.now(UTC))

    at = _At(request, backend, caller, sid, if_match)
    return _whole(response, await at.change(change))


@router.post("/{sid}/Disable", responses={403: {"description": "Not the operator (20403)."}})
async def disable(
    request: Request,
    response: Response,
    backend: BackendIs,
    caller: CallerIs,
    sid: _Sid,
    if_match: _IfMatch = None,
) -> Configuration:
    """Back to default handling; the operator's alone."""
    if not caller.operator:
        raise ApiError(403, 20403, "Only an operator may disable Advanced Opt-Out")

    def change(service: MessagingService) -> MessagingService:
        return disabled(service, now=datetime.now(UTC)) if service.active else service

    at = _At(request, backend, caller, sid, if_match)
    return _whole(response, await at.change(change))


@router.post("/{sid}/Try")
async def try_(
    request: Request, backend: BackendIs, caller: CallerIs, sid: _Sid, given: Try
) -> Trials:
    """What would become of a message under the draft and under what is in force, and why."""
    service = _stored(request, backend, caller, sid)
    senders = [one.address for one in service.senders]
    message = InboundMessage(
        message_sid="SMtry",
        account_sid=service.account_sid,
        service_sid=service.sid,
        recipient=given.recipient,
        sender=given.sender or next(iter(senders), "+15550100001"),
        body=given.body,
        from_country=given.country,
        num_media=0,
        received_at_ms=0,
    )
    scope = backend.settings.block_scope

    def tried(*, draft: bool) -> Trial:
        return trial_of(
            opt_outs.try_out(service, message, blocked=given.blocked, draft=draft, scope=scope)
        )

    return {"draft": tried(draft=True), "active": tried(draft=False)}


# Layers and pairs


@router.get("/{sid}/Keywords")
async def keywords(
    request: Request,
    response: Response,
    backend: BackendIs,
    caller: CallerIs,
    sid: _Sid,
    message_type: Annotated[str | None, Query(description="Only of this one.")] = None,
) -> AllKeywords:
    """The keywords of the draft by keyword type and message type."""
    pairs = _pairs(response, _stored(request, backend, caller, sid), message_type)
    return {"config": [{**pair, "keywords": list(one.keywords)} for pair, one in pairs]}


@router.get("/{sid}/Messages")
async def messages(
    request: Request,
    response: Response,
    backend: BackendIs,
    caller: CallerIs,
    sid: _Sid,
    message_type: Annotated[str | None, Query(description="Only of this one.")] = None,
) -> AllReplies:
    """The messages (replies) of the draft by keyword type and message type."""
    pairs = _pairs(response, _stored(request, backend, caller, sid), message_type)
    return {"config": [{**pair, "message": one.reply} for pair, one in pairs]}


@router.get("/{sid}/MessageTypes")
async def message_types(
    request: Request, response: Response, backend: BackendIs, caller: CallerIs, sid: _Sid
) -> MessageTypes:
    """Where the draft has keyword sets: everywhere, and the countries it overrides."""
    service = _stored(request, backend, caller, sid)
    response.headers["ETag"] = _etag(service)
    return {"message_types": [EVERYWHERE, *sorted(service.opt_out.countries)]}


@router.get("/{sid}/MessageTypes/{message_type}/Languages/{language}")
async def read_layer(
    request: Request,
    response: Response,
    backend: BackendIs,
    caller: CallerIs,
    sid: _Sid,
    message_type: _MessageType,
    language: _Language,
) -> KeywordSets:
    """Read a layer: `ALL` and `ALL` is the standard one, `ALL` and `es`, `MX` and `es`."""
    service = _stored(request, backend, caller, sid)
    response.headers["ETag"] = _etag(service)
    return _sets_at(request, service, layer_of(language, message_type))


@router.put("/{sid}/MessageTypes/{message_type}/Languages/{language}")
async def replace_layer(
    request: Request,
    response: Response,
    backend: BackendIs,
    caller: CallerIs,
    sid: _Sid,
    message_type: _MessageType,
    language: _Language,
    sets: _Sets,
    if_match: _IfMatch = None,
) -> KeywordSets:
    """Replace a layer of the draft."""
    layer = layer_of(language, message_type)
    at = _At(request, backend, caller, sid, if_match)
    after = await at.save(lambda service: opt_outs.with_sets(service.opt_out, layer, sets))
    response.headers["ETag"] = _etag(after)
    return opt_outs.sets_at(after.opt_out, layer) or {}


@router.delete("/{sid}/MessageTypes/{message_type}/Languages/{language}", status_code=204)
async def delete_layer(
    request: Request,
    backend: BackendIs,
    caller: CallerIs,
    sid: _Sid,
    message_type: _MessageType,
    language: _Language,
    if_match: _IfMatch = None,
) -> Response:
    """Take a language out of the draft; of the standard layer, what was changed of it."""
    layer = layer_of(language, message_type)

    def without(service: MessagingService) -> dict[str, Any]:
        _sets_at(request, service, layer)
        return opt_outs.with_sets(service.opt_out, layer, {})

    after = await _At(request, backend, caller, sid, if_match).save(without)
    return Response(status_code=204, headers={"ETag": _etag(after)})


@router.delete("/{sid}/MessageTypes/{message_type}", status_code=204)
async def delete_country(
    request: Request,
    backend: BackendIs,
    caller: CallerIs,
    sid: _Sid,
    message_type: _MessageType,
    if_match: _IfMatch = None,
) -> Response:
    """Take a country's override out of the draft."""

    def without(service: MessagingService) -> dict[str, Any]:
        if message_type not in service.opt_out.countries:
            raise not_found(request)
        return opt_outs.without_country(service.opt_out, message_type)

    after = await _At(request, backend, caller, sid, if_match).save(without)
    return Response(status_code=204, headers={"ETag": _etag(after)})


@router.put("/{sid}/MessageTypes/{message_type}/KeywordTypes/{keyword_type}")
async def replace_pair(
    request: Request,
    response: Response,
    backend: BackendIs,
    caller: CallerIs,
    sid: _Sid,
    message_type: _MessageType,
    keyword_type: Annotated[str, Path(examples=["STOP.SPANISH"], description="Type, language.")],
    pair: Pair,
    if_match: _IfMatch = None,
) -> KeywordsAndReply:
    """Write the keywords or the message of one keyword type, such as `STOP.SPANISH`."""
    kind, language = opt_outs.keyword_type_of(keyword_type)
    layer = layer_of(language, message_type)
    given = {"keywords": pair.keywords, "reply": pair.message}

    def changed(service: MessagingService) -> dict[str, Any]:
        sets = opt_outs.sets_at(service.opt_out, layer) or {}
        one = sets.get(kind, {}) | {name: said for name, said in given.items() if said is not None}
        return opt_outs.with_sets(service.opt_out, layer, {**sets, kind.value: one})

    after = await _At(request, backend, caller, sid, if_match).save(changed)
    response.headers["ETag"] = _etag(after)
    one = (opt_outs.sets_at(after.opt_out, layer) or {})[kind]
    return {
        "keyword_type": f"{kind}.{layer.language_name}",
        "message_type": message_type,
        "keywords": one["keywords"],
        "message": one["reply"],
    }


class _At:
    """One change of a configuration, which must still be of the version that was read."""

    def __init__(
        self, request: Request, backend: Backend, caller: Caller, sid: str, if_match: str | None
    ) -> None:
        self._request = request
        self._backend = backend
        self._caller = caller
        self._sid = sid
        self._if_match = if_match

    async def save(self, draft: Callable[[MessagingService], Any]) -> MessagingService:
        """Replace the draft with what is made of the service as it is."""
        return await self.change(
            lambda before: opt_outs.with_draft(before, draft(before), now=datetime.now(UTC))
        )

    async def change(self, change: _Change) -> MessagingService:
        """Change the service as it is; what it is afterwards."""
        made: list[MessagingService] = []

        def decide() -> list[Edit]:
            before = _stored(self._request, self._backend, self._caller, self._sid)
            if not _fits(self._if_match, before):
                raise ApiError(
                    412, 20412, "It was changed meanwhile", headers={"ETag": _etag(before)}
                )
            made[:] = [change(before)]
            return [edit_of_service(before, made[0])] if made[0] != before else []

        await self._backend.configuration.update(decide, actor=self._caller.actor)
        return made[0]


def _stored(request: Request, backend: Backend, caller: Caller, sid: str) -> MessagingService:
    if not sid.startswith("OO"):
        raise not_found(request)
    return find(request, backend, caller, f"MG{sid[2:]}").whole()


def _sets_at(request: Request, service: MessagingService, layer: Layer) -> KeywordSets:
    sets = opt_outs.sets_at(service.opt_out, layer)
    if sets is None:
        raise not_found(request)
    return sets


def _pairs(
    response: Response, service: MessagingService, message_type: str | None
) -> list[tuple[Place, KeywordSet]]:
    response.headers["ETag"] = _etag(service)
    return [
        (
            {
                "keyword_type": f"{kind}.{layer.language_name}",
                "message_type": layer.country or EVERYWHERE,
            },
            one,
        )
        for layer, kinds in opt_outs.layers(service.opt_out)
        if message_type in (None, layer.country or EVERYWHERE)
        for kind, one in kinds.items()
    ]


def _etag(service: MessagingService) -> str:
    return f'"{service.version}"'


def _fits(if_match: str | None, service: MessagingService) -> bool:
    """Whether a change may go on; weak tags never match (RFC 9110, 13.1.1)."""
    if if_match is None or if_match.strip() == "*":
        return True
    return _etag(service) in (tag.strip() for tag in if_match.split(","))


def _whole(response: Response, service: MessagingService) -> Configuration:
    response.headers["ETag"] = _etag(service)
    return whole_of(service)
