"""The worker: what one process runs."""
