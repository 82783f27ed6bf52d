"""The addresses that requests may reach: public only, unless an installation allows others.

A customer chooses an application's URL, and must not reach inside our network with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)
from urllib.parse import SplitResult, urlsplit

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NAT64 = IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
_COMPATIBLE = IPv6Network("::/96")
# Public by number only: a cloud serves its own machines there, with their secrets.
_CLOUDS = (
    IPv4Network("168.63.129.16/32"),  # Azure's wire server
    IPv4Network("192.0.0.0/24"),  # Oracle's metadata at .192; global before Python 3.11.10
)
_PORTS = (80, 443)  # and the ports above 1023: not mail's, not a shell's

# RFC 3986, Appendix B: it splits any text, valid or not.
_PARTS = re.compile(r"(?:([^:/?#]+):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.DOTALL)

_UNSAFE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\\\ud800-\udfff]")  # libraries differ on these
_PLACE = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9_.-]+))(?::[0-9]*)?", re.IGNORECASE)
_NAME = re.compile(r"(?=.{1,253}\.?$)(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?", re.IGNORECASE)


@lru_cache(maxsize=1024)  # a service's messages share a URL, which is read often
def parts_of(url: str) -> SplitResult:
    """The parts of a URL as ``urlsplit`` finds them; never raises, whatever the URL."""
    found = _PARTS.fullmatch(url)
    assert found is not None  # every part may be empty
    return SplitResult(*(part or "" for part in found.groups()))


def host_and_port(url: str) -> tuple[str, int]:
    """The host and the port of a URL; without a valid port, the scheme's."""
    parts = parts_of(url)
    with suppress(ValueError):
        if parts.port:
            return parts.hostname or "", parts.port
    return parts.hostname or "", 443 if parts.scheme == "https" else 80


@lru_cache(maxsize=1024)
def url_problem(url: str) -> str | None:
    """Why a URL must not be requested, whatever its host resolves to; None if it may be.

    Never raises. ``urlsplit`` and HTTP clients can read every URL that passes. The reason repeats
    nothing of the URL, as that may contain a password.
    """
    if _UNSAFE.search(url):
        return "the URL has white space, a control character or a backslash; percent-encode it"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "the URL has no proper host and port"
    if parts.scheme not in ("http", "https"):
        return "the URL is neither http nor https"
    if not host:
        return "the URL names no host"
    if not host.isascii():
        return "the host is not ASCII; write it as xn--…"
    userinfo, _, place = parts.netloc.rpartition("@")
    if any(one in userinfo for one in "@[]"):
        return "the user or the password has @, [ or ]; write %40, %5B or %5D"
    if not _is_place(place):
        return "the host is neither a name nor an address"
    if port is not None and port not in _PORTS and port < 1024:
        return "the port is neither 80 nor 443 nor from 1024 on"
    return None


HIDDEN = "***"
"""Shown in place of a URL's password."""


def has_login(url: str) -> bool:
    """Whether a URL contains a user, with or without a password."""
    return "@" in parts_of(url).netloc


def hides_password(url: str) -> bool:
    """Whether a URL's password is only the mark for a hidden password."""
    return parts_of(url).netloc.rpartition("@")[0].partition(":")[2] == HIDDEN


def shown(url: str) -> str:
    """A URL without its password, for readers of the configuration."""
    parts = parts_of(url)
    userinfo, at, place = parts.netloc.rpartition("@")
    user, colon, _ = userinfo.partition(":")
    hidden = HIDDEN if colon else ""
    return url.replace(f"//{parts.netloc}", f"//{user}{colon}{hidden}{at}{place}", 1)


def without_login(url: str) -> str:
    """A URL without user and password."""
    netloc = parts_of(url).netloc
    return url.replace(f"//{netloc}", f"//{netloc.rpartition('@')[2]}", 1)


def with_login_of(url: str, known: Iterable[str | None]) -> str:
    """A URL with the login of a known URL of the same scheme, host and port.

    Args:
        url: a login of its own is kept.
        known: URLs of the same owner, in order of preference.
    """
    if has_login(url):
        return url
    origin = parts_of(url).scheme, *host_and_port(url)
    for other in known:
        if other and has_login(other) and (parts_of(other).scheme, *host_and_port(other)) == origin:
            netloc = parts_of(url).netloc
            login = parts_of(other).netloc.rpartition("@")[0]
            return url.replace(f"//{netloc}", f"//{login}@{netloc}", 1)
    return url


def _is_place(place: str) -> bool:
    """Whether a host, with or without a port, can be looked up or connected to."""
    found = _PLACE.fullmatch(place)
    if not found:
        return False
    address, name = found.groups()
    try:
        if address:
            IPv6Address(address)
            return True
        name.encode().decode("idna")  # xn-- must decode
    except ValueError:
        return False
    return _NAME.fullmatch(name) is not None


def is_reachable(address: str, allowed: Sequence[Network]) -> bool:
    """Whether a connection may be made to an address, in the form that a socket gets.

    Args:
        address: IPv4 or IPv6, with or without a zone.
        allowed: networks that are allowed although they are not public.
    """
    found = list(_meant(ip_address(address.partition("%")[0])))
    return all(_is_public(one) for one in found) or any(_is_in(one, allowed) for one in found)


def _meant(address: Address) -> Iterable[Address]:
    """The address itself, or the IPv4 addresses that it embeds or leads to."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return (address.ipv4_mapped,)
        if address.sixtofour:
            return (address.sixtofour,)
        if address.teredo:
            return address.teredo
        if address in _NAT64 or (address in _COMPATIBLE and int(address) > 0xFFFF):
            return (IPv4Address(int(address) & 0xFFFFFFFF),)
    return (address,)


def _is_public(address: Address) -> bool:
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not (isinstance(address, IPv6Address) and address.is_site_local)
        and address not in _LOCAL_NAT64
        and not _is_in(address, _CLOUDS)
    )


def is_loopback(host: str) -> bool:
    """Whether a server that listens on a host is reachable from this machine only."""
    if host == "localhost":
        return True
    address = _read(host)
    return address is not None and address.is_loopback


def client_of(peer: str, forwarded_for: str, trusted: Sequence[Network]) -> str:
    """The client's address: the peer, or the client that trusted proxies report.

    Each proxy appends its peer, so the list is read from the end. Reading stops at the first
    address that is not a trusted proxy's, because any client may have written the entries before.

    Args:
        peer: of the connection.
        forwarded_for: ``X-Forwarded-For``, several headers joined by commas; empty if none.
        trusted: networks of proxies.
    """
    found = peer
    for entry in reversed(forwarded_for.split(",")):
        if not is_one_of(found, trusted):
            break
        address = _read(_without_port(entry.strip()))
        if address is None:
            break
        found = str(address)
    return found


def is_one_of(host: str, networks: Sequence[Network]) -> bool:
    """Whether an address is in any of these networks; False for text that is not an address."""
    address = _read(host)
    return address is not None and _is_in(address, networks)


def _read(host: str) -> Address | None:
    """Parse an address, and unmap IPv4 from IPv6; None if it is not an address."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def _without_port(entry: str) -> str:
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)
