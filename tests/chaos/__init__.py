"""The chaos run: faults under load, then everything that was written is held against a model."""
