"""Our own server diagnoses clean: as MX, and where people log in with STARTTLS and with TLS from the first octet."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import trustme

from postroad.diagnosis.diagnosing import Diagnosis, diagnose
from postroad.diagnosis.findings import Level
from postroad.diagnosis.watching import Waits
from tests.server_process import ServerProcess

NAME = "mx.example.test"

CONFIG = """
hostname = "{name}"
[tls]
cert = "{cert}"
key = "{key}"
[mx]
listen = ["127.0.0.1:0"]
[submission]
listen = ["127.0.0.1:0"]
[submissions]
listen = ["127.0.0.1:0"]
[[domain]]
name = "example.test"
recipients = ["kana"]
deliver = "maildir:{mail}/{{user}}"
"""


@pytest.mark.parametrize(
    ("listener", "role", "ports_rcpt"),
    [("mx", "mx", True), ("submission", "submission", False), ("submissions", "submission", False)],
)
def test_our_own_server(tmp_path: Path, listener: str, role: str, ports_rcpt: bool) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert(NAME)
    cert, key, ca = tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "ca.pem"
    issued.private_key_pem.write_to_path(key)
    key.chmod(0o600)
    cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    authority.cert_pem.write_to_path(ca)
    config = CONFIG.format(name=NAME, cert=cert, key=key, mail=tmp_path / "mail")
    with ServerProcess(tmp_path, config) as server:
        host, port = server.address(listener)
        found: Diagnosis = asyncio.run(
            diagnose(
                f"{host}:{port}",
                role=role,  # type: ignore[arg-type]
                implicit_tls=listener == "submissions",
                hello="me.example.com",
                rcpt="kana@example.test",
                probe_relay=True,
                tls_ca=ca,
                waits=Waits.of(20),
            )
        )
    assert [(one.id, one.seen) for one in found.all_findings if one.level >= Level.WARN] == []
    told = {one.id for one in found.all_findings}
    assert {"greeting.ok", "name.ok", "ehlo.ok", "tls.ok", "cert.ok"} <= told
    assert ({"rcpt.ok", "relay.ok"} if ports_rcpt else {"auth.ok", "mail.login"}) <= told
