"""Kafka as the lanes need it; the only folder that knows aiokafka."""

from processor.kafka.header_names import read_leniently

read_leniently()
