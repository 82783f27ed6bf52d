"""Parameters as Twilio's clients post them: forms, words for booleans, repeated keys for lists."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, TypeVar, get_origin
from urllib.parse import parse_qs

from fastapi import Request
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    StringConstraints,
    ValidationError,
)
from pydantic_core import PydanticCustomError

from processor.http.errors import URL_CODES, ApiError, wrong_parameter
from processor.webhooks.addresses import HIDDEN, hides_password, url_problem
from processor.wire.json_values import reasons
from schemas.common import Url

_FORM = "application/x-www-form-urlencoded"
_MAX_FIELDS = 1_000
_HIDDEN = (
    f"the password is {HIDDEN}, which responses show in its place; give the password itself, or"
    " leave the URL out to keep the present URL"
)


def _checked(url: str) -> str:
    if problem := url_problem(url):
        raise PydanticCustomError("url", problem)
    if hides_password(url):
        raise PydanticCustomError("url", _HIDDEN)
    return url


CheckedUrl = Annotated[Url, AfterValidator(_checked)]
"""A URL to which requests can be made. Only new values are checked, not stored values."""

OptionalUrl = Annotated[CheckedUrl | None, BeforeValidator(lambda given: given or None)]
"""An address; an empty value removes the present address."""


Name = Annotated[str, StringConstraints(min_length=1, max_length=64)]
"""The friendly name of a service or a number."""


class Form(BaseModel):
    """The parameters of a request; unknown parameters are ignored, as by Twilio.

    ``model_fields_set`` has the given fields.
    """

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


_F = TypeVar("_F", bound=Form)


def form_of(
    model: type[_F], *, codes: Mapping[str, int] | None = None
) -> Callable[[Request], Awaitable[_F]]:
    """Make a dependency that reads a form.

    Args:
        model: its fields have Twilio's names as aliases.
        codes: Twilio's error codes for wrong parameters; the default is 20001. URLs have their own
            codes.
    """
    lists = {
        field.alias or name
        for name, field in model.model_fields.items()
        if get_origin(field.annotation) is list
    }

    async def read(request: Request) -> _F:
        given = await _parameters(request)
        values: dict[str, object] = {
            name: found if name in lists else found[-1] for name, found in given.items()
        }
        try:
            return model.model_validate(values)
        except ValidationError as error:
            raise _refusal(error, {**URL_CODES, **(codes or {})}) from None

    return read


def documented(model: type[Form], *, change: bool = False) -> dict[str, object]:
    """Make the ``openapi_extra`` of a route that reads a form.

    Args:
        model: its fields.
        change: whether missing fields keep their values instead of getting a default.
    """
    schema = model.model_json_schema(by_alias=True, ref_template="#/components/schemas/{model}")
    if change:
        for field in schema["properties"].values():
            field.pop("default", None)
    body = {"content": {_FORM: {"schema": schema}}, "required": "required" in schema}
    return {"requestBody": body}


async def _parameters(request: Request) -> dict[str, list[str]]:
    body = await request.body()
    if not body:
        return {}
    kind = request.headers.get("content-type", _FORM).partition(";")[0].strip().lower()
    if kind != _FORM:
        raise ApiError(415, 20001, f"The body must be {_FORM}")
    try:
        return parse_qs(
            body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS
        )
    except ValueError:
        raise wrong_parameter("The body cannot be read as a form in UTF-8") from None


def _refusal(error: ValidationError, codes: Mapping[str, int]) -> ApiError:
    problems = error.errors(include_url=False, include_input=False)
    first = str(problems[0]["loc"][0]) if problems[0]["loc"] else ""
    missing = [str(one["loc"][0]) for one in problems if one["type"] == "missing"]
    if missing:
        return wrong_parameter(
            f"Missing required parameter {missing[0]} in the post body",
            codes.get(missing[0], 20001),
        )
    return wrong_parameter("; ".join(reasons(error)), codes.get(first, 20001))
