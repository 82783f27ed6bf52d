"""Names for what comes from redis-py, which types its answers loosely."""

from __future__ import annotations

from typing import Any, TypeAlias

Answer: TypeAlias = Any
"""What Redis answers a command with: bytes, an int, None, an error, or a list of these."""

Connection: TypeAlias = Any
"""A connection of redis-py, of any kind."""

Node: TypeAlias = Any
"""The server of a key: in a Cluster a node, else a pool."""
