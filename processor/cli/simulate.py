"""`optout simulate`: play carrier and application, to try out an installation."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypedDict, Unpack

import click
import orjson

from processor import clocks, config
from processor.cli.common import as_json, print_json, run
from processor.cli.traffic import Sender, TollFreeNetwork, Traffic
from processor.config import Settings
from processor.core.messages import SenderType, sender_type_of
from processor.kafka.fetched import readable
from processor.kafka.ports import Consumer
from processor.kafka.reading import reader
from processor.kafka.writing import bulk_writer
from processor.wire.json_values import to_ms
from processor.wire.topics import Topics

_TICK_S = 0.05
_FULL_SPEED_BATCH = 5_000
_SETTLE_S = 20.0  # how long to wait after the last message if nothing comes back
_LATE = {"send": "late replies", "drop": "late replies dropped"}
_TIMED = 50_000  # messages whose reply is timed


def is_late(reply: dict[str, str], at_ms: int) -> bool:
    """Whether a reply comes too late to be presumed lawful (R36); its sender then goes by policy.

    Args:
        reply: a value of `reply-sends.v1`.
        at_ms: when it can be sent.
    """
    return at_ms > to_ms(datetime.fromisoformat(reply["send_before"]))


@dataclass(slots=True)
class _Seen:
    """Messages sent and results received."""

    inbound: int = 0
    sends: int = 0
    back: Counter[str] = field(default_factory=Counter)
    sent_at: dict[str, float] = field(default_factory=dict)  # message sid to monotonic seconds
    delays_s: list[float] = field(default_factory=list)
    heard_at: float = field(default_factory=time.monotonic)


class _Options(TypedDict):
    """The command's options, as ``--help`` describes them."""

    rate: int
    seconds: float
    keywords: float
    sends: float
    recipients: int
    account_sid: str
    service_sid: str | None
    sender: str
    seed: int
    as_json: bool


@click.command("simulate")
@click.option(
    "--rate",
    type=click.IntRange(0),
    default=1_000,
    show_default=True,
    help="Inbound messages a second; 0 is full speed.",
)
@click.option("--seconds", type=click.FloatRange(0, min_open=True), default=10.0, show_default=True)
@click.option(
    "--keywords",
    type=click.FloatRange(0, 1),
    default=0.02,
    show_default=True,
    help="Share of inbound messages that are keywords.",
)
@click.option(
    "--sends",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    help="Outbound sends for each inbound message.",
)
@click.option(
    "--recipients", type=click.IntRange(1, 10_000_000), default=100_000, show_default=True
)
@click.option("--account-sid", default="AC00000000000000000000000000000001", show_default=True)
@click.option("--service-sid", help="Default: none, so default handling or the sender's service.")
@click.option("--sender", default="+15005550006", show_default=True)
@click.option(
    "--seed",
    type=int,
    default=lambda: time.time_ns() & 0xFFFFFF,
    help="The same seed makes the same traffic.",
)
@as_json
def command(**options: Unpack[_Options]) -> None:
    """Send made-up traffic, wait for all results, and print them.

    With a US toll-free --sender, the carrier also plays the toll-free network: it answers STOP,
    START and UNSTOP itself, keeps its own block and refuses blocked sends. With a whatsapp:
    --sender, one person in ten has only a user id, and another one a number and a user id.

    Example: optout simulate --rate 5000 --seconds 30 --keywords 0.05
    """
    run(_Simulation(config.load(), options).run())


