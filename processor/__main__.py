"""`python -m processor`: the same as `optout`."""

from processor.cli import main

main()
