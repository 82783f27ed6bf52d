"""The OpenAPI document says what is answered: every status it may be, and its body."""

from __future__ import annotations

import re
from typing import Any

import jsonschema
import pytest

from processor.config import Settings
from processor.http.api import create_api
from tests.api import Api, all_running, create_accounts, serving, with_secrets
from tests.builders import ACCOUNT, LONG_CODE, RECIPIENT

BASE = f"/2010-04-01/Accounts/{ACCOUNT}"
DOCUMENT = create_api(Settings()).openapi()
CSV = {"Content-Type": "text/csv"}


async def ask(api: Api, method: str, path: str, **given: Any) -> tuple[int, Any]:
    """An answer, once it is held against the document."""
    answer = await api.ask(method, path, **given)
    place = path.partition("?")[0]
    patterns = {one: re.sub(r"\{\w+\}", "[^/]+", one) for one in DOCUMENT["paths"]}
    (known,) = [one for one, pattern in patterns.items() if re.fullmatch(pattern, place)]
    answers = DOCUMENT["paths"][known][method.lower()]["responses"]
    assert str(answer.status_code) in answers, (method, path, answer.status_code)
    schema = answers[str(answer.status_code)]["content"]["application/json"]["schema"]
    body = answer.json()
    jsonschema.validate(body, {**schema, "components": DOCUMENT["components"]})
    if answer.status_code >= 400:
        assert (schema["$ref"].rpartition("/")[2], body["status"]) == ("Error", answer.status_code)
    return answer.status_code, body


async def test_what_is_answered_is_what_is_documented(settings: Settings) -> None:
    settings = with_secrets(settings)
    await create_accounts(settings, ACCOUNT)
    change = {"recipient": RECIPIENT, "reason": "asked"}
    async with all_running(settings) as api:
        _, service = await ask(api, "POST", "/v1/Services", data={"FriendlyName": "Clinic"})
        sid, opt_out = service["sid"], f"/v3/OptOuts/OO{service['sid'][2:]}"
        form = {"PhoneNumber": LONG_CODE}
        _, number = await ask(api, "POST", f"{BASE}/IncomingPhoneNumbers.json", data=form)
        pool, sender = f"/v1/Services/{sid}/PhoneNumbers", {"PhoneNumberSid": number["sid"]}
        stale = {"If-Match": '"999"'}
        send = {"To": RECIPIENT, "From": LONG_CODE, "Body": "Hello"}
        for status, (method, path, given) in (
            (201, ("POST", pool, {"data": sender})),
            (409, ("POST", pool, {"data": sender})),
            (400, ("POST", "/v1/Services", {"data": {}})),
            (415, ("POST", "/v1/Services", {"json": {}})),
            (404, ("GET", "/v1/Services/MG" + "1" * 32, {})),
            (412, ("POST", f"{opt_out}/Enable", {"headers": stale})),
            (403, ("POST", f"{opt_out}/Disable", {})),
            (200, ("GET", opt_out, {})),
            (200, ("POST", "/v1/OptOuts/Block", {"json": change})),
            (400, ("POST", "/v1/OptOuts/Block", {"json": {"reason": "asked"}})),
            (400, ("POST", f"{BASE}/Messages.json", {"data": send})),
            (200, ("POST", "/v1/OptOuts/Check", {"json": {"recipients": [RECIPIENT]}})),
            (200, ("GET", "/v1/OptOuts/Blocks?PageSize=1000", {})),
            (200, ("GET", f"/v1/OptOuts/Blocks/{RECIPIENT}", {})),
            (200, ("GET", f"/v1/OptOuts/Blocks/{RECIPIENT}/History", {})),
            (202, ("POST", "/v1/OptOuts/Import", {"content": "recipient\nanna", "headers": CSV})),
            (415, ("POST", "/v1/OptOuts/Import", {"json": {}})),
            (200, ("POST", "/v1/OptOuts/Unblock", {"json": change})),
        ):
            assert (await ask(api, method, path, **given))[0] == status, (method, path)
        refused, _ = await ask(api.as_(ACCOUNT, "wrong"), "GET", "/v1/Services")
        assert refused == 401


async def test_an_untrusted_list_too_much_and_too_many_are_documented(settings: Settings) -> None:
    settings = with_secrets(settings, api_rate=0.5, api_max_bytes=2_048)
    await create_accounts(settings, ACCOUNT)
    async with serving(settings) as api:  # no worker has built the list
        check = {"json": {"recipients": [RECIPIENT]}}
        assert (await ask(api, "POST", "/v1/OptOuts/Check", **check))[0] == 503
        large = {"json": {"recipients": [RECIPIENT] * 500}}
        assert (await ask(api, "POST", "/v1/OptOuts/Check", **large))[0] == 413
        answers = [await ask(api, "POST", "/v1/OptOuts/Block", json={}) for _ in range(5)]
        assert 429 in [status for status, _ in answers]


@pytest.mark.parametrize("path", [path for path in DOCUMENT["paths"] if path.startswith("/v")])
def test_every_call_says_that_it_wants_credentials_and_may_be_refused(path: str) -> None:
    for operation in DOCUMENT["paths"][path].values():
        assert {"400", "401", "429", "503"} <= operation["responses"].keys()
        assert "422" not in operation["responses"]
