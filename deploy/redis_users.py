"""Print the commands that make a Redis user for each role, with the rights in `deploy/acls.toml`.

    python deploy/redis_users.py | redis-cli -u redis://admin@...
    redis-cli ... ACL SETUSER optout.gate '>its password'

The prefix is that of the ``OPTOUT_`` settings. A new user has no password, so it cannot log in yet.
An existing user gets these rights, and keeps its password.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from processor import config

ACLS = Path(__file__).parent / "acls.toml"
_FROM_NOTHING = ("on", "resetkeys", "resetchannels", "clearselectors", "nocommands")
_EVERYBODY = ("+@connection", "+cluster|slots")  # the second is for Redis Cluster


def roles() -> dict[str, list[str]]:
    """Read each role's rules from `acls.toml`: commands and key patterns."""
    found = tomllib.loads(ACLS.read_text("utf-8"))["redis"]
    return {role: rights["may"] for role, rights in found.items()}


def rights(rules: list[str], prefix: str) -> list[str]:
    """Make the arguments of ACL SETUSER after the user's name: these rights and no others.

    Args:
        rules: of a role. A rule that names keys becomes a selector, which is for those keys only.
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
