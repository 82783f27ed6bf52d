"""Where requests may go: public addresses only, unless an installation allows others.

An application's URL is a customer's word; nobody may reach inside the network with it.
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
# Public by number only: a cloud answers its own machines there, with their secrets.
_CLOUDS = (
    IPv4Network("168.63.129.16/32"),  # Azure's wire server
    IPv4Network("192.0.0.0/24"),  # Oracle's metadata are at .192; Python before 3.11.10 is unsure
)
_PORTS = (80, 443)  # and those nobody needs to be root for: not mail's, not a shell's

# RFC 3986, Appendix B: it splits any text, proper or not.
_PARTS = re.compile(r"(?:([^:/?#]+):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.DOTALL)

_UNSAFE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\\\ud800-\udfff]")  # libraries differ on these
_PLACE = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9_.-]+))(?::[0-9]*)?", re.IGNORECASE)
_NAME = re.compile(r"(?=.{1,253}\.?$)(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?", re.IGNORECASE)


@lru_cache(maxsize=1024)  # a service's messages name one URL, and each is looked at often
def parts_of(url: str) -> SplitResult:
    """The parts of a URL as ``urlsplit`` finds them; never raises, whatever the URL."""
    found = _PARTS.fullmatch(url)
    assert found is not None  # every part may be empty
    return SplitResult(*(part or "" for part in found.groups()))


def host_and_port(url: str) -> tuple[str, int]:
    """The host of a URL and its port, the scheme's where it names none that there is."""
    parts = parts_of(url)
    with suppress(ValueError):
        if parts.port:
            return parts.hostname or "", parts.port
    return parts.hostname or "", 443 if parts.scheme == "https" else 80


@lru_cache(maxsize=1024)
def url_problem(url: str) -> str | None:
    """Why no request may be made to a URL, whatever its host resolves to; None where one may.

    Never raises. ``urlsplit`` and HTTP clients can read every URL that passes. The reason repeats
    nothing of the URL, which may hold a password.
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
"""Stands for a password where a URL is shown."""


def has_login(url: str) -> bool:
    """Whether a URL holds a user, or a user and a password."""
    return "@" in parts_of(url).netloc


def hides_password(url: str) -> bool:
    """Whether a URL's password is the sign that it is not shown."""
    return parts_of(url).netloc.rpartition("@")[0].partition(":")[2] == HIDDEN


def shown(url: str) -> str:
    """A URL without its password, for whoever reads the configuration."""
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
    """A URL with the user and password that one of the same scheme, host and port has.

    Args:
        url: that may hold a login of its own, which it keeps.
        known: of the same owner, the first one before the others.
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
    """Whether a host, perhaps with a port, can be looked up or connected to."""
    found = _PLACE.fullmatch(place)
    if not found:
        return False
    address, name = found.groups()
    try:
        if address:
            IPv6Address(address)
            return True
        name.encode().decode("idna")  # xn-- and what it encodes
    except ValueError:
        return False
    return _NAME.fullmatch(name) is not None


def is_reachable(address: str, allowed: Sequence[Network]) -> bool:
    """Whether a connection may be made to an address, as a socket would be given it.

    Args:
        address: IPv4 or IPv6, a zone perhaps behind it.
        allowed: networks that are not public and allowed nevertheless.
    """
    found = list(_meant(ip_address(address.partition("%")[0])))
    return all(_is_public(one) for one in found) or any(_is_in(one, allowed) for one in found)


def _meant(address: Address) -> Iterable[Address]:
    """The address, or the IPv4 one that it is a way to write or to reach."""
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
    """Whether only this machine reaches a server that listens on a host."""
    if host == "localhost":
        return True
    address = _read(host)
    return address is not None and address.is_loopback


def client_of(peer: str, forwarded_for: str, trusted: Sequence[Network]) -> str:
    """Who asks: the peer, or whoever trusted proxies say that they ask for.

    Each proxy writes at the end who asked it, so the list is read from there, and no further than
    the first address that is no trusted proxy's: what stands before it anybody may have written.

    Args:
        peer: of the connection.
        forwarded_for: ``X-Forwarded-For``, several of them joined by commas; empty if none.
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
    """Whether an address is in one of some networks; what is no address is in none."""
    address = _read(host)
    return address is not None and _is_in(address, networks)


def _read(host: str) -> Address | None:
    """An address, an IPv4 one where it is mapped into IPv6; None where it is none."""
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
