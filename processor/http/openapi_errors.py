"""The errors in the OpenAPI document: the statuses of each operation, and their body."""

from __future__ import annotations

from typing import NotRequired

from fastapi import FastAPI
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from processor.http.errors import Error
from processor.json_types import JsonObject

_ERROR = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
_WHY = {
    "400": (
        "A parameter is missing or wrong; `details.problems` has every problem of a configuration"
        " with its place and its code."
    ),
    "401": "No credentials, or unknown credentials (20003); an account that is not active (20005).",
    "404": "Not there, or another account's (20404); no such account in `X-Optout-Account`.",
    "412": "It has another version than `If-Match` says (20412).",
    "413": "Too large.",
    "415": "The body has an unsupported content type.",
    "429": "Too many requests of the account, or failed logins (20429): wait for `Retry-After`.",
    "503": "Kafka, Redis or the block list cannot be trusted now (20503); the outcome is unknown.",
}
_HEADERS = {"401": "WWW-Authenticate", "412": "ETag", "429": "Retry-After", "503": "Retry-After"}


class _Parameter(TypedDict):
    """The part of a parameter that is read; its names are OpenAPI's."""

    name: str


class _Operation(TypedDict):
    """The part of an operation that is read and completed; its names are OpenAPI's."""

    summary: str
    responses: dict[str, dict[str, object]]
    security: NotRequired[object]
    parameters: NotRequired[list[_Parameter]]
    requestBody: NotRequired[object]


def document_refusals(api: FastAPI) -> None:
    """Add to each operation in the document the errors that it may answer with."""
    made = api.openapi

    def openapi() -> JsonObject:
        if api.openapi_schema:
            return api.openapi_schema
        document = made()
        schemas = document["components"]["schemas"]
        for unused in ("HTTPValidationError", "ValidationError"):  # our error is 400
            schemas.pop(unused, None)
        refusal = TypeAdapter(Error).json_schema(ref_template="#/components/schemas/{model}")
        schemas |= refusal.pop("$defs") | {"Error": refusal}
        for path, operations in document["paths"].items():
            for operation in operations.values():
                _complete(path, operation)
        return document

    api.openapi = openapi  # type: ignore[method-assign]


def _complete(path: str, operation: _Operation) -> None:
    operation["summary"] = operation["summary"].strip()  # from a name such as list_
    answers = operation["responses"]
    answers.pop("422", None)
    for status in _refusals(path, operation):
        answers.setdefault(status, {"description": _WHY[status], **_headers(status)})
    for status, answer in answers.items():
        if status >= "400":
            answer.setdefault("content", _ERROR)


def _headers(status: str) -> dict[str, object]:
    said = _HEADERS.get(status)
    return {"headers": {said: {"schema": {"type": "string"}}}} if said else {}


def _refusals(path: str, operation: _Operation) -> list[str]:
    if "security" not in operation:
        return []
    named = {one["name"].lower() for one in operation.get("parameters", ())}
    refusals = ["400", "401", "429", "503"]
    if "{" in path or "x-optout-account" in named:
        refusals.append("404")
    if "if-match" in named:
        refusals.append("412")
    if "requestBody" in operation:
        refusals += ["413", "415"]
    return refusals
