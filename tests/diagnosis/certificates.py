"""Certificates of every kind that the probe tells apart, made once for a run, by name."""

from __future__ import annotations

import functools
import ssl
import tempfile
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST: Final = "mx.example.test"


@functools.cache
def authority() -> trustme.CA:
    """The one that the tests trust."""
    return trustme.CA()


@functools.cache
def trusted() -> Path:
    """Its certificate in a file."""
    path = Path(tempfile.mkdtemp(prefix="postroad-ca-", dir="/var/tmp")) / "ca.pem"
    authority().cert_pem.write_to_path(path)
    return path


@functools.cache
def context(kind: str) -> ssl.SSLContext:
    """A server's."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    now = datetime.now(UTC)
    match kind:
        case "good":
            authority().issue_cert(HOST).configure_cert(made)
        case "old":
            authority().issue_cert(HOST).configure_cert(made)
            made.set_ciphers("ALL:@SECLEVEL=0")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # that is the point of it
                made.minimum_version = ssl.TLSVersion.TLSv1
                made.maximum_version = ssl.TLSVersion.TLSv1_1
        case "expired":
            authority().issue_cert(HOST, not_after=now - timedelta(days=3)).configure_cert(made)
        case "future":
            _self_made(made, now + timedelta(days=3), now + timedelta(days=90), by_authority=True)
        case "soon":
            authority().issue_cert(HOST, not_after=now + timedelta(days=5, hours=1)).configure_cert(made)
        case "other":
            authority().issue_cert("other.example.test").configure_cert(made)
        case "unknown":
            trustme.CA().issue_cert(HOST).configure_cert(made)
        case "incomplete":
            issued = authority().create_child_ca().issue_cert(HOST)
            with issued.private_key_pem.tempfile() as key, issued.cert_chain_pems[0].tempfile() as cert:
                made.load_cert_chain(cert, key)
        case "self-signed":
            _self_made(made, now - timedelta(days=1), now + timedelta(days=90))
    return made


def _self_made(context: ssl.SSLContext, begin: datetime, end: datetime, *, by_authority: bool = False) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    signer: ec.EllipticCurvePrivateKey = key
    issuer = name
    if by_authority:
        ca = x509.load_pem_x509_certificate(authority().cert_pem.bytes())
        loaded = serialization.load_pem_private_key(authority().private_key_pem.bytes(), None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        signer, issuer = loaded, ca.subject
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(signer, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with trustme.Blob(private).tempfile() as key_file:
        with trustme.Blob(certificate.public_bytes(serialization.Encoding.PEM)).tempfile() as cert_file:
            context.load_cert_chain(cert_file, key_file)
