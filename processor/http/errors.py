"""Error responses: Twilio's error body, always JSON."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Annotated, NotRequired

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from typing_extensions import TypedDict

from processor.errors import ConfigError, EditRefused, RetryableError
from processor.errors import Problem as ProblemValue

logger = logging.getLogger(__name__)

# Twilio's codes for URL fields, by every name that the fields have here.
URL_CODES = {
    "StatusCallback": 21609,
    "status_callback_url": 21609,
    "MediaUrl": 21620,
    "InboundRequestUrl": 21402,
    "SmsUrl": 21402,
    "callback_url": 21402,
    "FallbackUrl": 30122,
    "SmsFallbackUrl": 30122,
    "fallback_url": 30122,
}
_MORE_INFO = "https://www.twilio.com/docs/errors/"


class ApiError(Exception):
    """A request cannot be met.

    Args:
        status: HTTP status.
        code: Twilio's error code.
        message: for the client; it repeats no number and no text.
        detail: more, where Twilio has more.
        problems: every problem, if there are several.
        headers: in addition to the usual headers.
    """

    def __init__(
        self,
        status: int,
        code: int,
        message: str,
        *,
        detail: str | None = None,
        problems: Sequence[ProblemValue] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.detail = detail
        self.problems = problems
        self.headers = headers


def not_found(request: Request) -> ApiError:
    """The resource does not exist, or belongs to another account."""
    return ApiError(404, 20404, f"The requested resource {request.url.path} was not found")


def wrong_parameter(message: str, code: int = 20001) -> ApiError:
    """A parameter is missing or wrong."""
    return ApiError(400, code, message)


def conflict(code: int, message: str) -> ApiError:
    """The request contradicts the stored state."""
    return ApiError(409, code, message)


def unauthenticated() -> ApiError:
    """The credentials are wrong or missing."""
    return ApiError(
        401,
        20003,
        "Authentication Error - invalid username",
        detail="Your AccountSid or AuthToken was incorrect.",
        headers={"WWW-Authenticate": 'Basic realm="Twilio API"'},
    )


def too_many(after_s: int = 1) -> ApiError:
    """Too many requests."""
    return ApiError(429, 20429, "Too Many Requests", headers={"Retry-After": str(after_s)})


class Problem(TypedDict):
    """One thing that is wrong, or worth a look, in a configuration."""

    place: Annotated[
        list[str],
        Field(
            description="Keys and indexes from the configuration's top; empty for all of it.",
            examples=[["languages", "es", "STOP", "keywords"]],
        ),
    ]
    code: Annotated[str, Field(description="For programs.", examples=["keyword_clash"])]
    message: Annotated[str, Field(description="For people; without the place.")]
    source: NotRequired[
        Annotated[str, Field(description="The law, rule or page that asks for it.")]
    ]


def problem_body(problem: ProblemValue) -> Problem:
    """A problem, as answers have it."""
    body: Problem = {"place": list(problem.place), "code": problem.code, "message": problem.text}
    if problem.source:
        body["source"] = problem.source
    return body


class Problems(TypedDict):
    """All problems of a request."""

    problems: list[Problem]


class Error(TypedDict):
    """The reason for a refusal, in Twilio's form."""

    code: Annotated[int, Field(description="Twilio's.", examples=[20404])]
    message: str
    more_info: str
    status: Annotated[int, Field(description="Of HTTP.")]
    detail: NotRequired[str]
    details: NotRequired[Problems]


def respond(error: ApiError) -> JSONResponse:
    """Make the response for an error."""
    body: Error = {
        "code": error.code,
        "message": error.message,
        "more_info": f"{_MORE_INFO}{error.code}",
        "status": error.status,
    }
    if error.detail:
        body["detail"] = error.detail
    if error.problems:  # an object: Twilio's client for Go reads no list here
        body["details"] = {"problems": [problem_body(one) for one in error.problems]}
    return JSONResponse(body, error.status, error.headers)


def install(api: FastAPI) -> None:
    """Make the application answer all errors in this form."""

    @api.exception_handler(ApiError)
    async def refused(request: Request, error: ApiError) -> JSONResponse:
        return respond(error)

    @api.exception_handler(HTTPException)
    async def by_the_router(request: Request, error: HTTPException) -> JSONResponse:
        match error.status_code:
            case 401:
                return respond(unauthenticated())
            case 404:
                return respond(not_found(request))
            case 405:
                refusal = ApiError(
                    405, 20004, "Method not allowed", headers=dict(error.headers or {})
                )
                return respond(refusal)
            case status:
                return respond(ApiError(status, 20001, str(error.detail)))

    @api.exception_handler(RequestValidationError)
    async def not_understood(request: Request, error: RequestValidationError) -> JSONResponse:
        problems = error.errors()
        words = [f"{problem['loc'][-1]}: {problem['msg']}" for problem in problems]
        code = URL_CODES.get(str(problems[0]["loc"][-1]), 20001)
        return respond(wrong_parameter("; ".join(words), code))

    @api.exception_handler(EditRefused)
    async def refused_by_a_limit(request: Request, error: EditRefused) -> JSONResponse:
        return respond(ApiError(400, error.code, str(error), problems=error.values))

    @api.exception_handler(ConfigError)
    async def refused_by_the_rules(request: Request, error: ConfigError) -> JSONResponse:
        return respond(ApiError(400, 20001, str(error), problems=error.values))

    @api.exception_handler(RetryableError)
    async def cannot_now(request: Request, error: RetryableError) -> JSONResponse:
        logger.warning("api.cannot", extra={"why": str(error)})
        refusal = ApiError(503, 20503, "Service unavailable", headers={"Retry-After": "1"})
        return respond(refusal)

    @api.exception_handler(ClientDisconnect)
    async def gone(request: Request, error: ClientDisconnect) -> JSONResponse:
        return respond(wrong_parameter("The request broke off"))  # the client has gone

    @api.exception_handler(Exception)
    async def our_fault(request: Request, error: Exception) -> JSONResponse:
        return respond(ApiError(500, 20500, "Internal server error"))
