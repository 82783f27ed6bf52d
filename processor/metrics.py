"""Metrics, with the prefix ``optout_``; no label names a person or a message.

Labels are bounded: roles, partitions, steps and kinds. Counts by service have their own topic
(`opt-out-counts`), as services are many. Stages and lanes report batches, never messages.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from processor.core.lookup import Tier
from processor.core.messages import OptOutType
from processor.core.suspected import TierPolicy, WordsTier
from processor.errors import RetryableError, StoreUnavailable

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_REBUILD_SECONDS = (0.1, 0.5, 1, 5, 15, 60, 300, 900)
_RECORDS = (1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000)
_FAILURES = (*(kind.__name__ for kind in RetryableError.__subclasses__()), "Unexpected")
# Further counts of a lane's batch by the lane's name for them: the metric, and its meaning.
_PUT_ASIDE = (
    ("refused", "dead_letters", "Records that became dead letters."),
    ("references", "dead_letter_references", "Dead letters with only a reference to the record."),
    ("faults", "record_faults", "Records that made the code raise, and became dead letters."),
    (
        "unread_stops",
        "unread_stops",
        "STOPs that could not be read whole; they block anyway.",
    ),
    ("misplaced", "misplaced", "Records that were moved to the partition of their recipient."),
    ("sent_along", "sent_along", "Records sent to the lane of their person's other address."),
    (
        "contradictions",
        "contradicting_links",
        "Records whose user id has another link.",
    ),
    ("surplus_headers", "surplus_headers", "Headers beyond the limit, which are not passed on."),
)
FOLLOWERS = (
    "services",
    "accounts",
    "numbers",
    "carriers",
    "statuses",
    "counts",
    "live",
    "figures",
    "histories",
    "edits",
    "handled",
    "rates",
    "sums",
    "send_sums",
    "letters",
    "suspected",
    "reviews",
)
_WAITS = (
    *("redis", "learning", "not_whole", "partitions", "lost_writes", "unheard"),
    *("format", "configuration"),
)
_CHECKED = (  # by an audit
    *("messages", "commands", "events", "deliveries", "verdicts", "hand_overs", "entries"),
    "redis_entries",
)
_REFUSALS = ("StateRefused",)  # of an audit
VIOLATIONS = ("lost", "duplicated", "reordered", "contradictory", "differs", "leak")
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def is_reader(authorization: str, token: str) -> bool:
    """Whether a request's ``Authorization`` contains the token for reading metrics."""
    given = authorization.encode(errors="surrogateescape")
    return hmac.compare_digest(given, f"Bearer {token}".encode())


disable_created_metrics()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class LaneLook:
    """The state of a lane at the moment of the question."""

    role: str
    partition: int
    works: bool  # False while it is being taken over, waits or fails
    lag: int | None  # uncommitted records; None if unknown


