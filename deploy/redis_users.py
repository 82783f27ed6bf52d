"""Prints the commands that make a Redis user for each role, with the rights of `deploy/acls.toml`.

    python deploy/redis_users.py | redis-cli -u redis://admin@...
    redis-cli ... ACL SETUSER optout.gate '>its password'

The prefix is that of the ``OPTOUT_`` settings. A user has no password yet, so nobody can log in as
it; a user that is there already gets these rights, and keeps its password.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from processor import config

ACLS = Path(__file__).parent / "acls.toml"
_FROM_NOTHING = ("on", "resetkeys", "resetchannels", "clearselectors", "nocommands")
_EVERYBODY = ("+@connection", "+cluster|slots")  # the second where Redis is a Cluster


def roles() -> dict[str, list[str]]:
    """What `acls.toml` lets each role do: rules, of commands and patterns of keys."""
    found = tomllib.loads(ACLS.read_text("utf-8"))["redis"]
    return {role: rights["may"] for role, rights in found.items()}


def rights(rules: list[str], prefix: str) -> list[str]:
    """The arguments of ACL SETUSER behind the user's name: these rights and no others.

    Args:
        rules: of a role. One that names keys becomes a selector, which holds for these alone.
        prefix: put before every pattern.
    """
    placed = [re.sub(r"(%RW?~|%W~|~)", rf"\g<1>{prefix}", rule) for rule in rules]
    everywhere = [word for rule in placed if "~" not in rule for word in rule.split()]
    selectors = [f"({rule})" for rule in placed if "~" in rule]
    return [*_FROM_NOTHING, *_EVERYBODY, *everywhere, *selectors]


def main() -> None:
    """Print a line for each role."""
    prefix = config.load().topic_prefix
    for role, rules in roles().items():
        print("ACL SETUSER", prefix + role, *rights(rules, prefix))


if __name__ == "__main__":
    main()
