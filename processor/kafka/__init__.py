"""Kafka as the lanes need it; the only folder that knows aiokafka."""

from processor.kafka.connections import know_connections
from processor.kafka.fetched import hand_out_in_pieces

hand_out_in_pieces()
know_connections()
