"""TLS contexts of Kafka clients and of the API: one for each set of files, kept up to date."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl

logger = logging.getLogger(__name__)

_LOOK_S = 5.0
_NO_PASSWORD = ""  # else OpenSSL asks at the terminal, and everything waits
_Stamp = tuple[tuple[int, int, int], ...]


class Certificates:
    """A TLS context, and the files it is made from.

    New connections use the files as last loaded; open connections keep their certificates.

    Args:
        cafile: PEM; None: the system's authorities.
        certfile: PEM, of a server, or for client authentication.
        keyfile: PEM; None: the key is in ``certfile``.
        serves: whether the context is for a server, not for a client.

    Raises:
        OSError: a file cannot be read, or the key does not belong to the certificate.
    """

    def __init__(
        self,
        cafile: str | None,
        certfile: str | None,
        keyfile: str | None,
        *,
        serves: bool = False,
    ) -> None:
        self._cafile, self._certfile, self._keyfile = cafile, certfile, keyfile
        self._serves = serves
        self._stamp = self._stamp_now()
        self.context = self._made()

    def renew(self) -> bool:
        """Load the files again if they changed, and return whether they had.

        An authority that was removed from ``cafile`` stays trusted until the process ends.

        Raises:
            OSError: the files cannot be used; the context is unchanged, and the next call retries.
        """
        stamp = self._stamp_now()
        if stamp == self._stamp:
            return False
        self._made()  # fail here: a wrong pair would leave the context without any
        if self._cafile:
            self.context.load_verify_locations(self._cafile)
        if self._certfile:
            self.context.load_cert_chain(self._certfile, self._keyfile, _NO_PASSWORD)
        self._stamp = stamp
        return True

    def _made(self) -> ssl.SSLContext:
        if self._serves:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.set_alpn_protocols(["http/1.1"])
        else:
            context = ssl.create_default_context(cafile=self._cafile)
        if self._certfile:
            context.load_cert_chain(self._certfile, self._keyfile, _NO_PASSWORD)
        return context

    def _stamp_now(self) -> _Stamp:
        found = [os.stat(one) for one in (self._cafile, self._certfile, self._keyfile) if one]
        return tuple((one.st_ino, one.st_mtime_ns, one.st_size) for one in found)


_made: dict[tuple[str | None, ...], Certificates] = {}


def context_of(cafile: str | None, certfile: str | None, keyfile: str | None) -> ssl.SSLContext:
    """The process's only TLS context of these files; see ``Certificates``."""
    files = cafile, certfile, keyfile
    if files not in _made:
        _made[files] = Certificates(*files)
    return _made[files].context


def server_context_of(certfile: str, keyfile: str) -> ssl.SSLContext:
    """A server's TLS context of these files, which are loaded again when they change.

    Raises:
        OSError: a file cannot be read, or the key does not belong to the certificate.
    """
    made = Certificates(None, certfile, keyfile, serves=True)
    _made["server", certfile, keyfile] = made
    return made.context


async def keep_current() -> None:
    """Keep loading changed files again, because certificates are replaced before they expire."""
    said = ""
    while True:
        await asyncio.sleep(_LOOK_S)
        for files, one in _made.items():
            names = ", ".join(filter(None, files))
            try:
                if one.renew():
                    said = ""
                    logger.info("certificates.loaded", extra={"files": names})
            except OSError as error:
                if said != (said := f"{names}: {error.strerror or error}"):
                    logger.error("certificates.unusable", extra={"why": said})
