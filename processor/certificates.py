"""TLS contexts of Kafka clients and of the API: one for the same files, with what they hold now."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl

logger = logging.getLogger(__name__)

_LOOK_S = 5.0
_NO_PASSWORD = ""  # else OpenSSL asks for one at the terminal, and all else waits
_Stamp = tuple[tuple[int, int, int], ...]


class Certificates:
    """A TLS context, and the files that it was made of.

    Connections made from now on use what is loaded; those that are open keep what they began with.

    Args:
        cafile: PEM; None: the system's authorities.
        certfile: PEM, of a server, or for client authentication.
        keyfile: PEM; None: it is in ``certfile``.
        serves: whether it is a server's, not a client's.

    Raises:
        OSError: a file cannot be read, or the key is not the certificate's.
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
        """Load the files again where they changed; whether they had.

        An authority that is gone from ``cafile`` is trusted until the process ends.

        Raises:
            OSError: they cannot be used; the context is as it was, and the next call tries again.
        """
        stamp = self._stamp_now()
        if stamp == self._stamp:
            return False
        self._made()  # a context that is given a wrong pair has none any more
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
    """The process's one TLS context of these files; see ``Certificates``."""
    files = cafile, certfile, keyfile
    if files not in _made:
        _made[files] = Certificates(*files)
    return _made[files].context


def server_context_of(certfile: str, keyfile: str) -> ssl.SSLContext:
    """A server's TLS context of these files, which are loaded again when they change.

    Raises:
        OSError: a file cannot be read, or the key is not the certificate's.
    """
    made = Certificates(None, certfile, keyfile, serves=True)
    _made["server", certfile, keyfile] = made
    return made.context


async def keep_current() -> None:
    """Load files again for ever, as they change: a certificate is replaced before it expires."""
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
