"""Requests reach public addresses only, however one is written."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from processor.core.addresses import is_reachable, url_problem

PRIVATE = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "172.16.0.1",
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
        ("https://exämple.com/", "the host is not printable ASCII; write it as xn--…"),
    ],
)
def test_a_url_that_nothing_is_sent_to_is_named_without_its_secrets(
    url: str, problem: str | None
) -> None:
    assert url_problem(url) == problem
