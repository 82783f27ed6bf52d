"""The decisions, as pure functions on plain values: no waiting, no clock, no file, no network."""
