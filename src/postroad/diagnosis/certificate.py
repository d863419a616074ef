"""A certificate as a postmaster asks about it: whose it is, for how long, by whose word. Read from its octets alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Final

from postroad.diagnosis.findings import Finding, Level, found

#: Days before its end from which a certificate is told as ending soon; ACME clients renew at 30.
SOON: Final = 14
#: X509_V_ERR_*: what OpenSSL says of a certificate that signed itself.
_SELF_SIGNED: Final = 18
_MAX_NAMES: Final = 100


@dataclass(frozen=True, slots=True)
class Certificate:
    """What matters of one."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    """DNS names and IP addresses that it is for, in lower case."""
    begins: datetime
    ends: datetime
    key: str
    """``RSA 2048``, ``EC secp256r1`` …"""

    def days_left(self, now: datetime) -> int:
        """Whole days until it ends; negative when it has ended."""
        return (self.ends - now).days

    def is_for(self, name: str) -> bool:
        """Whether it carries the name (RFC 9525: a wildcard is the whole first label)."""
        name = name.lower().rstrip(".").strip("[]")
        rest = name.partition(".")[2]
        return name in self.names or (bool(rest) and "." in rest and f"*.{rest}" in self.names)


def read_certificate(octets: bytes) -> Certificate | None:
    """The certificate in DER; None when it cannot be read."""
    from cryptography import x509

    try:
        read = x509.load_der_x509_certificate(octets)
        return Certificate(
            subject=read.subject.rfc4514_string()[:200],
            issuer=read.issuer.rfc4514_string()[:200],
            names=_names(read),
            begins=read.not_valid_before_utc,
            ends=read.not_valid_after_utc,
            key=_key(read),
        )
    except Exception:  # whatever the codec stumbles over in a stranger's octets: ValueError, InvalidVersion …
        return None


def findings(
    octets: bytes, host: str, *, code: int | None, message: str, strict: bool, now: datetime | None = None
) -> Iterator[Finding]:
    """What is to be said of it. ``host``: the name it must carry, ``""`` when nobody knows one.

    ``code`` and ``message``: why OpenSSL did not accept its chain (None: it did). ``strict``: people log in there.
    """
    read = read_certificate(octets)
    now = now or datetime.now(UTC)
    if read is None:
        yield found("cert.unreadable", f"{len(octets)} octets")
        return
    told = list(_faults(read, host, code, message, strict, now))
    yield from told
    if not told:
        seen = f"{', '.join(read.names[:4])}; {read.issuer}; {read.key}"
        yield found("cert.ok", seen, days=read.days_left(now), ends=f"{read.ends:%Y-%m-%d}", name=host or read.subject)


def _faults(
    read: Certificate, host: str, code: int | None, message: str, strict: bool, now: datetime
) -> Iterator[Finding]:
    days = read.days_left(now)
    dates = f"{read.begins:%Y-%m-%d} – {read.ends:%Y-%m-%d}"
    graver = Level.ERROR if strict else None
    if now >= read.ends:
        yield found("cert.expired", dates, days=-days - 1, ends=f"{read.ends:%Y-%m-%d}")
    elif now < read.begins:
        yield found("cert.not-yet", dates, begins=f"{read.begins:%Y-%m-%d}")
    elif days < SOON:
        yield found("cert.soon", dates, days=days, ends=f"{read.ends:%Y-%m-%d}")
    if code == _SELF_SIGNED or (code is not None and read.subject == read.issuer):
        yield found("cert.self-signed", read.subject, level=graver)
    elif code is not None and read.begins <= now < read.ends:
        yield found("cert.unknown-issuer", f"{read.issuer}: {message}", level=graver, issuer=read.issuer)
    if host and not read.is_for(host):
        named = ", ".join(read.names[:8]) or read.subject
        yield found("cert.name", named, level=graver, host=host, names=named)


def _names(read: object) -> tuple[str, ...]:
    from cryptography import x509

    assert isinstance(read, x509.Certificate)  # noqa: S101 — for the type alone
    try:
        names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    dns = [name.lower() for name in names.get_values_for_type(x509.DNSName)]
    addresses = [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    return tuple((*dns, *addresses)[:_MAX_NAMES])


def _key(read: object) -> str:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    assert isinstance(read, x509.Certificate)  # noqa: S101 — for the type alone
    try:
        key = read.public_key()
    except (UnsupportedAlgorithm, ValueError):
        return "?"
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {key.curve.name}"
    return type(key).__name__.removesuffix("PublicKey").lstrip("_")


def is_address(text: str) -> bool:
    """Whether it is an IP address, which few certificates carry."""
    try:
        ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True
