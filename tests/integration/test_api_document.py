"""The OpenAPI document describes the answers: every possible status, and its body."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import jsonschema
import orjson
import pytest

from processor.config import Settings
from processor.http.api import create_api
from tests.api import Api, all_running, create_accounts, serving, with_secrets
from tests.builders import (
    ACCOUNT,
    LONG_CODE,
    OPERATOR_TOKEN,
    OTHER_RECIPIENT,
    RECIPIENT,
    SHORT_CODE,
)
from tests.clinic import a_text
from tests.installation import Installation, until

BASE = f"/2010-04-01/Accounts/{ACCOUNT}"
CSV = {"Content-Type": "text/csv"}
JSON = "application/json"
HEADERS = {"etag", "retry-after", "www-authenticate"}

Hold = Callable[..., Awaitable[Any]]
"""Asks, and compares the answer with the document: the status, a method, a path, the parameters."""


def strict(schema: Any) -> Any:
    """A schema that refuses keys it does not name."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {"additionalProperties": False} if schema.get("type") == "object" else {}
    return closed | {name: strict(one) for name, one in schema.items()}


DOCUMENT = create_api(Settings()).openapi()
COMPONENTS = strict(DOCUMENT["components"])
OPERATIONS = {
    (method.upper(), path): operation
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
}


