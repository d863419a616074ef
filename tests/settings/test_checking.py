"""What only the machine can tell: certificate files and their rights, accounts, the state folder, the host's name."""

from __future__ import annotations

import getpass
import os
import socket
import stat
import time
from pathlib import Path

import pytest
import trustme

from postroad.errors import SettingsError
from postroad.settings import SettingsErrors, create_state, default_hostname, load_text, verify
from postroad.settings.model import Settings


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    leaf = trustme.CA().issue_cert("mail.example.com")
    leaf.private_key_pem.write_to_path(folder / "key.pem")
    leaf.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    (folder / "key.pem").chmod(0o600)
    return folder / "cert.pem", folder / "key.pem"


def with_tls(cert: Path, key: Path, state: Path) -> Settings:
    text = f'hostname = "h.example"\nstate = "{state}"\n[mx]\n[tls]\ncert = "{cert}"\nkey = "{key}"\n'
    return load_text(text, "postroad.toml")


def faults(settings: Settings) -> list[str]:
    with pytest.raises(SettingsErrors) as caught:
        verify(settings)
    return [error.message for error in caught.value.errors]


def test_a_good_pair(pair: tuple[Path, Path], tmp_path: Path) -> None:
    verify(with_tls(*pair, tmp_path / "state"))
    assert not (tmp_path / "state").exists(), "a check changes nothing"


def test_missing_files(tmp_path: Path) -> None:
    assert faults(with_tls(tmp_path / "c", tmp_path / "k", tmp_path)) == [
        f"postroad.toml:5: tls.cert: {tmp_path}/c: No such file or directory",
        f"postroad.toml:6: tls.key: {tmp_path}/k: No such file or directory",
    ]


def test_a_key_for_everybody(pair: tuple[Path, Path], tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_bytes(pair[1].read_bytes())
    key.chmod(0o644)
    with pytest.raises(SettingsErrors) as caught:
        verify(with_tls(pair[0], key, tmp_path))
    assert caught.value.message == "postroad.toml:6: tls.key: file is readable by everyone (mode 0644)"
    assert caught.value.hint == f"chmod 600 {key}"
    key.chmod(0o640)
    verify(with_tls(pair[0], key, tmp_path))


def test_a_key_of_another_certificate(pair: tuple[Path, Path], tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().issue_cert("other.example").private_key_pem.write_to_path(other)
    other.chmod(0o600)
    assert faults(with_tls(pair[0], other, tmp_path)) == [
        "postroad.toml:6: tls.key: the key does not belong to the certificate"
    ]


def test_files_that_are_no_pem(pair: tuple[Path, Path], tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.pem"
    nothing.write_text("nothing")
    nothing.chmod(0o600)
    (fault,) = faults(with_tls(nothing, pair[1], tmp_path))
    assert fault.startswith("postroad.toml:5: tls.cert: no usable PEM")


def test_a_key_with_a_passphrase(pair: tuple[Path, Path], tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(pair[1].read_bytes(), None)
    locked = tmp_path / "locked.pem"
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    locked.write_bytes(key.private_bytes(pem, pkcs8, serialization.BestAvailableEncryption(b"x")))
    locked.chmod(0o600)
    (fault,) = faults(with_tls(pair[0], locked, tmp_path))
    assert "passphrase" in fault


def test_a_user_that_does_not_exist(tmp_path: Path) -> None:
    text = f'hostname = "h.example"\nuser = "no-such-user"\nstate = "{tmp_path}"\n[mx]\n'
    assert faults(load_text(text, "p.toml")) == ["p.toml:2: user: there is no system account 'no-such-user'"]
    verify(load_text(text.replace("no-such-user", getpass.getuser()), "p.toml"))


def test_a_state_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for state in (tmp_path / "file", tmp_path / "file" / "below"):
        text = f'hostname = "h.example"\nstate = "{state}"\n[mx]\n'
        assert faults(load_text(text, "p.toml")) == [f"p.toml:2: state: {tmp_path}/file is not a folder"]
        with pytest.raises(SettingsError, match="state"):
            create_state(state)


def test_a_state_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    text = f'hostname = "h.example"\nstate = "{tmp_path}/s"\n[mx]\n'
    assert "is not writable" in faults(load_text(text, "p.toml"))[0]


def test_the_state_is_for_its_owner(tmp_path: Path) -> None:
    create_state(tmp_path / "a" / "b")
    create_state(tmp_path / "a" / "b")
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("own", "resolved", "expected"),
    [
        ("Mail.Example.com", None, ("mail.example.com", "")),
        ("mail", "mail.example.com", ("mail.example.com", "")),
        ("mail", "mail", None),
        ("mail", "localhost.localdomain", None),
        ("localhost", "localhost", None),
        ("localhost.example", "localhost.example", None),
        ("192.0.2.1", "192.0.2.1", None),
        ("bad name", "bad_name.example.com", None),
    ],
)
def test_the_name_of_this_host(
    monkeypatch: pytest.MonkeyPatch, own: str, resolved: str | None, expected: tuple[str, str] | None
) -> None:
    def getfqdn(name: str) -> str:
        assert resolved is not None, "a qualified name needs no resolver"
        return resolved

    monkeypatch.setattr(socket, "gethostname", lambda: own)
    monkeypatch.setattr(socket, "getfqdn", getfqdn)
    name, doubt = default_hostname()
    if expected is not None:
        assert (name, doubt) == expected
    else:
        assert name == "localhost" or name.startswith("[")
        assert doubt == "this machine has no fully qualified name"


def test_a_silent_resolver_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "mail")
    monkeypatch.setattr(socket, "getfqdn", lambda name: time.sleep(3))
    _, doubt = default_hostname(0.05)
    assert doubt == "the resolver did not answer within 0.05 s"


def test_a_doubtful_name_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "mail")
    monkeypatch.setattr(socket, "getfqdn", lambda name: name)
    found = load_text("[mx]\n[[domain]]\nname='a.example'\ndeliver='hold'\n", "p.toml")
    assert found.warnings[0].startswith("p.toml: hostname is not set and this machine has no fully qualified name")
