"""Providers' own libraries sign what we verify."""

from __future__ import annotations

from urllib.parse import urlencode

from twilio.request_validator import RequestValidator

from processor.carriers.adapter import Request
from processor.carriers.providers import ADAPTERS
from tests.builders import RECIPIENT
from tests.carriers import NOW_S, SECRETS, a_connection


def test_twilios_own_validator_agrees_with_ours_on_ports_too() -> None:
    validator = RequestValidator(SECRETS["twilio"]["auth_token"])
    verify, connection = ADAPTERS["twilio"].verify, a_connection("twilio")
    for host in ("https://a.example", "https://a.example:443", "https://a.example:8443"):
        url = f"{host}/carriers/twilio-1"
        form = {"Body": "Ünï & code", "From": RECIPIENT, "Empty": ""}
        request = Request(
            "POST",
            url,
            "",
            {"x-twilio-signature": validator.compute_signature(url, form)},
            urlencode(form).encode(),
        )
        assert verify(request, connection, NOW_S)
        assert validator.validate(url, form, request.headers["x-twilio-signature"])
