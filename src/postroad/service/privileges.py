"""Becoming somebody who may do less, once ports are bound and keys are read."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

from postroad.errors import SettingsError


def hand_over(path: Path, user: str) -> None:
    """Give the state folder and what is in it to ``user``; symbolic links are left alone. Raises SettingsError."""
    account = _account(user)
    try:
        if path.stat().st_uid == account.pw_uid:
            return
        for folder, folders, files in os.walk(path, followlinks=False):
            for name in ("", *folders, *files):
                os.chown(Path(folder, name), account.pw_uid, account.pw_gid, follow_symlinks=False)
    except OSError as fault:
        raise SettingsError(
            f"state {path} cannot be given to {user}: {fault}", "chown it, or choose another"
        ) from fault


def drop(user: str) -> None:
    """Become ``user`` for good: groups, group, user, in this order, and make sure that there is no way back.

    Raises SettingsError when that fails; the caller must then end.
    """
    account = _account(user)
    if os.geteuid() == account.pw_uid and account.pw_uid != 0:
        return
    try:
        os.setgroups(_groups(account))
        os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
        os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
    except OSError as fault:
        raise SettingsError(f"cannot become {user}: {fault}", "start as root, or remove user =") from fault
    if account.pw_uid != 0 and _can_return():
        raise SettingsError(f"became {user}, but could become root again: refusing to run")


def _account(user: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(user)
    except KeyError as fault:
        raise SettingsError(f"there is no system account {user!r}", "adduser --system, or remove user =") from fault


def _groups(account: pwd.struct_passwd) -> list[int]:
    """The account's own groups, for a certificate that a group may read."""
    return [account.pw_gid, *(g.gr_gid for g in grp.getgrall() if account.pw_name in g.gr_mem)]


def _can_return() -> bool:
    try:
        os.setresuid(0, 0, 0)
    except PermissionError:
        return False
    return True
