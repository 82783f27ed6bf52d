"""A command, and then a line of JSON with the most memory that it or a child of it had."""

from __future__ import annotations

import resource
import sys
from contextlib import suppress

import orjson

from processor.cli import main

if __name__ == "__main__":
    with suppress(SystemExit):  # the result is in the output
        main(standalone_mode=False)
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    most = max(resource.getrusage(kind).ru_maxrss for kind in kinds)  # KiB on Linux
    sys.stdout.buffer.write(orjson.dumps({"most_mib": most / 1024}) + b"\n")
