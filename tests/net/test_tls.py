"""TLS contexts: nothing below 1.2, faults that name the file, certificates exchanged while running."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest
import trustme

from postroad.errors import SettingsError
from postroad.net.tls import Certificate, client_context, describe, server_context


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def write(authority: trustme.CA, folder: Path, name: str = "host.example") -> tuple[Path, Path]:
    made = authority.issue_cert(name)
    cert, key = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(b"".join(pem.bytes() for pem in made.cert_chain_pems))
    key.write_bytes(made.private_key_pem.bytes())
    return cert, key


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str = "host.example") -> ssl.SSLObject:
    """In memory; gives the client's end."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    left = list(ends)
    for _ in range(20):
        for end in list(left):
            try:
                end.do_handshake()
                left.remove(end)
            except ssl.SSLWantReadError:
                pass
    assert not left
    return ends[0]


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = client_context()
    authority.configure_trust(context)
    return context


def test_a_verified_handshake(authority: trustme.CA, tmp_path: Path) -> None:
    end = handshake(server_context(*write(authority, tmp_path)), trusting(authority))
    assert describe(end).startswith("TLSv1.3 TLS_")
    assert describe(None) == ""


def test_a_stranger_is_refused_unless_any_certificate_will_do(authority: trustme.CA, tmp_path: Path) -> None:
    server = server_context(*write(authority, tmp_path))
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, client_context())
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, trusting(authority), "other.example")
    handshake(server, client_context(verify=False), "other.example")


@pytest.mark.parametrize("minimum", ["1.2", "1.3"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_old_versions_are_refused(authority: trustme.CA, tmp_path: Path, minimum: str) -> None:
    server = server_context(*write(authority, tmp_path), minimum)  # type: ignore[arg-type]
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    old.maximum_version = ssl.TLSVersion.TLSv1_1 if minimum == "1.2" else ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        handshake(server, old)
    assert client_context().minimum_version is ssl.TLSVersion.TLSv1_2


def test_alpn_smtp_for_implicit_tls(authority: trustme.CA, tmp_path: Path) -> None:
    server = server_context(*write(authority, tmp_path), implicit=True)
    end = handshake(server, client_context(verify=False, implicit=True))
    assert end.selected_alpn_protocol() == "smtp"


def test_faults_name_the_file_and_the_remedy(authority: trustme.CA, tmp_path: Path) -> None:
    cert, key = write(authority, tmp_path)
    with pytest.raises(SettingsError, match=r"nothing\.pem"):
        server_context(tmp_path / "nothing.pem", key)
    with pytest.raises(SettingsError, match="key"):
        server_context(cert, tmp_path / "nothing.pem")
    with pytest.raises(SettingsError) as fault:
        server_context(cert, cert)
    assert "PEM" in fault.value.hint
    (tmp_path / "b").mkdir()
    other = write(authority, tmp_path / "b")[1]
    with pytest.raises(SettingsError) as fault:
        server_context(cert, other)
    assert fault.value.hint == "the key does not belong to the certificate"


def test_an_encrypted_key_is_an_error_and_no_prompt(authority: trustme.CA, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization as s

    cert, key = write(authority, tmp_path)
    loaded = s.load_pem_private_key(key.read_bytes(), None)
    key.write_bytes(
        loaded.private_bytes(s.Encoding.PEM, s.PrivateFormat.TraditionalOpenSSL, s.BestAvailableEncryption(b"x"))
    )
    with pytest.raises(SettingsError) as fault:
        server_context(cert, key)
    assert "password" in fault.value.hint


def serial(server: ssl.SSLContext) -> str:
    end = handshake(server, client_context(verify=False))
    found = end.getpeercert(binary_form=True)
    assert found is not None
    return found.hex()


def test_a_certificate_is_exchanged_while_running(authority: trustme.CA, tmp_path: Path) -> None:
    cert, key = write(authority, tmp_path)
    held = Certificate(cert, key)
    before = serial(held.starttls)
    assert not held.has_changed
    write(authority, tmp_path)
    os.utime(cert, (1, 1))
    assert held.has_changed
    assert serial(held.starttls) == before
    held.reload()
    assert not held.has_changed
    assert serial(held.starttls) == serial(held.implicit) != before


def test_a_bad_certificate_leaves_the_old_one(authority: trustme.CA, tmp_path: Path) -> None:
    cert, key = write(authority, tmp_path)
    held = Certificate(cert, key)
    before = serial(held.implicit)
    cert.write_bytes(b"rubbish")
    with pytest.raises(SettingsError):
        held.reload()
    assert held.has_changed
    assert serial(held.implicit) == serial(held.starttls) == before
    cert.unlink()
    assert held.has_changed
