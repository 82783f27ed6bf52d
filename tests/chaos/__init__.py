"""The chaos run: faults under load, then all written records are compared with a model."""