def operation_of(method: str, path: str) -> tuple[str, str]:
    """The operation of a request; a path without parameters wins over a path with them."""
    place = path.partition("?")[0]
    found = [one for one in OPERATIONS if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", one[1]), place)]
    return min((one for one in found if one[0] == method), key=lambda one: one[1].count("{"))


async def ask(api: Api, method: str, path: str, **given: Any) -> tuple[int, Any]:
    """Ask, and check the answer by the document."""
    answer = await api.ask(method, path, **given)
    answers = OPERATIONS[operation_of(method, path)]["responses"]
    assert str(answer.status_code) in answers, (method, path, answer.status_code)
    said = answers[str(answer.status_code)]
    schema = said["content"][JSON]["schema"]
    assert HEADERS & answer.headers.keys() <= {one.lower() for one in said.get("headers", {})}
    body = answer.json()
    jsonschema.validate(body, {**strict(schema), "components": COMPONENTS})
    if answer.status_code >= 400:
        assert (schema["$ref"].rpartition("/")[2], body["status"]) == ("Error", answer.status_code)
    return answer.status_code, body


async def test_what_is_answered_is_what_is_documented(settings: Settings) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    held = set()
    async with all_running(settings) as api:

        async def hold(status: int, method: str, path: str, *, who: Api = api, **given: Any) -> Any:
            found, body = await ask(who, method, path, **given)
            assert found == status, (method, path, body)
            held.add(operation_of(method, path))
            return body

        service = await hold(201, "POST", "/v1/Services", data={"FriendlyName": "Clinic"})
        sids = await recorded(hold)
        await the_service(hold, f"/v1/Services/{service['sid']}", sids)
        await messages(hold)
        await configurations(hold, f"/v3/OptOuts/OO{service['sid'][2:]}")
        await block_list(hold)
        await reviews(hold, Installation(settings))
        await hold(200, "GET", "/v1/ConfigurationChanges")
        await hold(200, "GET", "/livez")
        await hold(200, "GET", "/readyz")
        operator, acting = api.as_("operator", OPERATOR_TOKEN), {"X-Optout-Account": ACCOUNT}
        disable = f"/v3/OptOuts/OO{service['sid'][2:]}/Disable"
        await hold(200, "POST", disable, who=operator, headers=acting)
    assert held == {one for one in OPERATIONS if list(json_answers(one))}


async def reviews(hold: Hold, at: Installation) -> None:
    """Two texts that may be opt-outs: each gets a decision."""
    path = "/v1/OptOuts/Suspected"
    await at.texts(a_text("M1", "stop texting me or else"), a_text("M2", "stop texting me or else"))

    async def are_listed() -> bool:
        return len((await hold(200, "GET", path))["suspected"]) == 2

    await until(are_listed, "two texts to review")
    page = await hold(200, "GET", f"{path}?PageSize=1&tier=suspected")
    assert page["meta"]["next_page_url"]
    first, second = [one["text_id"] for one in (await hold(200, "GET", path))["suspected"]]
    await hold(200, "GET", f"{path}/{first}")
    await hold(404, "GET", f"{path}/TX0")
    await hold(200, "POST", f"{path}/{first}/Confirm")
    await hold(409, "POST", f"{path}/{first}/Confirm")
    await hold(200, "POST", f"{path}/{first}/Undo")
    await hold(200, "POST", f"{path}/{second}/Dismiss")
    await hold(200, "POST", f"{path}/Dismiss", json={"text_ids": [first, second]})
    await hold(400, "POST", f"{path}/Dismiss", json={})


async def recorded(hold: Hold) -> dict[str, str]:
    """Numbers, a short code, a channel sender: their sids, by the parameter that names them."""
    sids = {}
    for path, form, parameter in (
        (f"{BASE}/IncomingPhoneNumbers", {"PhoneNumber": LONG_CODE}, "PhoneNumberSid"),
        (f"{BASE}/SMS/ShortCodes", {"ShortCode": SHORT_CODE}, "ShortCodeSid"),
    ):
        sids[parameter] = (await hold(201, "POST", f"{path}.json", data=form))["sid"]
        await hold(200, "GET", f"{path}.json")
        await hold(200, "GET", f"{path}/{sids[parameter]}.json")
        name = {"FriendlyName": "Ours"}
        await hold(200, "POST", f"{path}/{sids[parameter]}.json", data=name)
    path, given = "/v2/Channels/Senders", {"sender_id": f"whatsapp:{LONG_CODE}"}
    sids["Sid"] = (await hold(201, "POST", path, json=given))["sid"]
    await hold(200, "GET", path)
    await hold(200, "GET", f"{path}/{sids['Sid']}")
    await hold(202, "POST", f"{path}/{sids['Sid']}", json={"friendly_name": "Ours"})
    return sids


async def the_service(hold: Hold, path: str, sids: dict[str, str]) -> None:
    await hold(200, "POST", path, data={"InboundMethod": "GET"})
    await hold(200, "GET", path)
    await hold(200, "GET", "/v1/Services?PageSize=1")
    for kind, parameter in (
        ("PhoneNumbers", "PhoneNumberSid"),
        ("ShortCodes", "ShortCodeSid"),
        ("AlphaSenders", "AlphaSender"),
        ("ChannelSenders", "Sid"),
    ):
        given = {parameter: sids.get(parameter, "Clinic")}
        sid = (await hold(201, "POST", f"{path}/{kind}", data=given))["sid"]
        await hold(409, "POST", f"{path}/{kind}", data=given)
        await hold(200, "GET", f"{path}/{kind}")
        await hold(200, "GET", f"{path}/{kind}/{sid}")
    for nothing in ("DestinationAlphaSenders", "Compliance/Usa2p", "Compliance/Usa2p/Usecases"):
        await hold(200, "GET", f"{path}/{nothing}")
    await hold(400, "POST", "/v1/Services", data={})
    await hold(415, "POST", "/v1/Services", json={})
    await hold(404, "GET", "/v1/Services/MG" + "1" * 32)


async def messages(hold: Hold) -> None:
    path = f"{BASE}/Messages"
    send = {"To": OTHER_RECIPIENT, "From": LONG_CODE, "Body": "Hello"}
    message = await hold(201, "POST", f"{path}.json", data=send)
    await hold(200, "GET", f"{path}.json")
    await hold(200, "GET", f"{path}/{message['sid']}.json")
    await hold(200, "GET", f"{path}/{message['sid']}/Media.json")
    await hold(200, "POST", f"{path}/{message['sid']}.json", data={"Body": ""})
    await hold(200, "GET", f"{BASE}.json")
    consent = {
        "contact_id": OTHER_RECIPIENT,
        "correlation_id": "1",
        "sender_id": LONG_CODE,
        "status": "opt-out",
        "source": "website",
    }
    items = {"Items": [orjson.dumps(consent).decode(), "{}"]}
    for kind in ("Consents", "Contacts"):
        found = await hold(201, "POST", f"/v1/{kind}/Bulk", data=items)
        assert [bool(one["error_code"]) for one in found["items"]] == [False, True]


async def configurations(hold: Hold, path: str) -> None:
    known = "/v3/OptOuts"
    for place in (
        *("DefaultKeywordsMessages", "Configurations/Languages", "Configurations/MessageTypes"),
        "StarterPacks/es",
    ):
        await hold(200, "GET", f"{known}/{place}")
    spanish = f"{path}/MessageTypes/ALL/Languages/es"
    pack = (await hold(200, "GET", f"{known}/StarterPacks/es"))["sets"]
    draft = (await hold(200, "GET", path))["draft"]
    await hold(200, "PUT", path, json=draft)
    await hold(200, "PUT", spanish, json=pack)
    await hold(200, "GET", spanish)
    pair = f"{path}/MessageTypes/ALL/KeywordTypes/STOP.SPANISH"
    await hold(200, "PUT", pair, json={"keywords": ["baja"]})
    for place in ("Diff", "Keywords", "Messages", "MessageTypes"):
        await hold(200, "GET", f"{path}/{place}")
    await hold(200, "POST", f"{path}/Validate", json={"match": "wrong"})
    await hold(412, "POST", f"{path}/Enable", headers={"If-Match": '"999"'})
    await hold(200, "POST", f"{path}/Enable")
    await hold(403, "POST", f"{path}/Disable")
    await hold(200, "POST", f"{path}/Try", json={"body": "baja"})
    await hold(200, "GET", known)


async def block_list(hold: Hold) -> None:
    path, change = "/v1/OptOuts", {"recipient": RECIPIENT, "reason": "asked"}
    await hold(200, "POST", f"{path}/Block", json=change)
    await hold(400, "POST", f"{path}/Block", json={"reason": "asked"})
    refused = {"To": RECIPIENT, "From": LONG_CODE, "Body": "Hello"}
    await hold(400, "POST", f"{BASE}/Messages.json", data=refused)
    await hold(200, "POST", f"{path}/Check", json={"recipients": [RECIPIENT, OTHER_RECIPIENT]})
    await hold(200, "GET", f"{path}/Blocks?PageSize=1000")
    await hold(200, "GET", f"{path}/Blocks/{RECIPIENT}")
    await hold(200, "GET", f"{path}/Blocks/{RECIPIENT}/History")
    await hold(202, "POST", f"{path}/Import", content="recipient\nanna", headers=CSV)
    await hold(415, "POST", f"{path}/Import", json={})
    bodies = OPERATIONS["POST", f"{path}/Import"]["requestBody"]["content"]
    for kind, body in bodies.items():
        headers = {"Content-Type": kind}
        found = await hold(202, "POST", f"{path}/Import", content=body["example"], headers=headers)
        assert (found["accepted"], found["refused"], found["errors"]) == (1, 0, [])
    await hold(200, "POST", f"{path}/Unblock", json=change)
    link = {"number": "+15557654321", "user_id": "whatsapp:US.1349"}
    await hold(200, "POST", f"{path}/Link", json=link)
    await hold(409, "POST", f"{path}/Link", json=link | {"number": "+15557654322"})


async def test_nobody_an_untrusted_list_too_much_and_too_many_are_documented(
    settings: Settings,
) -> None:
    settings = with_secrets(settings, api_rate=0.5, api_max_bytes=2_048)
    await create_accounts(settings, ACCOUNT)
    async with serving(settings) as api:  # no worker has built the list
        check = {"json": {"recipients": [RECIPIENT]}}
        assert (await ask(api, "POST", "/v1/OptOuts/Check", **check))[0] == 503
        large = {"json": {"recipients": [RECIPIENT] * 500}}
        assert (await ask(api, "POST", "/v1/OptOuts/Check", **large))[0] == 413
        answers = [await ask(api, "POST", "/v1/OptOuts/Block", json={}) for _ in range(5)]
        assert 429 in [status for status, _ in answers]
        assert (await ask(api.as_(ACCOUNT, "wrong"), "GET", "/v1/Services"))[0] == 401


def json_answers(operation: tuple[str, str]) -> Iterator[Any]:
    """The schemas of an operation's successful answers."""
    for status, answer in OPERATIONS[operation]["responses"].items():
        if status < "300" and JSON in answer.get("content", {}):
            yield answer["content"][JSON]["schema"]


def untyped(schema: dict[str, Any], place: str) -> list[str]:
    """The places in a schema that allow anything."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return untyped(DOCUMENT["components"]["schemas"][name], name)
    inner = {
        **schema.get("properties", {}),
        **schema.get("patternProperties", {}),
        **{str(number): one for number, one in enumerate(schema.get("anyOf", ()))},
    }
    if isinstance(values := schema.get("additionalProperties"), dict):
        inner["*"] = values
    if schema.get("type") == "array" and schema.get("maxItems") != 0:
        inner["items"] = schema["items"]
    found = [one for name, part in inner.items() for one in untyped(part, f"{place}.{name}")]
    known = inner or schema.get("type") not in (None, "object")
    anything = "type" not in schema and "description" in schema  # and its description says so
    return found if known or anything else [*found, place]


@pytest.mark.parametrize("operation", OPERATIONS, ids=" ".join)
def test_every_answer_and_every_parameter_is_described(operation: tuple[str, str]) -> None:
    for schema in json_answers(operation):
        assert untyped(schema, "answer") == []
    for parameter in OPERATIONS[operation].get("parameters", ()):
        assert parameter["description"], parameter["name"]
    assert OPERATIONS[operation]["description"]


def test_a_form_says_what_must_be_given_and_a_change_has_no_defaults() -> None:
    create, change = (
        OPERATIONS["POST", path]["requestBody"] for path in ("/v1/Services", "/v1/Services/{sid}")
    )
    ((made,), (changed,)) = (body["content"].values() for body in (create, change))
    assert (create["required"], made["schema"]["required"]) == (True, ["FriendlyName"])
    assert made["schema"]["properties"]["InboundMethod"]["default"] == "POST"
    assert not change["required"]
    assert not [one for one in changed["schema"]["properties"].values() if "default" in one]


@pytest.mark.parametrize("path", [path for path in DOCUMENT["paths"] if path.startswith("/v")])
def test_every_call_says_that_it_wants_credentials_and_may_be_refused(path: str) -> None:
    for operation in DOCUMENT["paths"][path].values():
        assert {"400", "401", "429", "503"} <= operation["responses"].keys()
        assert "422" not in operation["responses"]