class Metrics:
    """Every metric of a process, in its own registry.

    Args:
        lanes: called for every lane's state whenever the metrics are read.
        services: called for the number of known services.
    """

    def __init__(
        self,
        lanes: Callable[[], Iterable[LaneLook]] = lambda: (),
        services: Callable[[], int] = lambda: 0,
    ) -> None:
        self.registry = CollectorRegistry()
        self.webhook_results: Mapping[str, int] = {}  # outcome of requests to its count
        self.registry.register(_Looked(lanes, services, lambda: self.webhook_results))
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        counter = partial(Counter, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry, buckets=_SECONDS)
        Info("optout_build", "This process.", registry=self.registry).info(
            {"version": version("optout")}
        )
        # Every lane.
        self.messages = counter("optout_messages", "Records read, handled and committed.", ["role"])
        self.batch_records = histogram(
            "optout_batch_records", "Records in a batch.", ["role"], buckets=_RECORDS
        )
        self.step_seconds = histogram(
            "optout_step_seconds", "Time of a batch in each step of its lane.", ["role", "step"]
        )
        self.transaction_seconds = histogram(
            "optout_transaction_seconds", "Time of a transaction, including its commit.", ["role"]
        )
        self.put_aside = {
            name: counter(f"optout_{metric}", said, ["role"]) for name, metric, said in _PUT_ASIDE
        }
        self.lane_failures = counter(
            "optout_lane_failures",
            "Lanes that gave up a batch and took their partition again, by the error.",
            ["role", "reason"],
        )
        self.redis_seconds = histogram(
            "optout_redis_seconds", "Time of a round trip to Redis.", ["role", "operation"]
        )
        self.redis_errors = counter(
            "optout_redis_errors", "Round trips that Redis did not answer.", ["role", "operation"]
        )
        # Audit.
        self.audit_violations = counter(
            "optout_audit_violations", "Violations that audits found, by their kind.", ["kind"]
        )
        for kind in VIOLATIONS:
            self.audit_violations.labels(kind)
        self.audit_checked = counter(
            "optout_audit_checked", "Records that audits checked, by what they are.", ["what"]
        )
        for what in _CHECKED:
            self.audit_checked.labels(what)
        self.audit_failures = counter(
            "optout_audit_failures", "Audits that failed, by the error.", ["reason"]
        )
        for reason in (*_FAILURES, *_REFUSALS):
            self.audit_failures.labels(reason)
        self.audit_seconds = histogram(
            "optout_audit_seconds", "Time of an audit.", buckets=_REBUILD_SECONDS
        )
        self.audited_until = Gauge(
            "optout_audited_until_seconds",
            "The moment up to which was audited, seconds since 1970 UTC; 0: no audit has ended.",
            registry=self.registry,
        )
        # Match.
        self.matches = counter(
            "optout_matches", "Messages that are keywords, or act as a keyword.", ["kind", "tier"]
        )
        self.suspected = counter(
            "optout_suspected", "Texts that ask for an end in other words.", ["tier", "policy"]
        )
        self.braked_replies = counter(
            "optout_braked_replies", "Replies not sent, as too many came before.", ["kind"]
        )
        self.stop_effective_seconds = histogram(
            "optout_stop_effective_seconds",
            "Time from the append of an opt-out to the write that put its block in force.",
        )
        self.rebuild_seconds = histogram(
            "optout_list_rebuild_seconds",
            "Time to rebuild a partition of the block list.",
            buckets=_REBUILD_SECONDS,
        )
        self.unreadable_entries = counter(
            "optout_unreadable_entries",
            "Entries of the block list that could not be read; their recipients count as blocked.",
            ["seen_by"],
        )
        self.undone = counter(
            "optout_batches_undone", "Batches whose owner died before committing them."
        )
        self.counts_lost = counter(
            "optout_counts_lost",
            "Records of opt-out-counts and send-counts that could not be written.",
        )
        # The gate.
        self.verdicts = counter("optout_verdicts", "Sends that were judged.", ["verdict"])
        self.gate_waiting_seconds = counter(
            "optout_gate_waiting_seconds",
            "Time in which a partition's sends waited for the block list.",
            ["reason"],
        )
        # The configuration.
        self.services_changed = counter("optout_services_changed", "Changes of services read.")
        # Followers.
        self.follower_refused = counter(
            "optout_follower_refused",
            "Records that a follower could not use and skipped.",
            ["follower"],
        )
        self.follower_failures = counter(
            "optout_follower_failures",
            "Failures of our code that ended a follower, which then started again.",
            ["follower"],
        )
        self.follower_age = Gauge(
            "optout_follower_age_seconds",
            "Time since a follower had last read its whole topic; 0 if it is not running.",
            ["follower"],
            registry=self.registry,
        )
        # Webhooks.
        self.webhook_request_seconds = histogram(
            "optout_webhook_request_seconds", "Time of a request to an application."
        )
        # Carriers.
        self.carrier_requests = counter(
            "optout_carrier_requests", "Requests of providers.", ["carrier", "result"]
        )
        self.carrier_events = counter(
            "optout_carrier_events", "Parts of providers' requests.", ["carrier", "kind"]
        )
        self.carrier_sends = counter(
            "optout_carrier_sends",
            "Messages for providers, by their outcome.",
            ["carrier", "result"],
        )
        self.carrier_send_seconds = histogram(
            "optout_carrier_send_seconds", "Time of a request to a provider."
        )
        self.carrier_request_seconds = histogram(
            "optout_carrier_request_seconds", "Time until a provider's request was answered."
        )
        # The API.
        self.texts_to_review = Gauge(
            "optout_texts_to_review",
            "Texts that wait for a review: all, those due within three days, and the overdue.",
            ["which"],
            registry=self.registry,
        )
        self.api_request_seconds = histogram(
            "optout_api_request_seconds",
            "Time of a request to the API, by the route that served it.",
            ["method", "route", "status"],
        )
        self.logins_refused = counter(
            "optout_logins_refused", "Refused logins to the API and the console.", ["why"]
        )
        self.api_connections_ended = counter(
            "optout_api_connections_ended",
            "Connections that the API closed, by the status of its response.",
            ["status"],
        )
        # Events that have not happened yet are 0, not absent: an alert sees the first.
        for kind in OptOutType:
            self.braked_replies.labels(kind)
            for tier in Tier:
                self.matches.labels(kind, tier)
        for which in ("open", "soon", "overdue"):
            self.texts_to_review.labels(which)
        for words in WordsTier:
            for policy in TierPolicy:
                self.suspected.labels(words, policy)
        for status in ("400", "408", "429", "431", "503", "unread"):
            self.api_connections_ended.labels(status)
        for follower in FOLLOWERS:
            self.follower_refused.labels(follower)
            self.follower_failures.labels(follower)
            self.follower_age.labels(follower)
        for verdict in ("allowed", "refused", "suspended"):
            self.verdicts.labels(verdict)
        for reason in _WAITS:
            self.gate_waiting_seconds.labels(reason)
        for seen_by in ("gate", "carriers", "rebuild"):
            self.unreadable_entries.labels(seen_by)
        for why in ("credentials", "inactive", "limited"):
            self.logins_refused.labels(why)

    def audited(self, counts: Mapping[str, int], seconds: float) -> None:
        """Count what an audit checked and found."""
        self.audit_seconds.observe(seconds)
        for kind in VIOLATIONS:
            self.audit_violations.labels(kind).inc(counts.get(f"found_{kind}", 0))
        for what in _CHECKED:
            self.audit_checked.labels(what).inc(counts.get(f"{what}_checked", 0))

    def audit_failed(self, error: Exception) -> None:
        """Count an audit that failed."""
        name = type(error).__name__
        known = name in _FAILURES or name in _REFUSALS
        self.audit_failures.labels(name if known else "Unexpected").inc()

    def login_refused(self, why: str) -> None:
        """Count a refused login, by a word for the reason."""
        self.logins_refused.labels(why).inc()

    def text(self) -> bytes:
        """All metrics, in Prometheus' text format."""
        return generate_latest(self.registry)


