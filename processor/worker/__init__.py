"""The worker: what one process runs. Faust hosts it; its life is its own."""
