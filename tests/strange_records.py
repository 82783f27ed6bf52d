"""Values of messages and sends that are valid, nearly valid or broken, for property tests."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from tests.strategies import bodies, broken, mutated

times = st.sampled_from(
    [
        "1969-12-31T23:59:59Z",
        "2024-02-29T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "2026-1-02T00:00:00Z",
        "2026-11-02T12:00:00",
        "2026-11-02T24:00:00Z",
        "2026-11-02T12:00:00+14:00",
        "1",
        "",
        None,
        "2026-11-02T12:00:00.1234567Z",
        "2026-11-02T12:00:60Z",
        "9999-01-01T00:00:00Z",
        "2026-04-31T12:00:00Z",
        "2026-11-02T12:00:00.Z",
        "2026-11-02T12:00:00-24:00",
        "00000",
    ]
)
senders = st.sampled_from(
    [
        "12345",
        "12",
        "123456789",
        "+1555123456",
        "whatsapp:+15551234567",
        "rcs:agent_1",
        "Clinic",
        "+05551234567",
        "",
        "whatsapp:",
        "rcs:+15551234567",
        "1234\n",
        "+1555123456789012",
        None,
    ]
)
counts = st.sampled_from([0, 1, 100, 101, -1, 1.0, True, None, "1", 10**30])
urls = st.sampled_from(
    [
        "https://example.com/a",
        "http://",
        "https:// a",
        "ftp://a",
        "https://é",
        "https://a\x7f",
        None,
        "https://" + "a" * 2040,
        "https://" + "a" * 2041,
    ]
)
rare = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("received_at", "created_at"), times),
        **dict.fromkeys(("from", "to"), senders),
        **dict.fromkeys(("num_media", "schema_version"), counts),
        "status_callback": urls,
        "media_urls": st.sampled_from([None, [], ["https://example.com/1.jpg"]]),
        "body": bodies | st.sampled_from(["x" * 4096, "x" * 4097, "é" * 4096, "\n" * 4097, "\0"]),
        "from_country": st.sampled_from(["US", "us", "USA", "", "ÜS", None]),
        "message_sid": st.text(max_size=70) | st.sampled_from(["a" * 64, "a" * 65, "A_.:-9"]),
    },
)


@st.composite
def values(draw: st.DrawFn, record: dict[str, Any]) -> bytes:
    """A record with other fields as JSON: most are nearly valid, and some are."""
    changed = record | draw(rare)
    if draw(st.booleans()):
        changed = draw(mutated(changed))
    value = json.dumps(changed, ensure_ascii=draw(st.booleans())).encode("utf-8", "replace")
    return draw(broken(value)) if draw(st.booleans()) else value
