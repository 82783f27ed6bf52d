"""The applications record each request, and the account that signed it."""

from __future__ import annotations

import aiohttp
import pytest
from yarl import URL

from processor.webhooks.signature import sign
from tests.chaos.application import Asked, applications
from tests.chaos.world import ACCOUNTS, LONG_CODE, ONE, SHOP, TOKENS, way

BODY = "¿Baja? see you at ten + 1"


@pytest.mark.parametrize(("sender", "method"), [(LONG_CODE, "POST"), (SHOP, "GET")])
@pytest.mark.parametrize("signed_by", [*ACCOUNTS, None])
async def test_who_signed_a_request_is_seen(
    sender: str, method: str, signed_by: str | None
) -> None:
    fields = {
        "SmsStatus": "received",
        "AccountSid": ONE,
        "MessageSid": "M1",
        "From": "+15550000001",
        "To": sender,
        "Body": BODY,
    }
    async with applications(1) as served, aiohttp.ClientSession() as session:
        path = way(ONE, sender).inbound
        form = fields if method == "POST" else {}
        query = {} if method == "POST" else fields
        url = URL(f"{served.base}{path}").with_query(query)
        headers = {"I-Twilio-Idempotency-Token": "t"}
        if signed_by:
            headers["X-Twilio-Signature"] = sign(TOKENS[signed_by], str(url), form)
        request = session.request(method, url, data=form or None, headers=headers)
        async with request as response:
            await response.read()
        [(delivery, asked)] = served.asked.items()
    assert (delivery.path, delivery.account, delivery.said) == (path, ONE, (BODY, None))
    assert asked == Asked(
        1,
        answered=1 if response.status == 200 else 0,
        tokens={"t"},
        unsigned=0 if signed_by == ONE else 1,
    )
