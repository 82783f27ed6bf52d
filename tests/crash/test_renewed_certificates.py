"""Certificates are replaced while a worker runs: it continues with the new certificates."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from deploy.local import stack
from processor import certificates
from processor.config import Settings
from processor.kafka.topics import topic_admin
from tests.crash.test_handing_over import everybody_is_heard
from tests.installation import Installation, running, until

pytestmark = [pytest.mark.crash, pytest.mark.needs_more]

# Its own clients come without TLS, as they do elsewhere.
_TLS = """
listeners=PLAINTEXT://127.0.0.1:{{port}},SSL://localhost:{secure},CONTROLLER://127.0.0.1:{{controller_port}}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SSL:SSL,CONTROLLER:PLAINTEXT
ssl.client.auth=required
ssl.keystore.type=PEM
ssl.keystore.location={folder}/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location={folder}/clients.pem
"""


class Tls(NamedTuple):
    """A broker that wants to know its clients, and what it knows them by."""

    settings: Settings
    broker: stack.Server
    folder: Path

    def renew(self) -> None:
        """Replace the client's certificate; the broker comes back and takes no older one."""
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.folder / "clients.pem"))
        give(authority, self.folder)
        self.broker.kill()
        self.broker.start()


def as_kafka_takes_it(made: trustme.LeafCert) -> bytes:
    """Key and certificate in one file, the key as PKCS 8."""
    key = load_pem_private_key(made.private_key_pem.bytes(), None)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem + b"".join(one.bytes() for one in made.cert_chain_pems)


def give(authority: trustme.CA, folder: Path) -> None:
    made = authority.issue_cert("worker.example")
    made.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    made.private_key_pem.write_to_path(str(folder / "key.pem"))


@pytest.fixture
async def tls(servers: None, settings: Settings, tmp_path: Path) -> AsyncIterator[Tls]:
    theirs, ours = trustme.CA(), trustme.CA()
    (tmp_path / "broker.pem").write_bytes(as_kafka_takes_it(theirs.issue_cert("localhost")))
    theirs.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    ours.cert_pem.write_to_path(str(tmp_path / "clients.pem"))
    give(ours, tmp_path)
    with (
        stack.free_port(9292) as secure,
        stack.kafka(tmp_path, _TLS.format(secure=secure, folder=tmp_path)) as broker,
    ):
        mine = settings.model_copy(
            update={
                "kafka_bootstrap": f"localhost:{secure}",
                "kafka_security_protocol": "SSL",
                "kafka_cafile": str(tmp_path / "ca.pem"),
                "kafka_certfile": str(tmp_path / "cert.pem"),
                "kafka_keyfile": str(tmp_path / "key.pem"),
            }
        )
        await topic_admin.create(mine)
        yield Tls(mine, broker, tmp_path)


async def test_a_worker_goes_on_with_a_renewed_certificate(
    tls: Tls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificates, "_LOOK_S", 0.2)
    at = Installation(tls.settings)
    keeping = asyncio.create_task(certificates.keep_current())
    try:
        async with running(tls.settings) as runtime:
            await everybody_is_heard(at)
            tls.renew()

            async def is_ready() -> bool:
                return runtime.unready() == []

            await until(is_ready, "worker that is ready again")
            await everybody_is_heard(at, first=1_000)
    finally:
        keeping.cancel()
