"""Decide what follows a failed request: another try, the fallback, or the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from math import inf, log
from urllib.parse import parse_qsl

from processor.webhooks.addresses import parts_of

TIERS = 4  # one delay each, so a tier's requests are due in order
_MOST_RETRIES = 5


class Why(StrEnum):
    """Why a request failed; named as in Twilio's retry policies where they have a name."""

    CONNECT = "ct"
    READ = "rt"
    CLIENT = "4xx"
    SERVER = "5xx"
    REDIRECT = "redirect"
    REFUSED = "refused"  # by ourselves, so retries are useless
    BUSY = "busy"  # queue full or circuit open: no request was made
    ANSWER = "answer"  # delivered, but the response cannot be used
    SEALED = "sealed"  # the signing token cannot be opened: no request was made


@dataclass(frozen=True, slots=True)
class Failure:
    """A request without a usable result."""

    why: Why
    code: int  # Twilio's error code
    reason: str  # contains no part of the URL
    status: int | None = None  # of the response; None: no response


@dataclass(frozen=True, slots=True)
class RetryRules:
    """How often and when an installation retries."""

    attempts: int
    first_delay_s: float
    longest_delay_s: float


@dataclass(frozen=True, slots=True)
class Overrides:
    """Settings of a request in its URL's fragment: ``#ct=2000&rt=5000&rc=3&rp=5xx``."""

    connect_s: float | None = None
    read_s: float | None = None
    retries: int | None = None
    policy: frozenset[str] | None = None


def overrides_of(url: str) -> Overrides:
    """The overrides in a URL; anything unknown or out of range is ignored."""
    given = dict(parse_qsl(parts_of(url).fragment))

    def number(name: str, most: int) -> int | None:
        text = given.get(name, "")
        value = int(text) if text.isascii() and text.isdigit() and len(text) < 7 else None
        return value if value is not None and value <= most else None

    connect_ms, read_ms = number("ct", 10_000), number("rt", 15_000)
    policy = frozenset(given["rp"].split(",")) if "rp" in given else None
    return Overrides(
        connect_s=connect_ms / 1000 if connect_ms else None,
        read_s=read_ms / 1000 if read_ms else None,
        retries=number("rc", _MOST_RETRIES),
        policy=policy,
    )


def attempts_of(rules: RetryRules, overrides: Overrides) -> int:
    """How many attempts a request gets in total."""
    return rules.attempts if overrides.retries is None else 1 + overrides.retries


def may_retry(failure: Failure, attempt: int, rules: RetryRules, overrides: Overrides) -> bool:
    """Whether a failed attempt is retried; the first attempt is number 1."""
    if failure.why in (Why.REFUSED, Why.ANSWER) or attempt >= attempts_of(rules, overrides):
        return False
    policy = overrides.policy
    return failure.why is Why.BUSY or policy is None or not policy.isdisjoint({"all", failure.why})


def asks_fallback(failure: Failure, attempt: int, rules: RetryRules, overrides: Overrides) -> bool:
    """Whether to request the fallback now: after a failed retry, or if no retry will follow.

    A fallback host should help while the recipient still waits, not after hours.
    """
    return attempt >= 2 or not may_retry(failure, attempt, rules, overrides)


def tiers_of(rules: RetryRules) -> Sequence[float]:
    """The delay of each tier in seconds: the first, two between in equal ratios, the longest."""
    first_s = min(rules.first_delay_s, rules.longest_delay_s)
    ratio = rules.longest_delay_s / first_s
    return [first_s * ratio ** (tier / (TIERS - 1)) for tier in range(TIERS)]


def wait_of(not_before: datetime | None, now: datetime, most_s: float) -> float:
    """How many seconds a request waits from now on.

    Args:
        not_before: the time that its record names, if any.
        now: by the clock as it is now.
        most_s: the delay of its topic, 0 where it has none; no record waits longer.

    Returns:
        Negative if that time is over, ``-inf`` if the record names none.
    """
    if not_before is None:
        return -inf
    return min((not_before - now).total_seconds(), most_s)


def tier_of(attempt: int, rules: RetryRules, *, at_least_s: float = 0.0) -> int:
    """The tier where a request waits after a failed attempt: delays double, rounded to a tier.

    Args:
        attempt: the failed attempt, from 1.
        rules: of the installation.
        at_least_s: the endpoint is paused this long, so an earlier try is useless.

    Returns:
        The index of the nearest tier; the last tier if even that is too soon.
    """
    delays_s = tiers_of(rules)
    step = log(delays_s[1] / delays_s[0])
    nearest = round((attempt - 1) * log(2) / step) if step else 0
    late = sum(delay_s < at_least_s for delay_s in delays_s)
    return min(max(nearest, late), TIERS - 1)
