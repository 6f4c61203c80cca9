"""The certificate of HTTPS, read again when its files change."""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from shroff.errors import ConfigurationError

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Certificate:
    """A certificate chain and its private key, PEM files (one file may hold both).

    Raises:
        ConfigurationError: they cannot be read, or do not belong together.
    """

    chain: Path
    key: Path | None = None

    def __post_init__(self) -> None:
        self.context()

    def context(self) -> ssl.SSLContext:
        """TLS with what the files hold now.

        Raises:
            ConfigurationError: they cannot be read, or do not belong together.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.chain, self.key, password=lambda: "")
        except (OSError, ssl.SSLError, ValueError) as error:
            raise ConfigurationError(
                f"expected a certificate chain and its key without a password in PEM files, "
                f"got {self.chain} and {self.key or 'no key file'} ({type(error).__name__})."
            ) from None
        return context


class _Version(NamedTuple):
    """What tells a file from the one that takes its place."""

    inode: int
    modified: int
    size: int


class RenewedCertificate:
    """A certificate that new connections get as its files are; open ones keep theirs.

    Files that cannot be used, such as a chain whose key has not been replaced yet, change nothing.
    """

    def __init__(self, certificate: Certificate) -> None:
        self._certificate = certificate
        self._versions = self._look()
        self._context = certificate.context()

    def attach(self, context: ssl.SSLContext) -> None:
        """Let every handshake of a server's context use the certificate."""

        def choose(tls: ssl.SSLObject | ssl.SSLSocket, name: object, server: object) -> None:
            tls.context = self._context

        context.sni_callback = choose

    async def follow(self) -> None:
        """Read the files again if they have changed since the last look."""
        versions = self._look()
        if versions == self._versions:
            return
        self._versions = versions
        try:
            self._context = self._certificate.context()
        except ConfigurationError as error:
            _log.warning(
                "%s The certificate before stays in use.",
                error,
                extra={"event": "certificate_refused"},
            )
        else:
            _log.warning(
                "new connections get the certificate that was renewed in %s.",
                self._certificate.chain,
                extra={"event": "certificate_renewed"},
            )

    def _look(self) -> list[_Version | None]:
        files = (self._certificate.chain, self._certificate.key)
        return [_version(file) for file in files if file is not None]


def _version(file: Path) -> _Version | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return _Version(found.st_ino, found.st_mtime_ns, found.st_size)
