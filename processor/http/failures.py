"""Limits for failed logins, by client address and by user name."""

from __future__ import annotations

import time
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network

_MOST = 20  # failures at once
_EACH_S = 3.0  # after which a failure is forgotten
_KEPT = 10_000  # addresses, or names


def place_of(address: str) -> str:
    """The key of an address: for IPv6 its network, as each machine has 2^64 addresses."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped:
            return str(found.ipv4_mapped)
        return str(ip_network((found, 64), strict=False))
    return address


class Failures:
    """A bucket of tries for each key: it is empty after 20 failures, and gets a try every 3 s.

    Args:
        clock_s: monotonic.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._forgotten_at: dict[str, float] = {}  # when all failures of a key are forgotten

    def wait_s(self, key: str) -> float:
        """Time until the next try is allowed; 0 if it is allowed now."""
        return max(0.0, self._owed_s(key) - (_MOST - 1) * _EACH_S)

    def is_clean(self, key: str) -> bool:
        """Whether no failure is remembered."""
        return not self._owed_s(key)

    def add(self, key: str) -> None:
        """Count a try as a failure."""
        owed_s = self._owed_s(key)
        self._forgotten_at.pop(key, None)
        self._forgotten_at[key] = self._clock_s() + owed_s + _EACH_S
        if len(self._forgotten_at) > _KEPT:
            del self._forgotten_at[next(iter(self._forgotten_at))]  # the oldest failure

    def forgive(self, key: str) -> None:
        """Take a failure back: the try did not fail."""
        if key in self._forgotten_at:
            self._forgotten_at[key] -= _EACH_S

    def _owed_s(self, key: str) -> float:
        return max(0.0, self._forgotten_at.get(key, 0.0) - self._clock_s())


class Tries:
    """Decides who may try to log in now, before anything slow is computed.

    An address that failed too often waits. A name that failed too often also waits, but only for
    addresses with recent failures. So an attacker cannot lock out a user who comes from another
    address. Existing names are counted separately, so that invented names displace none of them.

    Args:
        clock_s: monotonic.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._places = Failures(clock_s)
        self._users, self._strangers = Failures(clock_s), Failures(clock_s)

    def wait_s(self, place: str, user: str, *, exists: bool) -> float:
        """Time until a try is allowed; 0 if it is allowed now; ``place`` is from ``place_of``."""
        if wait_s := self._places.wait_s(place):
            return wait_s
        return 0.0 if self._places.is_clean(place) else self._of(exists=exists).wait_s(user)

    def begin(self, place: str, user: str, *, exists: bool) -> None:
        """Count a try as a failure until it is taken back, as many may begin at once."""
        self._places.add(place)
        self._of(exists=exists).add(user)

    def take_back(self, place: str, user: str, *, exists: bool) -> None:
        """Take the failure back: the try succeeded, or was not made."""
        self._places.forgive(place)
        self._of(exists=exists).forgive(user)

    def _of(self, *, exists: bool) -> Failures:
        return self._users if exists else self._strangers
