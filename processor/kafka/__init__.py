"""Kafka as the lanes need it; the only folder that knows aiokafka."""
