"""Postfix, Exim, OpenSMTPD and Dovecot as they come diagnose clean: no warning that they have not earned."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import trustme

from postroad.diagnosis.diagnosing import Diagnosis, diagnose
from postroad.diagnosis.findings import Level
from postroad.diagnosis.watching import Waits
from tests import peers
from tools.mail_servers import Dovecot, Exim, MailServer, OpenSmtpd, Postfix

pytestmark = pytest.mark.privileged("overlay")


def look(server: MailServer, **wishes: object) -> Diagnosis:
    return asyncio.run(
        diagnose(f"127.0.0.1:{server.port}", hello="me.example.com", waits=Waits.of(20), **wishes)  # type: ignore[arg-type]
    )


def grave(diagnosis: Diagnosis) -> list[str]:
    return [f"{one.id}: {one.seen}" for one in diagnosis.all_findings if one.level >= Level.WARN]


def ids(diagnosis: Diagnosis) -> set[str]:
    return {one.id for one in diagnosis.all_findings}


def certificate(folder: Path, name: str) -> tuple[tuple[Path, Path], Path]:
    """Certificate and key for a name, and the authority that vouches for it."""
    authority = trustme.CA()
    issued = authority.issue_cert(name)
    cert, key, ca = folder / "cert.pem", folder / "key.pem", folder / "ca.pem"
    issued.private_key_pem.write_to_path(key)
    cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    authority.cert_pem.write_to_path(ca)
    return (cert, key), ca


CLEAN = {"greeting.ok", "name.ok", "ehlo.ok", "tls.ok", "cert.ok", "rcpt.ok", "relay.ok"}


def test_postfix_with_a_certificate(tmp_path: Path) -> None:
    files, ca = certificate(tmp_path, "mx.postfix.example")
    with peers.mail_server(Postfix)(certificate=files) as server:  # type: ignore[call-arg]
        found = look(server, tls_ca=ca, rcpt=f"kana@{Postfix.domain}", probe_relay=True)
    assert grave(found) == []
    assert ids(found) >= CLEAN


def test_opensmtpd() -> None:
    with peers.mail_server(OpenSmtpd)() as server:
        found = look(server, rcpt=f"kana@{OpenSmtpd.domain}", probe_relay=True)
    assert {one.partition(":")[0] for one in grave(found)} == {"starttls.missing"}
    assert ids(found) >= CLEAN - {"tls.ok", "cert.ok"}


def test_postfix_without_tls() -> None:
    with peers.mail_server(Postfix)() as server:
        found = look(server, rcpt=f"nobody@{Postfix.domain}")
    assert {one.partition(":")[0] for one in grave(found)} == {"starttls.missing", "rcpt.refused"}
    assert server.mail == []


def test_exim_with_a_certificate(tmp_path: Path) -> None:
    files, ca = certificate(tmp_path, "mx.exim.example")
    with peers.mail_server(Exim)(certificate=files) as server:  # type: ignore[call-arg]
        found = look(server, tls_ca=ca, rcpt=f"kana@{Exim.domain}", probe_relay=True)
    assert grave(found) == []
    assert ids(found) >= CLEAN


def test_exim_without_tls() -> None:
    with peers.mail_server(Exim)() as server:
        found = look(server, rcpt=f"kana@{Exim.domain}", probe_relay=True)
    assert {one.partition(":")[0] for one in grave(found)} == {"starttls.missing"}
    assert {"greeting.ok", "name.ok", "ehlo.ok", "rcpt.ok", "relay.ok"} <= ids(found)


def test_dovecot_speaks_lmtp() -> None:
    with peers.mail_server(Dovecot)() as server:
        found = look(server, role="lmtp", rcpt="kana@example.com")
        mistaken = look(server)
    assert grave(found) == []
    assert {"greeting.ok", "ehlo.ok", "rcpt.ok"} <= ids(found)
    assert [one.partition(":")[0] for one in grave(mistaken)] == ["ehlo.not-smtp"]
