"""The speed on this machine: `make bench`, or `python -m tests.bench` with running servers."""
