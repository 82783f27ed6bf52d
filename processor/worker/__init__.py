"""The worker process. Faust hosts it; the worker has its own life cycle."""
