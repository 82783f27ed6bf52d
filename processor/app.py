"""The app of this environment's settings, for ``faust -A processor.app worker``."""

import sys

from processor import config, logs
from processor.errors import ConfigError
from processor.worker.faust_host import create_app

logs.set_up()
try:
    app = create_app(config.load())
except ConfigError as error:  # before Faust says a word
    print("\n".join(error.problems), file=sys.stderr)
    raise SystemExit(2) from None
