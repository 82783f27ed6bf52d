"""The certificates of a run, which brokers and a worker show each other, with their ends."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

_DAYS = timedelta(days=30)  # however far a clock is stepped


class Authorities:
    """Two authorities, the brokers' and the workers', and files with what they issued."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder.resolve()
        self._ours = trustme.CA()
        theirs = trustme.CA()
        broker = theirs.issue_cert("127.0.0.1")
        (folder / "broker.pem").write_bytes(_as_kafka_takes_it(broker))
        theirs.cert_pem.write_to_path(str(folder / "ca.pem"))
        self._ours.cert_pem.write_to_path(str(folder / "clients.pem"))
        self.issue(_DAYS)

    def issue(self, lasts: timedelta) -> None:
        """Replace the worker's certificate by one that ends after so long."""
        now = datetime.now(UTC)
        made = self._ours.issue_cert(
            "worker.example", not_before=now - _DAYS, not_after=now + lasts
        )
        made.private_key_and_cert_chain_pem.write_to_path(str(self.folder / "next.pem"))
        # Key and certificate change at once: they never are of two pairs.
        (self.folder / "next.pem").rename(self.folder / "worker.pem")

    def renew(self) -> None:
        """Replace the worker's certificate by one that outlasts the run."""
        self.issue(_DAYS)

    def environment(self) -> Mapping[str, str]:
        """A worker's settings for them."""
        return {
            "OPTOUT_KAFKA_SECURITY_PROTOCOL": "SSL",
            "OPTOUT_KAFKA_CAFILE": str(self.folder / "ca.pem"),
            "OPTOUT_KAFKA_CERTFILE": str(self.folder / "worker.pem"),
        }


def _as_kafka_takes_it(made: trustme.LeafCert) -> bytes:
    """Key and certificate in one file, the key as PKCS 8."""
    key = load_pem_private_key(made.private_key_pem.bytes(), None)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem + b"".join(one.bytes() for one in made.cert_chain_pems)
