"""Kafka as the lanes need it; the only folder that knows aiokafka."""

from processor.kafka.fetched import hand_out_in_pieces

hand_out_in_pieces()
