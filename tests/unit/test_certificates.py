from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from processor import certificates
from processor.certificates import Certificates
from processor.config import Settings


class Pki:
    """An authority, and the files that a client is given."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.cafile, self.certfile, self.keyfile = (
            str(folder / name) for name in ("ca.pem", "cert.pem", "key.pem")
        )
        self.authority.cert_pem.write_to_path(self.cafile)

    def give(self, name: str, *, expired: bool = False, without_key: bool = False) -> None:
        """Replace the certificate with a certificate of that name."""
        ends = datetime.now(UTC) - timedelta(hours=1) if expired else None
        made = self.authority.issue_cert(name, not_after=ends)
        made.cert_chain_pems[0].write_to_path(self.certfile)
        if not without_key:
            made.private_key_pem.write_to_path(self.keyfile)


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path)


@asynccontextmanager
async def a_server(pki: Pki) -> AsyncIterator[tuple[int, list[str]]]:
    """A server that requires client certificates: its port, and the names of its clients."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=pki.cafile)
    context.verify_mode = ssl.CERT_REQUIRED
    pki.authority.issue_cert("localhost").configure_cert(context)
    names: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        subject = writer.get_extra_info("peercert")["subjectAltName"]
        names.append(subject[0][1])
        writer.write(b"hello")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1], names


async def is_let_in(port: int, context: ssl.SSLContext) -> bool:
    """Whether a new connection is accepted; in TLS 1.3 a client learns of a refusal as it reads."""
    try:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname="localhost"
        )
    except ssl.SSLError:
        return False
    try:
        return await reader.read() == b"hello"
    except OSError:
        return False
    finally:
        writer.close()


async def test_a_replaced_certificate_is_used_by_the_next_connection(pki: Pki) -> None:
    pki.give("first.example", expired=True)
    one = Certificates(pki.cafile, pki.certfile, pki.keyfile)
    async with a_server(pki) as (port, names):
        assert not await is_let_in(port, one.context)
        pki.give("second.example")
        assert one.renew()
        assert await is_let_in(port, one.context)
        assert not one.renew()
        assert names == ["second.example"]


async def test_a_replaced_authority_is_trusted_as_well(pki: Pki, tmp_path: Path) -> None:
    pki.give("client.example")
    one = Certificates(pki.cafile, pki.certfile, pki.keyfile)
    (tmp_path / "next").mkdir()
    successor = Pki(tmp_path / "next")
    async with a_server(successor) as (port, _):
        assert not await is_let_in(port, one.context)
        successor.give("client.example")
        for name in ("ca.pem", "cert.pem", "key.pem"):
            (tmp_path / "next" / name).replace(tmp_path / name)
        assert one.renew()
        assert await is_let_in(port, one.context)


async def test_files_in_the_middle_of_being_replaced_leave_the_old_ones_in_use(pki: Pki) -> None:
    pki.give("first.example")
    one = Certificates(pki.cafile, pki.certfile, pki.keyfile)
    async with a_server(pki) as (port, names):
        pki.give("second.example", without_key=True)
        with pytest.raises(ssl.SSLError):
            one.renew()
        assert await is_let_in(port, one.context)
        pki.give("third.example")
        assert one.renew()
        assert await is_let_in(port, one.context)
        assert names == ["first.example", "third.example"]


async def test_every_client_of_a_process_has_the_one_context_which_stays_current(
    pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificates, "_LOOK_S", 0.01)
    pki.give("first.example")
    settings = Settings(
        kafka_security_protocol="SSL",
        kafka_cafile=pki.cafile,
        kafka_certfile=pki.certfile,
        kafka_keyfile=pki.keyfile,
    )
    context = settings.kafka()["ssl_context"]
    assert context is not None
    assert settings.model_copy().kafka()["ssl_context"] is context
    keeping = asyncio.create_task(certificates.keep_current())
    try:
        async with a_server(pki) as (port, names):
            pki.give("second.example")
            async with asyncio.timeout(30):
                while "second.example" not in names:
                    await is_let_in(port, context)
    finally:
        keeping.cancel()
