"""One server for all real clients: an open port, a submission port and a TLS port, a certificate of our own, one account."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import argon2
import pytest
import trustme

from tests.server_process import ServerProcess

ACCOUNT = ("ann@client.example", "correct horse 9")


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """The CA's certificate, the server's certificate chain and its key, as files."""
    folder = tmp_path_factory.mktemp("tls")
    ca = trustme.CA()
    issued = ca.issue_cert("localhost", "127.0.0.1")
    ca.cert_pem.write_to_path(folder / "ca.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "server.pem")
    issued.private_key_pem.write_to_path(folder / "server.key")
    (folder / "server.key").chmod(0o600)
    return folder / "ca.pem", folder / "server.pem", folder / "server.key"


@pytest.fixture(scope="session")
def server(authority: tuple[Path, Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Mail for example.com is taken from everybody and kept; who wants to authenticate may do so everywhere."""
    _, certificate, key = authority
    hashed = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(ACCOUNT[1])
    config = f"""
        hostname = "mail.example.com"
        [tls]
        cert = "{certificate}"
        key = "{key}"
        [mx]
        listen = ["127.0.0.1:0"]
        auth = true
        [submission]
        listen = ["127.0.0.1:0"]
        [submissions]
        listen = ["127.0.0.1:0"]
        trusted_networks = ["127.0.0.1/32"]
        [[domain]]
        name = "example.com"
        deliver = "hold"
        [[account]]
        name = "{ACCOUNT[0]}"
        password_hash = "{hashed}"
        """
    with ServerProcess(tmp_path_factory.mktemp("server"), config) as running:
        yield running
    assert not [line for line in running.log() if line["level"] in ("warning", "error")]
