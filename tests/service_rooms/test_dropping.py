"""Becoming somebody else, in a child that may do it: for good, with the account's groups, and loudly when it fails."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from postroad.errors import SettingsError
from postroad.service.privileges import drop, hand_over

ACCOUNT = "nobody"
ABSENT = "no-such-account-here"


def child(code: str) -> str:
    """What a child prints that begins as root."""
    before = "import os, pwd, grp\nfrom postroad.service import privileges\nfrom postroad.errors import SettingsError\n"
    done = subprocess.run(
        [sys.executable, "-c", before + code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stderr == ""
    return done.stdout.strip()


@pytest.mark.privileged("root")
def test_all_three_ids_and_no_way_back() -> None:
    account = pwd.getpwnam(ACCOUNT)
    said = child(f"""
privileges.drop({ACCOUNT!r})
print(os.getresuid(), os.getresgid(), os.getgroups())
for back in (lambda: os.setuid(0), lambda: os.setgid(0), lambda: os.setgroups([0])):
    try:
        back()
        print("became root again")
    except PermissionError:
        pass
privileges.drop({ACCOUNT!r})  # who it is already stays it
""")
    assert said == f"{(account.pw_uid,) * 3} {(account.pw_gid,) * 3} [{account.pw_gid}]"


@pytest.mark.privileged("root")
def test_groups_of_the_account_come_along() -> None:
    """A key that the group ssl-cert may read."""
    said = child(f"""
class Group:
    gr_gid, gr_mem = 4242, [{ACCOUNT!r}]
privileges.grp.getgrall = lambda: [Group]
privileges.drop({ACCOUNT!r})
print(sorted(os.getgroups()))
""")
    assert said == str(sorted({pwd.getpwnam(ACCOUNT).pw_gid, 4242}))


@pytest.mark.privileged("root")
def test_who_could_return_does_not_run() -> None:
    said = child(f"""
privileges.os.setresuid = lambda *ids: None  # as on a system where it did not do what it says
try:
    privileges.drop({ACCOUNT!r})
except SettingsError as fault:
    print(fault.message)
""")
    assert said == f"became {ACCOUNT}, but could become root again: refusing to run"


@pytest.mark.privileged("root")
def test_who_is_not_root_cannot_become_another() -> None:
    said = child(f"""
privileges.drop({ACCOUNT!r})
try:
    privileges.drop("daemon")
except SettingsError as fault:
    print(fault.message.startswith("cannot become daemon: "), fault.hint)
""")
    assert said == "True start as root, or remove user ="


def test_an_account_that_does_not_exist(tmp_path: Path) -> None:
    for act in (lambda: drop(ABSENT), lambda: hand_over(tmp_path, ABSENT)):
        with pytest.raises(SettingsError, match=f"there is no system account '{ABSENT}'") as fault:
            act()
        assert "adduser" in fault.value.hint


@pytest.mark.privileged("root")
def test_the_state_is_handed_over_and_links_are_left_alone(tmp_path: Path) -> None:
    state, outside = tmp_path / "state", tmp_path / "outside"
    (state / "spool" / "shard-0").mkdir(parents=True)
    (state / "spool" / "shard-0" / "spool.sqlite").write_bytes(b"x")
    outside.mkdir()
    (outside / "secret").write_bytes(b"x")
    (state / "link").symlink_to(outside)
    (state / "file-link").symlink_to(outside / "secret")
    hand_over(state, ACCOUNT)
    uid, gid = pwd.getpwnam(ACCOUNT)[2:4]
    for path in (state, *state.rglob("*")):
        assert path.lstat().st_uid == uid, path
        assert path.lstat().st_gid == gid, path
    assert (outside.stat().st_uid, (outside / "secret").stat().st_uid) == (0, 0)


@pytest.mark.privileged("root")
def test_a_state_that_is_theirs_already_is_not_walked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account = pwd.getpwnam(ACCOUNT)
    os.chown(tmp_path, account.pw_uid, account.pw_gid)
    monkeypatch.setattr(os, "walk", None)
    hand_over(tmp_path, ACCOUNT)


def test_a_state_that_cannot_be_given_away(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be given to root") as fault:
        hand_over(tmp_path / "missing", "root")
    assert fault.value.hint
