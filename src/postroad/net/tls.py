"""TLS contexts of both roles: 1.2 at least, no compression, no renegotiation; certificates exchanged while running.

RFC 8996 (no TLS below 1.2), RFC 3207 (STARTTLS), RFC 7301 with the ALPN name ``smtp`` for implicit TLS.
"""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, cast

from postroad.errors import SettingsError

Minimum = Literal["1.2", "1.3"]

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
#: Keeps a protocol of another kind (HTTP) from being talked into this port (RFC 7301; ALPACA).
_ALPN: Final = ["smtp"]


def server_context(cert: Path, key: Path, minimum: Minimum = "1.2", *, implicit: bool = False) -> ssl.SSLContext:
    """The context of a listener; ``implicit`` for TLS from the first octet. Raises SettingsError naming the file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[minimum]
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    if implicit:
        context.set_alpn_protocols(_ALPN)
    _load(context, cert, key)
    return context


def client_context(*, verify: bool = True, implicit: bool = False, cafile: Path | None = None) -> ssl.SSLContext:
    """The context of a client. Without ``verify`` any certificate will do: better than clear text, and said so."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=None if cafile is None else str(cafile))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    if implicit:
        context.set_alpn_protocols(_ALPN)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class Certificate:
    """The server's certificate for all listeners; new handshakes see a new one, running sessions keep theirs."""

    def __init__(self, cert: Path, key: Path, minimum: Minimum = "1.2") -> None:
        self._cert = cert
        self._key = key
        self.starttls = server_context(cert, key, minimum)
        """For STARTTLS listeners."""
        self.implicit = server_context(cert, key, minimum, implicit=True)
        """For listeners with TLS from the first octet."""
        self._seen = self._stamp()

    @property
    def has_changed(self) -> bool:
        """Whether a file is another one than at the last load (cheap: two calls of stat)."""
        return self._stamp() != self._seen

    def reload(self) -> None:
        """Read the files again, after a trial elsewhere; raises SettingsError, and the old certificate stays."""
        stamp = self._stamp()
        server_context(self._cert, self._key)
        for context in (self.starttls, self.implicit):
            _load(context, self._cert, self._key)
        self._seen = stamp

    def _stamp(self) -> tuple[tuple[int, int, int], ...]:
        return tuple(_identity(path) for path in (self._cert, self._key))


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """What a handshake as a client came to."""

    version: str
    """``TLSv1.3``."""
    cipher: str
    bits: int
    """Of the cipher's key."""
    verified: bool
    """Whether name and chain of the certificate were checked; else anybody may have made it."""
    certificate: bytes = field(repr=False)
    """The host's, DER; empty when it gave none."""
    subject: str = ""
    """``commonName=…``; like the next three known of a verified certificate only."""
    issuer: str = ""
    names: tuple[str, ...] = ()
    not_after: str = ""
    """``Jun  1 12:00:00 2027 GMT``."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, hexadecimal."""
        return hashlib.sha256(self.certificate).hexdigest() if self.certificate else ""

    def __str__(self) -> str:
        how = "verified" if self.verified else "not verified"
        return f"{self.version} {self.cipher}".rstrip() + f", certificate {how}"


def facts_of(connection: ssl.SSLObject | ssl.SSLSocket, context: ssl.SSLContext) -> TlsFacts:
    """What the handshake of ``connection``, made with ``context``, came to."""
    cipher = connection.cipher()
    decoded = connection.getpeercert() or {}
    names = cast("tuple[tuple[str, str], ...]", decoded.get("subjectAltName", ()))
    return TlsFacts(
        version=connection.version() or "TLS",
        cipher=cipher[0] if cipher is not None else "",
        bits=cipher[2] if cipher is not None else 0,
        verified=context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname,
        certificate=connection.getpeercert(binary_form=True) or b"",
        subject=_name_of(decoded.get("subject", ())),
        issuer=_name_of(decoded.get("issuer", ())),
        names=tuple(name for _, name in names),
        not_after=str(decoded.get("notAfter", "")),
    )


def _name_of(name: object) -> str:
    parts = cast("tuple[tuple[tuple[str, str], ...], ...]", name)
    return ", ".join(f"{keyword}={value}" for part in parts for keyword, value in part)


def describe(connection: ssl.SSLObject | ssl.SSLSocket | None) -> str:
    """``TLSv1.3 TLS_AES_256_GCM_SHA384``, or ``""`` in clear."""
    if connection is None:
        return ""
    cipher = connection.cipher()
    return f"{connection.version() or 'TLS'} {cipher[0] if cipher is not None else ''}".rstrip()


def _identity(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_ino, found.st_mtime_ns, found.st_size)


def _load(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    for path, what in ((cert, "certificate"), (key, "key")):
        try:
            with path.open("rb"):
                pass
        except OSError as fault:
            hint = f"make it readable for the account that starts the server: {fault.strerror}"
            raise SettingsError(f"the TLS {what} {path} cannot be read", hint) from fault
    try:
        # A password prompt would stop a server that nobody watches.
        context.load_cert_chain(cert, key, password=_no_password)
    except (ssl.SSLError, ValueError) as fault:
        raise SettingsError(f"no usable TLS certificate and key in {cert} and {key}", _reason(fault)) from fault


def _no_password() -> str:
    raise ValueError("the key is encrypted with a password")


def _reason(fault: Exception) -> str:
    if isinstance(fault, ssl.SSLError):
        if fault.reason == "KEY_VALUES_MISMATCH":
            return "the key does not belong to the certificate"
        return "both must be PEM, the certificate with its chain"
    return f"{fault}; store it without one"
