"""Requests reach public addresses only, in any notation."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from processor.webhooks.addresses import (
    client_of,
    has_login,
    hides_password,
    is_loopback,
    is_reachable,
    shown,
    url_problem,
    with_login_of,
    without_login,
)

PRIVATE = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "168.63.129.16",  # Azure's wire server
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.192",  # Oracle's metadata
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::1%lo",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:168.63.129.16",
    "64:ff9b::10.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::8.8.8.8",
    "2001:db8::1",
    "2001:0:7f00:1::1",
    "2002:7f00:1::1",
    "2002:a9fe:a9fe::",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_public_is_not_reached(address: str) -> None:
    assert not is_reachable(address, ())


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"],
)
def test_what_is_public_is_reached(address: str) -> None:
    assert is_reachable(address, ())


def test_an_installation_may_allow_networks() -> None:
    allowed = [ip_network("10.1.0.0/16"), ip_network("fd00::/8")]
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "fd00::1"):
        assert is_reachable(address, allowed)
    for address in ("10.2.0.1", "::ffff:10.2.0.1", "127.0.0.1", "fc00::1"):
        assert not is_reachable(address, allowed)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://example.com/x", None),
        ("http://example.com:80/x", None),
        ("https://example.com:8443/x", None),
        ("ftp://example.com/x", "the URL is neither http nor https"),
        ("https://example.com:22/", "the port is neither 80 nor 443 nor from 1024 on"),
        ("https://example.com:0/", "the port is neither 80 nor 443 nor from 1024 on"),
        ("https://example.com:99999/", "the URL has no proper host and port"),
        ("https://[::1/", "the URL has no proper host and port"),
        ("https://user:secret@/x", "the URL names no host"),
        ("https://exämple.com/", "the host is not ASCII; write it as xn--…"),
    ],
)
def test_a_url_that_nothing_is_sent_to_is_named_without_its_secrets(
    url: str, problem: str | None
) -> None:
    assert url_problem(url) == problem


UNREADABLE = [
    "",
    "http",
    "http://",
    "http://[",
    "http://]",
    "http://[::1",
    "http://[::1%25eth0]/",
    "http://[v1.x]/",
    "http://[1.2.3.4]/",
    "http://a℀b.com",
    "http://h:65536/",
    "http://h:-1/",
    "http://h:80:80/",
    "http://h:８０/",
    "http://h:+80/",
    "http://h\x00/",
    "http://h/\x00",
    "http://h/\x7f",
    "http://h/\u0085",
    "http://h/\u2028",
    "http://h/\ud800",
    "http://h/ x",
    "http://h/\r\nHost: x",
    "http://h\\@e/",
    "http://u@v@h/",
    "http://u:p[@h/",
    "http://[::1]@h/",
    "http://@/",
    "http://:80/",
    "http:///x",
    "http:/h",
    "http://a..b/",
    "http://.a/",
    f"http://{'a' * 64}.com/",
    f"http://{'a.' * 127}com/",
    "http://a%41/",
    "http://a,b/",
    "http://a'b/",
    "http://a*b/",
    "http://xn--a.com/",
    "http://xn--/",
    "http://xn--zz--zzz/",
]


@pytest.mark.parametrize("url", UNREADABLE)
def test_a_url_that_some_library_cannot_read_is_refused(url: str) -> None:
    assert url_problem(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://h",
        "HTTP://H/",
        "https://user:p%40ss@example.com/a?b=c&d=%00#ct=2000&rt=5000",
        "http://example.com./",
        "http://my_app.internal-1:8000/",
        "http://[2001:db8::1]:8443/x",
        "http://192.0.2.1/",
        "http://xn--mnchen-3ya.de/straße?q=é",
        f"https://{'a' * 63}.example/{'x' * 1_900}",
    ],
)
def test_a_url_that_can_be_asked_is_let_through(url: str) -> None:
    assert url_problem(url) is None


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", "localhost"])
def test_what_only_this_machine_reaches_is_known(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.1", "127.example.com", "8.8.8.8"])
def test_what_others_may_reach_is_no_loopback(host: str) -> None:
    assert not is_loopback(host)


PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        ("203.0.113.5", "198.51.100.1", "203.0.113.5"),  # not our proxy
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("::ffff:10.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
        ("fd00::1", "[2001:db8::5]:4711", "2001:db8::5"),
        ("fd00::1", "2001:db8::5", "2001:db8::5"),
        ("10.0.0.1", "8.8.8.8, 198.51.100.1", "198.51.100.1"),  # the first is the client's claim
        ("10.0.0.1", "8.8.8.8, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "10.0.0.3,10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "198.51.100.1, unknown", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1, <script>, 10.0.0.2", "10.0.0.2"),
        ("nobody", "198.51.100.1", "nobody"),
    ],
)
def test_a_client_is_who_trusted_proxies_say_and_nobody_else(
    peer: str, forwarded_for: str, client: str
) -> None:
    assert client_of(peer, forwarded_for, PROXIES) == client
    assert client_of(peer, forwarded_for, ()) == peer


@pytest.mark.parametrize(
    ("url", "seen", "bare"),
    [
        ("https://a.example/x@y?z=@", "https://a.example/x@y?z=@", "https://a.example/x@y?z=@"),
        ("https://u:p%40s@a.example:81/x#rc=3", "https://u:***@a.example:81/x#rc=3", None),
        ("https://u@a.example", "https://u@a.example", "https://a.example"),
        ("https://u:@a.example/", "https://u:***@a.example/", "https://a.example/"),
        ("https://:p@a.example/", "https://:***@a.example/", "https://a.example/"),
        ("http://u:p@u:p@a.example/", "http://u:***@a.example/", "http://a.example/"),
        ("http://[", "http://[", "http://["),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, seen: str, bare: str | None) -> None:
    assert shown(url) == seen
    assert shown(seen) == seen
    assert hides_password(seen) is ("***" in seen)
    assert without_login(url) == (bare or "https://a.example:81/x#rc=3")
    assert has_login(url) is (seen != without_login(url))


@pytest.mark.parametrize(
    ("url", "called"),
    [
        ("https://a.example/status", "https://u:p@a.example/status"),
        ("https://A.example:443/status", "https://u:p@A.example:443/status"),
        ("https://x:y@a.example/status", "https://x:y@a.example/status"),
        ("http://a.example/status", "http://a.example/status"),
        ("https://a.example:8443/status", "https://a.example:8443/status"),
        ("https://a.example.evil.example/", "https://a.example.evil.example/"),
        ("https://b.example/", "https://b.example/"),
    ],
)
def test_the_login_of_a_url_goes_for_its_origin_alone(url: str, called: str) -> None:
    known = [None, "https://b.example/", "https://u:p@a.example/inbound", "https://v:q@a.example/"]
    assert with_login_of(url, known) == called
