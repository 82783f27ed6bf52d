"""Texts to review, and carriers at work, for the manuals' pictures."""

from __future__ import annotations

import time

from processor.core.messages import Arrival
from processor.core.suspected import TierPolicy, WordsTier
from processor.kafka.writing import Outgoing
from processor.statistics.carrier_figures import ErrorSeen, Figure, Part, State
from processor.wire import carrier_figures
from processor.wire.events import write_suspected
from tests.builders import SERVICE, a_finding, a_report, an_inbound
from tests.carrier_serving import store
from tests.carriers import a_document
from tests.installation import Installation

_HOUR_MS = 3_600_000
_TEXTS = (
    ("please take me off your list", WordsTier.PHRASE, 0.97, 200),
    ("why do you keep texting me", WordsTier.SUSPECTED, 0.81, 120),
    ("not interested thanks", WordsTier.SUSPECTED, 0.74, 30),
    ("who is this? wrong number", WordsTier.SUSPECTED, 0.78, 2),
)
_CARRIERS = (
    ("gateway-es", "kannel", "+34600000101"),
    ("telnyx-eu", "telnyx", "+15550002002"),
    ("twilio-us", "twilio", "+15550002003"),
)
_SECONDS = range(60, -1, -10)


async def texts_to_review(at: Installation) -> int:
    """Write texts that may be opt-outs; their number."""
    now_ms = time.time_ns() // 1_000_000
    for number, (body, tier, score, hours_ago) in enumerate(_TEXTS):
        arrival = Arrival(now_ms - hours_ago * _HOUR_MS)
        recipient = f"+1555010{number:04}"
        report = a_report(
            message=an_inbound(
                body, message_sid=f"SMreview{number}", recipient=recipient, arrival=arrival
            ),
            service_sid=SERVICE,
            finding=a_finding(tier=tier, score=score, policy=TierPolicy.REPORT),
        )
        value = write_suspected(report)
        await at.write_raw(Outgoing(at.topics.suspected_opt_outs, recipient.encode(), value))
    return len(_TEXTS)


async def carriers_at_work(at: Installation) -> None:
    """Store three carriers with a minute's figures; one of them fails."""
    limits = {"sends_per_second": 100}
    documents = [
        a_document(provider, name=name, senders=[sender], **limits)
        for name, provider, sender in _CARRIERS
    ]
    await store(at.settings, *documents)
    now_ms = time.time_ns() // 1_000_000
    figures = [one for ago in _SECONDS for one in _figures(now_ms - 1_000 * ago)]
    records = map(carrier_figures.write, figures)
    topic = at.topics.carrier_figures
    await at.write_raw(*(Outgoing(topic, key, value, partition=0) for key, value in records))


def _figures(at_ms: int) -> list[Figure]:
    fails = (ErrorSeen("answered 503", None, 4, at_ms),)
    refused = (ErrorSeen("rejected by the provider", 21211, 1, at_ms - 4_000),)
    return [
        _figure("twilio-us", "inbound", at_ms, {"accepted": 240, "messages": 210, "statuses": 905}),
        _figure("twilio-us", "outbound", at_ms, {"sent": 870, "failed": 1}, refused, State(23)),
        _figure("telnyx-eu", "inbound", at_ms, {"accepted": 31, "messages": 28, "statuses": 96}),
        _figure("telnyx-eu", "outbound", at_ms, {"sent": 95}),
        _figure("gateway-es", "inbound", at_ms, {"accepted": 3, "messages": 3}),
        _figure("gateway-es", "outbound", at_ms, {"retried": 4}, fails, State(9, paused=True)),
    ]


def _figure(
    name: str,
    part: Part,
    at_ms: int,
    counts: dict[str, int],
    errors: tuple[ErrorSeen, ...] = (),
    state: State | None = None,
) -> Figure:
    process = "a" * 8 if part == "inbound" else "b" * 8
    return Figure(name, process, part, at_ms, counts, errors, state or State())
