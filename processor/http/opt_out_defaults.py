"""The parts of configurations: default keywords, languages, countries, starter packs."""

from __future__ import annotations

from fastapi import APIRouter, Request

from processor.configuration.languages import language_of, languages, starter, tag_of
from processor.configuration.layers import EVERYWHERE, Layer
from processor.core.messages import OptOutType
from processor.core.policy import RESERVED, STANDARD
from processor.http.auth import CallerIs
from processor.http.authenticated_routes import Known
from processor.http.errors import not_found
from processor.http.opt_out_drafts import (
    Language,
)
from processor.http.responses.opt_outs import DefaultSet, KnownLanguages, MessageTypes, StarterPack
from processor.wire.countries import COUNTRIES

router = APIRouter(route_class=Known, prefix="/v3/OptOuts", tags=["opt-out configurations"])


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
async def starter_pack(request: Request, caller: CallerIs, language: Language) -> StarterPack:
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
