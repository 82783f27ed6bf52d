"""A follower skips unusable records, and nothing ends it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest
from aiokafka.errors import KafkaConnectionError
from pydantic import ValidationError

from processor.errors import BrokerUnavailable, RecordError
from processor.kafka.topics import follower
from processor.kafka.topics.follower import Follower, Place
from processor.metrics import FOLLOWERS, Metrics
from schemas.messaging_service import MessagingService
from tests.builders import RECIPIENT

PLACE = Place("optout.numbers.v1", 0, 7)


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, str]]:
    return [
        (record.levelname, record.message, getattr(record, "reason", getattr(record, "why", "")))
        for record in caplog.records
    ]


def refusal_of(value: bytes) -> ValidationError:
    with pytest.raises(ValidationError) as refused:
        MessagingService.model_validate_json(value)
    return refused.value


@pytest.mark.parametrize(
    ("why", "reason"),
    [
        (RecordError("the key is not the sid"), "the key is not the sid"),
        (ValueError(RECIPIENT), "ValueError"),
        (RecursionError(), "RecursionError"),
        (KeyError(RECIPIENT), "KeyError"),
        (refusal_of(b"?"), "not JSON: expected value at line 1 column 1"),
        (refusal_of(b'{"senders":[%b0]}' % (b"0," * 1_000)), "1006 problems"),
    ],
)
def test_a_record_that_cannot_be_used_is_told_by_its_place_and_counted(
    why: Exception, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics()
    Follower("numbers", metrics).refuse(PLACE, why)
    assert told(caplog) == [("WARNING", "numbers.refused", reason)]
    [record] = caplog.records
    assert (vars(record)["topic"], vars(record)["offset"]) == ("optout.numbers.v1", 7)
    assert b'optout_follower_refused_total{follower="numbers"} 1.0' in metrics.text()


def test_a_key_that_somebody_chose_makes_no_line_without_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    value = b'{"opt_out":{"languages":{"%b":{}}}}' % (b"x" * 10_000)
    Follower("services").refuse(PLACE, refusal_of(value))
    [(_, _, reason)] = told(caplog)
    assert len(reason) <= 501


async def test_whatever_reading_ends_with_it_begins_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(follower, "_RETRY_S", 0)
    metrics = Metrics()
    ends: Iterator[Exception] = iter(
        [
            KafkaConnectionError(),
            BrokerUnavailable("Kafka at 127.0.0.1:1: away"),
            AssertionError(),
            OSError(24, "Too many open files"),
            MemoryError(),
            RuntimeError(RECIPIENT),
            KeyError(RECIPIENT),
        ]
    )
    done = asyncio.Event()

    async def read() -> None:
        for error in ends:
            raise error
        done.set()
        await asyncio.Event().wait()

    keeping = asyncio.create_task(Follower("counts", metrics).keep(read))
    await asyncio.wait_for(done.wait(), 10)
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping
    assert told(caplog) == [
        ("WARNING", "counts.unreadable", "Kafka: KafkaConnectionError"),
        ("WARNING", "counts.unreadable", "Kafka at 127.0.0.1:1: away"),
        ("WARNING", "counts.unreadable", "Kafka: AssertionError"),
        ("WARNING", "counts.unreadable", "OSError"),
        ("WARNING", "counts.unreadable", "MemoryError"),
        ("ERROR", "counts.failed", ""),
        ("ERROR", "counts.failed", ""),
    ]
    assert RECIPIENT not in str([vars(record) for record in caplog.records])
    assert caplog.records[-1].levelno == logging.ERROR
    assert b'optout_follower_failures_total{follower="counts"} 2.0' in metrics.text()


def test_every_follower_begins_at_nothing_refused() -> None:
    text = Metrics().text().decode()
    for name in FOLLOWERS:
        assert f'optout_follower_refused_total{{follower="{name}"}} 0.0' in text
