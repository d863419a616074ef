"""`user =`: started as root, the server reads the key, becomes the account for good, and only then takes mail."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import ssl
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

import postroad
from tests.server_process import ServerProcess, until
from tests.service.conftest import Serve

pytestmark = pytest.mark.privileged("root")

EXIT_CONFIG = 78
ACCOUNT = "nobody"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every account may enter, as pytest's own are not."""
    for parent in Path(postroad.__file__).resolve().parents:
        if not parent.stat().st_mode & stat.S_IXOTH:
            pytest.skip(f"privileged: {parent} open to other accounts")
    made = Path(tempfile.mkdtemp(prefix="postroad-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def authority(folder: Path) -> trustme.CA:
    """A certificate and a key that only root can read."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    (folder / "key.pem").touch(0o600)
    issued.private_key_pem.write_to_path(folder / "key.pem")
    return authority


def config(folder: Path, user: str = ACCOUNT, domain: str = "example.com") -> str:
    return f"""
        hostname = "mail.example.com"
        user = "{user}"
        [mx]
        listen = ["127.0.0.1:0"]
        [tls]
        cert = "{folder}/cert.pem"
        key = "{folder}/key.pem"
        [[domain]]
        name = "{domain}"
        deliver = "maildir:{folder}/mail/{{user}}"
        """


def status_of(server: ServerProcess, field: str) -> list[str]:
    """A line of the kernel's word about the process."""
    assert server.process is not None
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    (found,) = re.findall(rf"(?m)^{field}:\s*(.*)$", status)
    return str(found).split()


def test_root_is_given_up_before_mail_is_taken(folder: Path, authority: trustme.CA, serve: Serve) -> None:
    account = pwd.getpwnam(ACCOUNT)
    (folder / "mail").mkdir()
    os.chown(folder / "mail", account.pw_uid, account.pw_gid)
    server = serve(config(folder), folder)
    assert status_of(server, "Uid") == [str(account.pw_uid)] * 4
    assert status_of(server, "Gid") == [str(account.pw_gid)] * 4
    assert "0" not in status_of(server, "Groups")
    assert int(status_of(server, "CapEff")[0], 16) == int(status_of(server, "CapPrm")[0], 16) == 0
    owners = {path.stat().st_uid for path in (server.state, *server.state.rglob("*"))}
    assert owners == {account.pw_uid}
    assert stat.S_IMODE(server.state.stat().st_mode) == 0o700
    assert stat.S_IMODE((server.state / "control.sock").stat().st_mode) == 0o600
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with server.wire("mx") as wire:
        wire.start_tls(context)
        assert wire.deliver("bob@example.com")[0] == 250, "the key was read before"
    new = folder / "mail" / "bob" / "new"
    until(lambda: new.is_dir() and list(new.iterdir()), "delivery works as that account")
    assert {path.stat().st_uid for path in new.iterdir()} == {account.pw_uid}
    assert server.stop() == 0
    server.start()
    assert status_of(server, "Uid") == [str(account.pw_uid)] * 4


def test_settings_are_reloaded_though_the_key_cannot_be_read_any_more(
    folder: Path, authority: trustme.CA, serve: Serve
) -> None:
    server = serve(config(folder), folder)
    server.configure(config(folder, domain="example.net"))
    server.signal(signal.SIGHUP)
    until(lambda: server.log("settings reloaded"), "they are used")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with server.wire("mx") as wire:
        wire.start_tls(context)
        assert wire.deliver("bob@example.com")[0] == 550
        assert wire.deliver("bob@example.net")[0] == 250


@pytest.mark.parametrize(
    ("before", "user", "said"),
    [
        ([], "nobody-has-this-name", "there is no system account 'nobody-has-this-name'"),
        (
            ["setpriv", "--reuid", ACCOUNT, "--regid", "nogroup", "--clear-groups"],
            "daemon",
            "only root can become 'daemon'",
        ),
    ],
    ids=["no-account", "not-root"],
)
def test_who_cannot_be_become_ends_the_start(
    before: list[str], user: str, said: str, folder: Path, authority: trustme.CA
) -> None:
    (folder / "key.pem").chmod(0o640)
    server = ServerProcess(folder, config(folder, user), before=before)
    assert server.spawn().wait(60) == EXIT_CONFIG
    assert said in server.errors.read_text()
