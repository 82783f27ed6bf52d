"""The words for a failure of Kafka."""

from __future__ import annotations

from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from processor.kafka.failures import in_words, unavailable


def test_what_aiokafka_did_not_expect_is_named_by_its_cause() -> None:
    unexpected = KafkaError("Unexpected error during batch delivery")
    unexpected.__cause__ = TopicAuthorizationFailedError()
    assert "TopicAuthorizationFailedError; deploy/acls.toml" in in_words(unexpected)
    assert unavailable(unexpected).everywhere
    assert in_words(KafkaError()) == "Kafka: KafkaError"
