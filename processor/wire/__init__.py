"""Bytes to values and back: what topics and Redis hold, one module each."""
