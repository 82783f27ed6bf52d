"""The chaos run: cause faults under load, then compare everything written with a model."""
