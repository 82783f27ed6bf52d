"""The decisions: pure functions on plain values, without waiting, clocks, files or a network."""
