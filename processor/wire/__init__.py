"""Codecs for the values in topics and Redis, one module each."""
