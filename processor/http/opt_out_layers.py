"""The layers of a draft, and the keywords and message of each keyword type in them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from processor.configuration import layers
from processor.configuration.layers import EVERYWHERE, Layer, layer_of
from processor.core.policy import KeywordSet
from processor.http.auth import CallerIs
from processor.http.authenticated_routes import Known
from processor.http.backend import BackendIs
from processor.http.errors import not_found
from processor.http.opt_out_drafts import (
    TAGGED,
    TAGGED_204,
    Draft,
    IfMatch,
    Language,
    MessageType,
    OptOutSid,
    etag,
    stored,
)
from processor.http.responses.documented import Documented
from processor.http.responses.opt_outs import (
    AllKeywords,
    AllReplies,
    KeywordsAndReply,
    KeywordSets,
    MessageTypes,
    Place,
)
from schemas.messaging_service import KeywordSets as KeywordSetsDocument
from schemas.messaging_service import MessagingService

router = APIRouter(route_class=Known, prefix="/v3/OptOuts", tags=["opt-out configurations"])

_Sets = Annotated[
    dict[str, object],
    Documented(KeywordSetsDocument),
    Body(
        description="Keyword sets by opt-out type.",
        examples=[{"STOP": {"keywords": ["baja"], "reply": "Listo. Responda ALTA para volver."}}],
    ),
]


class Pair(BaseModel):
    """The keywords, the message, or both, of a keyword type; the field that is left out stays."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    keywords: list[str] | None = Field(default=None, examples=[["baja", "alto"]])
    message: str | None = Field(default=None, examples=["Listo."])


@router.get("/{sid}/Keywords", responses=TAGGED)
async def keywords(
    request: Request,
    response: Response,
    backend: BackendIs,
    caller: CallerIs,
    sid: OptOutSid,
    message_type: Annotated[str | None, Query(description="Only of this kind.")] = None,
) -> AllKeywords:
    """The keywords of the draft by keyword type and message type."""
    pairs = _pairs(response, stored(request, backend, caller, sid), message_type)
    return {"config": [{**pair, "keywords": list(one.keywords)} for pair, one in pairs]}


@router.get("/{sid}/Messages", responses=TAGGED)
async def messages(
    request: Request,
    response: Response,
    backend: BackendIs,
    caller: CallerIs,
    sid: OptOutSid,
    message_type: Annotated[str | None, Query(description="Only of this kind.")] = None,
) -> AllReplies:
    """The messages (replies) of the draft by keyword type and message type."""
    pairs = _pairs(response, stored(request, backend, caller, sid), message_type)
    return {"config": [{**pair, "message": one.reply} for pair, one in pairs]}


@router.get("/{sid}/MessageTypes", responses=TAGGED)
async def message_types(
    request: Request, response: Response, backend: BackendIs, caller: CallerIs, sid: OptOutSid
) -> MessageTypes:
    """Where the draft has keyword sets: everywhere, and the countries it overrides."""
    service = stored(request, backend, caller, sid)
    response.headers["ETag"] = etag(service)
    return {"message_types": [EVERYWHERE, *sorted(service.opt_out.countries)]}


@router.get("/{sid}/MessageTypes/{message_type}/Languages/{language}", responses=TAGGED)
async def read_layer(
    request: Request,
    response: Response,
    backend: BackendIs,
    caller: CallerIs,
    sid: OptOutSid,
    message_type: MessageType,
    language: Language,
) -> KeywordSets:
    """Read a layer: `ALL` and `ALL` is the standard one, `ALL` and `es`, `MX` and `es`."""
    service = stored(request, backend, caller, sid)
    response.headers["ETag"] = etag(service)
    return _sets_at(request, service, layer_of(language, message_type))


