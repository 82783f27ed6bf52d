"""Every check of `optout doctor`, in its order."""

from __future__ import annotations

from collections.abc import Sequence

from processor.doctor import carriers, configuration, servers, topics, webhooks
from processor.doctor.examination import Check, Role

_READ_SERVICES: frozenset[Role] = frozenset(
    {"match", "gate", "webhooks", "carriers", "api", "operator"}
)
_READ_ACCOUNTS: frozenset[Role] = frozenset({"webhooks", "api", "operator"})
_SEND: frozenset[Role] = frozenset({"webhooks", "operator"})
_CARRY: frozenset[Role] = frozenset({"carriers", "operator"})
_USE_REDIS: frozenset[Role] = frozenset(
    {"match", "gate", "webhooks", "carriers", "rates", "api", "operator"}
)
_KAFKA = "see that brokers run, and OPTOUT_KAFKA_… names them, the user and the certificates"
_REDIS = "see that Redis runs, and OPTOUT_REDIS_URL names it, the user and the password"
_BOTH = frozenset({"Kafka", "Redis"})

CHECKS: Sequence[Check] = (
    Check("Kafka", servers.kafka, _KAFKA),
    Check("Redis", servers.redis, _REDIS, roles=_USE_REDIS),
    Check("topics", topics.topics, _KAFKA, frozenset({"Kafka"})),
    Check("rights", topics.rights, _KAFKA, _BOTH),
    Check("clocks", servers.clocks_, _KAFKA, _BOTH, _USE_REDIS - {"rates"}),
    Check("versions", servers.versions, _REDIS, frozenset({"Redis"}), _USE_REDIS),
    Check("secret keys", configuration.keys, _KAFKA, frozenset({"Kafka"}), _READ_ACCOUNTS),
    Check("services", configuration.services, _KAFKA, frozenset({"Kafka"}), _READ_SERVICES),
    Check("webhooks", webhooks.webhooks, _KAFKA, frozenset({"Kafka"}), _SEND),
    Check("carriers", carriers.carriers, _KAFKA, frozenset({"Kafka", "topics"}), _CARRY),
)