class LaneMetrics:
    """The metrics of a role's lanes; the labels are bound once."""

    def __init__(self, metrics: Metrics, role: str) -> None:
        self._messages = metrics.messages.labels(role)
        self._put_aside = {name: one.labels(role) for name, one in metrics.put_aside.items()}
        self._batch_records = metrics.batch_records.labels(role)
        self._failures = {
            reason: metrics.lane_failures.labels(role, reason) for reason in _FAILURES
        }
        self.process, self.emit, self.last_look, self.commit = (
            metrics.step_seconds.labels(role, step)
            for step in ("process", "emit", "last_look", "commit")
        )
        self.transaction = metrics.transaction_seconds.labels(role)

    def batch(self, records: int, counts: Mapping[str, int]) -> None:
        """A batch is done, and committed if it had output.

        Args:
            records: of the batch.
            counts: of irregular records, by the names in ``_PUT_ASIDE``.
        """
        self._messages.inc(records)
        self._batch_records.observe(records)
        for name, count in counts.items():
            self._put_aside[name].inc(count)

    def failed(self, error: Exception) -> None:
        """A lane starts again from its first step, or leaves the group."""
        self._failures.get(type(error).__name__, self._failures["Unexpected"]).inc()


class StoreMetrics:
    """The metrics of the block list's round trips."""

    def __init__(self, metrics: Metrics, role: str, operations: Sequence[str]) -> None:
        self._seconds = {name: metrics.redis_seconds.labels(role, name) for name in operations}
        self._errors = {name: metrics.redis_errors.labels(role, name) for name in operations}

    def asked(self, operation: str, seconds: float, error: BaseException | None) -> None:
        """A round trip ended, with or without an error."""
        self._seconds[operation].observe(seconds)
        if isinstance(error, StoreUnavailable):
            self._errors[operation].inc()