class _Simulation:
    def __init__(self, settings: Settings, options: _Options) -> None:
        self._settings = settings
        self._topics = Topics.under(settings.topic_prefix)
        self._rate = options["rate"]
        self._seconds = options["seconds"]
        self._sends = options["sends"]
        self._seed = options["seed"]
        self._as_json = options["as_json"]
        sender = options["sender"]
        self._traffic = Traffic(
            self._seed,
            Sender(options["account_sid"], options["service_sid"], sender),
            recipients=options["recipients"],
            keyword_share=options["keywords"],
        )
        self._seen = _Seen()
        toll_free = sender_type_of(sender) is SenderType.TOLL_FREE
        self._network = TollFreeNetwork() if toll_free else None

    async def run(self) -> None:
        topics = self._topics
        back = [
            topics.reply_sends,
            topics.block_changes,
            topics.opt_out_notifications,
            topics.allowed_sends,
            topics.message_statuses,
            topics.dead_letters,
        ]
        async with reader(self._settings, back, at_end=True) as consumer:
            listening = asyncio.create_task(self._listen(consumer))
            reporting = asyncio.create_task(self._report())
            try:
                took_s = await self._send()
                self._seen.heard_at = time.monotonic()
                while not self._all_back() and self._quiet_s() < _SETTLE_S:
                    await asyncio.sleep(0.1)
            finally:
                for task in (listening, reporting):
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task
        self._summary(took_s)

    async def _send(self) -> float:
        began = time.monotonic()
        owed_sends = 0.0
        async with (
            bulk_writer(self._settings, self._topics.inbound_messages) as inbound,
            bulk_writer(self._settings, self._topics.outbound_messages) as outbound,
        ):
            while count := self._due(time.monotonic() - began):
                tick = time.monotonic()
                at_ms = clocks.now_ms()
                records = self._traffic.inbound(count, at_ms)
                self._time(records)
                self._hear(records)
                await inbound.send(records)
                self._seen.inbound += count
                owed_sends += count * self._sends
                await outbound.send(self._traffic.sends(int(owed_sends), at_ms))
                self._seen.sends += int(owed_sends)
                owed_sends -= int(owed_sends)
                # Even at full speed the listener must have its turn.
                await asyncio.sleep(max(0, tick + _TICK_S - time.monotonic()) if self._rate else 0)
        return time.monotonic() - began

    def _due(self, passed_s: float) -> int:
        """Count the messages to send now; 0 when all are sent."""
        if not self._rate:
            return _FULL_SPEED_BATCH if passed_s < self._seconds else 0
        total = round(self._seconds * self._rate)
        if self._seen.inbound >= total:
            return 0
        # At least 1: a slow machine sends late, but still sends.
        due = min(total, round((passed_s + _TICK_S) * self._rate))
        return max(1, due - self._seen.inbound)

    def _time(self, records: list[tuple[bytes, bytes]]) -> None:
        if len(self._seen.sent_at) < _TIMED:
            now = time.monotonic()
            for _, value in records:
                self._seen.sent_at[orjson.loads(value)["message_sid"]] = now

    def _hear(self, records: list[tuple[bytes, bytes]]) -> None:
        if self._network:
            for key, value in records:
                self._network.hears(key.decode(), orjson.loads(value)["body"])

    async def _listen(self, consumer: Consumer) -> None:
        names = {
            self._topics.reply_sends: "replies",
            self._topics.block_changes: "block changes",
            self._topics.opt_out_notifications: "notifications",
            self._topics.allowed_sends: "sends allowed",
            self._topics.message_statuses: "sends failed (21610)",
            self._topics.dead_letters: "dead letters",
        }
        seen = self._seen
        while True:
            found = await consumer.getmany(timeout_ms=200, max_records=20_000)
            now = time.monotonic()
            for tp, every in found.items():
                records = readable(every)
                seen.back[names[tp.topic]] += len(records)
                seen.heard_at = now
                if self._network and tp.topic == self._topics.allowed_sends:
                    refused = sum(self._network.refuses(record.key.decode()) for record in records)
                    seen.back["allowed sends the network refuses"] += refused
                if tp.topic == self._topics.reply_sends:
                    for record in records:
                        reply = orjson.loads(record.value)
                        sid = reply["in_reply_to"]
                        if is_late(reply, record.timestamp):
                            seen.back[_LATE[reply["late_reply"]]] += 1
                        if (sent := seen.sent_at.pop(sid, None)) is not None:
                            seen.delays_s.append(now - sent)

    async def _report(self) -> None:
        if self._as_json:
            return
        click.echo(f"seed {self._seed}")
        last, last_back = (0, 0), Counter[str]()
        while True:
            await asyncio.sleep(1)
            seen = self._seen
            rates = {
                "inbound": seen.inbound - last[0],
                "sends": seen.sends - last[1],
                **{name: count - last_back[name] for name, count in seen.back.items()},
            }
            last, last_back = (seen.inbound, seen.sends), Counter(seen.back)
            click.echo("per second: " + ", ".join(f"{n:,} {name}" for name, n in rates.items()))

    def _all_back(self) -> bool:
        back = self._seen.back
        return self._seen.sends <= back["sends allowed"] + back["sends failed (21610)"] and (
            self._quiet_s() > 1
        )

    def _quiet_s(self) -> float:
        return time.monotonic() - self._seen.heard_at

    def _summary(self, took_s: float) -> None:
        seen = self._seen
        delays = sorted(seen.delays_s)
        result: dict[str, float] = {
            "seed": self._seed,
            "seconds": round(took_s, 2),
            "inbound": seen.inbound,
            "inbound_per_second": round(seen.inbound / took_s),
            "sends": seen.sends,
            **{name.replace(" (21610)", "").replace(" ", "_"): n for name, n in seen.back.items()},
        }
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            if delays:
                at = delays[min(len(delays) - 1, int(share * len(delays)))]
                result[f"reply_{name}_ms"] = round(1000 * at)
        if self._network:
            result["network_replies"] = self._network.replies
        if self._as_json:
            print_json(result)
            return
        click.echo("in all:")
        for key, value in result.items():
            click.echo(f"  {key.replace('_', ' '):<20} {value:,}")
