"""Builds the lanes of each role: which stage, on which topics, with which clients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from ipaddress import ip_network
from typing import Any

from processor.config import Role
from processor.kafka.lanes.at_least_once import DeliveryLane
from processor.kafka.lanes.exactly_once import Lane
from processor.kafka.lanes.partition_lane import PartitionLane, Waits
from processor.kafka.lanes.supervisor import Lanes
from processor.metrics import GateMetrics, LaneMetrics, MatchMetrics
from processor.stages.carrier_dependencies import CarrierDependencies
from processor.stages.deliver_webhooks import DeliverWebhooks
from processor.stages.gate_outbound import GateDependencies, GateOutbound
from processor.stages.hearing import Ear
from processor.stages.match_inbound import MatchDependencies, MatchInbound
from processor.stages.send_by_carriers import SendByCarriers
from processor.stores.measured_block_list import MeasuredBlockList
from processor.suspicion.assess import load
from processor.webhooks import descriptors
from processor.webhooks.circuit import CircuitRules
from processor.webhooks.endpoint import Endpoints, Rules
from processor.webhooks.retries import RetryRules
from processor.worker.shared import Shared

_CARRIERS_AT_ONCE = 8  # carriers whose places all are taken, before others have fewer
_CARRIERS_CIRCUIT = CircuitRules(failures=10, pause_s=5.0)  # short: recipients wait for replies
_EVERYWHERE = (ip_network("0.0.0.0/0"), ip_network("::/0"))  # the operator names the addresses


def lanes_of(shared: Shared) -> dict[str, Lanes]:
    """The lanes of every role that the settings name, by role; rates has none."""
    makers = {
        "match": match_lanes,
        "gate": gate_lanes,
        "webhooks": webhook_lanes,
        "carriers": carrier_lanes,
    }
    return {role: makers[role](shared) for role in shared.settings.roles if role in makers}


def match_lanes(shared: Shared) -> Lanes:
    """Read what recipients send: keywords, block changes, replies, notifications."""
    load()  # now, before any lane of this process works
    ear = Ear()
    needs = MatchDependencies(
        partitions=shared.settings.partitions,
        topics=shared.topics,
        scope=shared.settings.block_scope,
        store=MeasuredBlockList(shared.store, shared.metrics, "match"),
        block_list=shared.truth(),
        services=shared.services,
        cloud_events=shared.cloud_events,
        counts=shared.counts,
        metrics=MatchMetrics(shared.metrics),
        traces=shared.traces("match"),
        handled=shared.handled,
        ear=ear,
        at_step=shared.at_step,
    )

    async def prepared() -> None:
        await shared.services.wait_loaded()
        ear.glance(shared.services.directory)

    return _lanes(shared, "match", lambda partition: MatchInbound(partition, needs), prepared)


def gate_lanes(shared: Shared) -> Lanes:
    """Judge every send by the block list."""
    needs = GateDependencies(
        partitions=shared.settings.partitions,
        topics=shared.topics,
        store=MeasuredBlockList(shared.store, shared.metrics, "gate"),
        block_list=shared.truth(),
        services=shared.services,
        accounts=shared.accounts,
        cloud_events=shared.cloud_events,
        counts=shared.send_counts,
        metrics=GateMetrics(shared.metrics),
        traces=shared.traces("gate"),
        max_staleness_s=shared.settings.gate_max_staleness_s,
    )

    async def prepared() -> None:
        await shared.services.wait_loaded()
        await shared.accounts.wait_loaded()

    return _lanes(shared, "gate", lambda partition: GateOutbound(partition, needs), prepared)


def webhook_lanes(shared: Shared) -> Lanes:
    """Call the customers' applications; one stage serves all partitions."""
    stage = _deliveries(shared)
    return _lanes(shared, "webhooks", lambda partition: stage, stage.begin, lane=DeliveryLane)


def carrier_lanes(shared: Shared) -> Lanes:
    """Hand replies and sends to providers."""
    settings = shared.settings
    at_once = descriptors.most_requests(settings.carrier_concurrency)
    # All carriers together may have more: none should wait for another.
    rules = Rules(at_once, at_once, _CARRIERS_AT_ONCE * at_once, _CARRIERS_CIRCUIT)
    lanes: Lanes | None = None

    def share() -> float:
        working = len(lanes.states()) if lanes else 0
        return max(working, 1) / settings.partitions

    needs = CarrierDependencies(
        partitions=settings.partitions,
        topics=shared.topics,
        store=MeasuredBlockList(shared.store, shared.metrics, "carriers"),
        block_list=shared.truth(),
        services=shared.services,
        accounts=shared.accounts,
        carriers=shared.carriers.carriers,
        loaded=shared.carriers.wait_loaded,
        client=shared.client(
            most_idle=at_once, total_s=settings.carrier_timeout_s, allowed=_EVERYWHERE
        ),
        endpoints=Endpoints(rules, Counter()),
        rules=RetryRules(
            settings.carrier_attempts,
            settings.carrier_first_delay_s,
            settings.carrier_longest_delay_s,
        ),
        cloud_events=shared.cloud_events,
        metrics=shared.metrics,
        figures=shared.carrier_tally,
        public_url=settings.carriers_url,
        share=share,
        max_staleness_s=settings.gate_max_staleness_s,
    )
    shared.carrier_states = needs.states

    async def prepared() -> None:
        await needs.loaded()
        await shared.services.wait_loaded()
        await shared.accounts.wait_loaded()

    lanes = _lanes(
        shared,
        "carriers",
        lambda partition: SendByCarriers(partition, needs),
        prepared,
        lane=DeliveryLane,
    )
    return lanes


def _lanes(
    shared: Shared,
    role: Role,
    stage: Callable[[int], Waits],
    prepared: Callable[[], Awaitable[None]],
    *,
    lane: type[PartitionLane[Any]] = Lane,
) -> Lanes:
    """The lanes of a role, on its own topics and in its own group."""
    return Lanes(
        shared.settings,
        group=shared.group(role),
        topics=shared.topics.sources(role),
        outputs=shared.topics.outputs(role),
        stage=stage,
        lane=lane,
        metrics=LaneMetrics(shared.metrics, role),
        prepared=prepared,
        at_step=shared.at_step,
    )


def _deliveries(shared: Shared) -> DeliverWebhooks:
    settings, counts = shared.settings, shared.webhook_counts
    most_requests = descriptors.most_requests(settings.webhook_worker_concurrency)
    rules = Rules(
        settings.webhook_concurrency,
        settings.webhook_account_concurrency,
        most_requests,
        CircuitRules(settings.webhook_circuit_failures, settings.webhook_circuit_s),
    )
    return DeliverWebhooks(
        topics=shared.topics,
        services=shared.services,
        tokens=shared.tokens,
        accounts=shared.accounts,
        client=shared.client(most_idle=most_requests // 4),
        endpoints=Endpoints(rules, counts),
        rules=RetryRules(
            settings.webhook_attempts,
            settings.webhook_first_delay_s,
            settings.webhook_longest_delay_s,
        ),
        counts=counts,
        request_seconds=shared.metrics.webhook_request_seconds,
        traces=shared.traces("webhooks"),
    )
