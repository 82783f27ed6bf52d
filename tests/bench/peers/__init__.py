"""This project's match and gate, measured beside the same jobs on Kafka Streams."""