class MatchMetrics:
    """The metrics of the match stage."""

    def __init__(self, metrics: Metrics) -> None:
        self._matches = {
            (kind, tier): metrics.matches.labels(kind, tier) for kind in OptOutType for tier in Tier
        }
        self._suspected = {
            (tier, policy): metrics.suspected.labels(tier, policy)
            for tier in WordsTier
            for policy in TierPolicy
        }
        self._braked = {kind: metrics.braked_replies.labels(kind) for kind in OptOutType}
        self._effective = metrics.stop_effective_seconds
        self.rebuild = metrics.rebuild_seconds
        self.undone = metrics.undone
        self.unreadable = metrics.unreadable_entries.labels("rebuild")

    def matched(self, counts: Mapping[tuple[OptOutType, Tier], int]) -> None:
        """Count the keyword messages of a committed batch."""
        for which, count in counts.items():
            self._matches[which].inc(count)

    def suspected(self, counts: Mapping[tuple[WordsTier, TierPolicy], int]) -> None:
        """Count the texts of a committed batch that are not keywords and yet were heard."""
        for which, count in counts.items():
            self._suspected[which].inc(count)

    def braked(self, counts: Mapping[OptOutType, int]) -> None:
        """Count the replies of a committed batch that brakes kept back."""
        for kind, count in counts.items():
            self._braked[kind].inc(count)

    def effective(self, delays_s: Iterable[float]) -> None:
        """Record the delays of opt-outs whose blocks are now in force."""
        for delay_s in delays_s:
            self._effective.observe(max(0.0, delay_s))


class GateMetrics:
    """The metrics of the gate."""

    def __init__(self, metrics: Metrics) -> None:
        self._allowed = metrics.verdicts.labels("allowed")
        self._refused = metrics.verdicts.labels("refused")
        self._suspended = metrics.verdicts.labels("suspended")
        self._waiting = metrics.gate_waiting_seconds
        self.unreadable = metrics.unreadable_entries.labels("gate")

    def judged(self, *, allowed: int, refused: int, suspended: int) -> None:
        """Count the verdicts of a committed batch."""
        self._allowed.inc(allowed)
        self._refused.inc(refused)
        self._suspended.inc(suspended)

    def waited(self, reason: str, seconds: float) -> None:
        """No send could be judged; ``reason`` is one of a few words."""
        self._waiting.labels(reason).inc(seconds)


class _Looked(Collector):
    """Metrics that are not counted, but computed when they are read."""

    def __init__(
        self,
        lanes: Callable[[], Iterable[LaneLook]],
        services: Callable[[], int],
        webhook_results: Callable[[], Mapping[str, int]],
    ) -> None:
        self._lanes = lanes
        self._services = services
        self._webhook_results = webhook_results

    def describe(self) -> Iterable[Metric]:
        """Their names, without computing them."""
        return self._families()

    def _families(
        self,
    ) -> tuple[GaugeMetricFamily, GaugeMetricFamily, GaugeMetricFamily, CounterMetricFamily]:
        place = ["role", "partition"]
        return (
            GaugeMetricFamily("optout_lane_works", "1 if a lane works.", labels=place),
            GaugeMetricFamily("optout_lag_records", "Records not yet handled.", labels=place),
            GaugeMetricFamily("optout_services", "Known services."),
            CounterMetricFamily(
                "optout_webhook_results", "Webhook requests, by their result.", labels=["result"]
            ),
        )

    def collect(self) -> Iterable[Metric]:
        """The current values."""
        works, lag, services, results = families = self._families()
        for lane in self._lanes():
            place = [lane.role, str(lane.partition)]
            works.add_metric(place, float(lane.works))
            if lane.lag is not None:
                lag.add_metric(place, lane.lag)
        services.add_metric([], self._services())
        for result, count in self._webhook_results().items():
            results.add_metric([result], count)
        return families
