"""R33: the audit's own loose reading comes to what match reads."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.audit.loose import is_heard, loosely
from processor.wire.spellings import NoAddress, is_recipient, origin_of, sender_of
from tests.builders import inbound_record
from tests.spellings import AS_RECEIVED

DIGITS = st.text("0123456789", min_size=3, max_size=15)
GAPS = st.sampled_from(["", " ", "-", ".", "(", ")", "\u2011", "\ufeff"])


def read(**fields: Any) -> Any:
    return loosely(inbound_record() | fields)


@st.composite
def spelled(draw: st.DrawFn) -> str:
    digits = draw(DIGITS)
    apart = "".join(digit + draw(GAPS) for digit in digits)
    return draw(st.sampled_from(["", "+", "00", "whatsapp:", "whatsapp:+", "rcs:+"])) + apart


@pytest.mark.parametrize(("text", "address"), AS_RECEIVED)
def test_an_address_is_read_as_match_reads_it(text: str, address: str) -> None:
    assert read(**{"from": text})["from"] == address


@given(spelled())
def test_whatever_match_reads_the_audit_reads_alike(text: str) -> None:
    for ours, theirs in ((origin_of, "from"), (sender_of, "to")):
        try:
            address = ours(text)
        except NoAddress:
            continue
        found = read(**{theirs: text})[theirs]
        assert found == address
        if theirs == "from":
            assert is_heard(found) is is_recipient(address)


def test_fields_that_cannot_be_read_are_null_and_a_missing_body_is_empty() -> None:
    record = inbound_record() | {"from_country": "us", "messaging_service_sid": ""}
    del record["body"]
    found = loosely(record)
    assert (found["from_country"], found["messaging_service_sid"], found["body"]) == (
        "US",
        None,
        "",
    )
    assert read(from_country="somewhere")["from_country"] is None