@router.put("/{sid}/MessageTypes/{message_type}/Languages/{language}", responses=TAGGED)
async def replace_layer(
    request: Request,
    response: Response,
    backend: BackendIs,
    caller: CallerIs,
    sid: OptOutSid,
    message_type: MessageType,
    language: Language,
    sets: _Sets,
    if_match: IfMatch = None,
) -> KeywordSets:
    """Replace a layer of the draft."""
    layer = layer_of(language, message_type)
    at = Draft(request, backend, caller, sid, if_match)
    after = await at.save(lambda service: layers.with_sets(service.opt_out, layer, sets))
    response.headers["ETag"] = etag(after)
    return layers.sets_at(after.opt_out, layer) or {}


@router.delete(
    "/{sid}/MessageTypes/{message_type}/Languages/{language}", status_code=204, responses=TAGGED_204
)
async def delete_layer(
    request: Request,
    backend: BackendIs,
    caller: CallerIs,
    sid: OptOutSid,
    message_type: MessageType,
    language: Language,
    if_match: IfMatch = None,
) -> Response:
    """Take a language out of the draft; of the standard layer, what was changed of it."""
    layer = layer_of(language, message_type)

    def without(service: MessagingService) -> dict[str, object]:
        _sets_at(request, service, layer)
        return layers.with_sets(service.opt_out, layer, {})

    after = await Draft(request, backend, caller, sid, if_match).save(without)
    return Response(status_code=204, headers={"ETag": etag(after)})


@router.delete("/{sid}/MessageTypes/{message_type}", status_code=204, responses=TAGGED_204)
async def delete_country(
    request: Request,
    backend: BackendIs,
    caller: CallerIs,
    sid: OptOutSid,
    message_type: MessageType,
    if_match: IfMatch = None,
) -> Response:
    """Take a country's override out of the draft."""

    def without(service: MessagingService) -> dict[str, object]:
        if message_type not in service.opt_out.countries:
            raise not_found(request)
        return layers.without_country(service.opt_out, message_type)

    after = await Draft(request, backend, caller, sid, if_match).save(without)
    return Response(status_code=204, headers={"ETag": etag(after)})


@router.put("/{sid}/MessageTypes/{message_type}/KeywordTypes/{keyword_type}", responses=TAGGED)
async def replace_pair(
    request: Request,
    response: Response,
    backend: BackendIs,
    caller: CallerIs,
    sid: OptOutSid,
    message_type: MessageType,
    keyword_type: Annotated[str, Path(examples=["STOP.SPANISH"], description="Type, language.")],
    pair: Pair,
    if_match: IfMatch = None,
) -> KeywordsAndReply:
    """Write the keywords or the message of one keyword type, such as `STOP.SPANISH`."""
    kind, language = layers.keyword_type_of(keyword_type)
    layer = layer_of(language, message_type)
    given = {"keywords": pair.keywords, "reply": pair.message}

    def changed(service: MessagingService) -> dict[str, object]:
        sets = layers.sets_at(service.opt_out, layer) or {}
        one = sets.get(kind, {}) | {name: said for name, said in given.items() if said is not None}
        return layers.with_sets(service.opt_out, layer, {**sets, kind.value: one})

    after = await Draft(request, backend, caller, sid, if_match).save(changed)
    response.headers["ETag"] = etag(after)
    one = (layers.sets_at(after.opt_out, layer) or {})[kind]
    return {
        "keyword_type": f"{kind}.{layer.language_name}",
        "message_type": message_type,
        "keywords": one["keywords"],
        "message": one["reply"],
    }


def _sets_at(request: Request, service: MessagingService, layer: Layer) -> KeywordSets:
    sets = layers.sets_at(service.opt_out, layer)
    if sets is None:
        raise not_found(request)
    return sets


def _pairs(
    response: Response, service: MessagingService, message_type: str | None
) -> list[tuple[Place, KeywordSet]]:
    response.headers["ETag"] = etag(service)
    return [
        (
            {
                "keyword_type": f"{kind}.{layer.language_name}",
                "message_type": layer.country or EVERYWHERE,
            },
            one,
        )
        for layer, kinds in layers.layers(service.opt_out)
        if message_type in (None, layer.country or EVERYWHERE)
        for kind, one in kinds.items()
    ]
