"""No account sees or changes anything of another: the wrong account asks every route."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import Any

from processor.config import Settings
from processor.http.api import create_api
from tests.api import Api, all_running, create_accounts, with_secrets
from tests.builders import ACCOUNT, OTHER_ACCOUNT, RECIPIENT
from tests.clinic import a_text
from tests.installation import Installation, until

MARKER = "Only its owner reads this"
PUBLIC = {"/livez", "/readyz", "/metrics"}
NUMBER = "+15005550006"
# The body that a request needs to pass the check of its parameters; others take a form.
BODIES: dict[str, dict[str, Any]] = {
    "/v1/OptOuts/Check": {"recipients": [RECIPIENT]},
    "/v1/OptOuts/Block": {"recipient": "+15550009999", "reason": "a"},
    "/v1/OptOuts/Unblock": {"recipient": RECIPIENT, "reason": "a"},
    "/v1/OptOuts/Link": {"number": "+15550009999", "user_id": "whatsapp:US.1"},
    "/v3/OptOuts/{sid}/Try": {"body": "stop"},
}


def routes() -> list[tuple[str, str]]:
    """Every method and path that needs credentials; the console's pages have sessions instead."""
    paths = create_api(Settings()).openapi()["paths"]
    return [(verb.upper(), path) for path in paths if path not in PUBLIC for verb in paths[path]]


async def what_is_there(api: Api, at: Installation) -> dict[str, dict[str, str]]:
    """Things of the first account, by parameter and by the path segment before it."""

    async def made(path: str, **form: str) -> str:
        answer = await api.ask("POST", path, data=form)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["sid"])

    mine = f"/2010-04-01/Accounts/{ACCOUNT}"
    service = await made("/v1/Services", FriendlyName=MARKER)
    number = await made(f"{mine}/IncomingPhoneNumbers.json", PhoneNumber=NUMBER)
    await made(f"/v1/Services/{service}/PhoneNumbers", PhoneNumberSid=number)
    message = await made(
        f"{mine}/Messages.json", To=RECIPIENT, Body=MARKER, MessagingServiceSid=service
    )
    reason = {"recipient": RECIPIENT, "reason": MARKER}
    assert (await api.ask("POST", "/v1/OptOuts/Block", json=reason)).status_code == 200
    await at.texts(a_text("M1", f"stop texting me or else! {MARKER}"))
    texts: list[dict[str, str]] = []

    async def is_listed() -> bool:
        nonlocal texts
        texts = (await api.ask("GET", "/v1/OptOuts/Suspected")).json()["suspected"]
        return len(texts) == 1

    await until(is_listed, "text to review")
    numbers = ("PhoneNumbers", "ShortCodes", "AlphaSenders", "ChannelSenders", "Senders")
    return {
        "sid": {
            "Services": service,
            "OptOuts": f"OO{service[2:]}",
            "Messages": message,
            **dict.fromkeys((*numbers, "IncomingPhoneNumbers"), number),
        },
        "account_sid": {"Accounts": ACCOUNT},
        "service_sid": {"Services": service},
        "recipient": {"Blocks": RECIPIENT},
        "text_id": {"Suspected": texts[0]["text_id"]},
        "message_type": {"MessageTypes": "ALL"},
        "language": {"Languages": "ALL", "StarterPacks": "es"},
        "keyword_type": {"KeywordTypes": "STOP.ALL"},
    }


def filled(path: str, things: dict[str, dict[str, str]]) -> str:
    """A path with things of the first account in it; an unknown segment fails: add it above."""
    return re.sub(r"([^/]+)/\{(\w+)\}", lambda m: f"{m[1]}/{things[m[2]][m[1]]}", path)


async def state_of(api: Api) -> list[Any]:
    """Everything of the first account that others might have changed."""
    paths = (
        *("/v1/Services", "/v3/OptOuts", f"/v1/OptOuts/Blocks/{RECIPIENT}"),
        f"/2010-04-01/Accounts/{ACCOUNT}/IncomingPhoneNumbers.json",
        "/v1/ConfigurationChanges",
        "/v1/OptOuts/Suspected",
    )
    answers = [(await api.ask("GET", path)).json() for path in paths]
    answers[2].pop("mark")  # grows with every write to the partition, from any account
    return answers


async def test_every_route_keeps_accounts_apart_and_knows_who_asks(settings: Settings) -> None:
    settings = with_secrets(settings, trusted_proxies=(ip_network("127.0.0.0/8"),))
    await create_accounts(settings, ACCOUNT, OTHER_ACCOUNT)
    async with all_running(settings) as api:
        things = await what_is_there(api, Installation(settings))
        before = await state_of(api)
        assert before[2]["blocked"] is True
        other, nobody = api.as_(OTHER_ACCOUNT), api.as_(ACCOUNT, "not its token")
        asked = routes()
        assert len(asked) > 60
        for number, (method, path) in enumerate(asked):
            given: dict[str, Any] = {}
            if path in BODIES or (path.startswith("/v3") and method in ("POST", "PUT")):
                given = {"json": BODIES.get(path, {})}
            elif method == "POST":
                given = {"data": {"FriendlyName": "Taken", "ProfileName": "Taken"}}
            place = filled(path, things)
            # Each time from another address: after many failures an address only gets 429.
            refused = await nobody.ask(
                method, place, headers={"X-Forwarded-For": f"198.51.100.{number}"}, **given
            )
            assert refused.status_code == 401, (method, path)
            answer = await other.ask(method, place, **given)
            assert answer.status_code < 500, (method, path)
            assert MARKER not in answer.text, (method, path)
            if {"{sid}", "{account_sid}", "{service_sid}", "{text_id}"} & set(
                path.replace(".", "/").split("/")
            ):
                assert answer.status_code in (400, 401, 403, 404, 405, 415), (method, path)
        assert await state_of(api) == before
