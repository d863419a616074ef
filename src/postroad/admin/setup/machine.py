"""The machine that we run on: room on the disk, the clock, who may read our secrets. All of it blocks for a moment."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from postroad.admin.setup.checks import Check, Facts, Level, check
from postroad.spool.space import default_min_free

_MOUNTS: Final = Path("/proc/self/mountinfo")
#: File systems that forget, and those on which a database that is locked and mapped is in danger.
_FLEETING: Final = frozenset(("tmpfs", "ramfs"))
_REMOTE: Final = frozenset(("nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p", "ceph"))
#: Where a program that keeps time says that it has.
_SYNCHRONIZED: Final = (Path("/run/systemd/timesync/synchronized"),)
#: Where one only says that it runs.
_KEEPERS: Final = (Path("/run/chrony/chronyd.pid"), Path("/run/chronyd.pid"), Path("/run/ntpd.pid"))
#: 2026-01-01: we are younger than that.
_FIRST: Final = 1_767_225_600.0
#: Seconds by which a file of ours may be newer than now.
_SLACK: Final = 120.0


def look_at_disk(facts: Facts) -> Check:
    """Whether mail can still be stored."""
    if facts.state is None:
        return check("disk", Level.SKIP, "disk.memory")
    try:
        found = os.statvfs(facts.state)
    except OSError as fault:
        return check("disk", Level.FAIL, "disk.fault", why=fault.strerror or "", state=facts.state)
    free, total = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    least = default_min_free(total) if facts.min_free is None else facts.min_free
    kind = file_system(facts.state)
    evidence = [
        ("state", str(facts.state)),
        ("disk-free", str(free)),
        ("disk-least", str(least)),
        ("disk-total", str(total)),
        ("file-system", kind or "?"),
    ]
    level, said = Level.OK, "disk.ok"
    if kind in _FLEETING and not facts.dev:
        level, said = Level.FAIL, "disk.fleeting"
    elif free <= least:
        level, said = Level.FAIL, "disk.full"
    elif free <= 2 * least:
        level, said = Level.WARN, "disk.short"
    elif kind in _REMOTE:
        level, said = Level.WARN, "disk.remote"
    return check("disk", level, said, evidence=evidence, free=free, least=least, kind=kind)


def file_system(folder: Path, mounts: Path = _MOUNTS) -> str:
    """The kind of file system that holds ``folder``; ``""`` when it cannot be told."""
    try:
        lines = mounts.read_text("utf-8", "replace").splitlines()
        device = folder.stat().st_dev
    except OSError:
        return ""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in lines:
        mount, _, rest = line.partition(" - ")
        if mount.split(" ")[2:3] == [wanted]:
            return rest.split(" ")[0]
    return ""


def look_at_clock(facts: Facts, now: float) -> Check:
    """Whether the time can be believed; only what this machine itself knows."""
    evidence = [("clock-now", str(now))]
    newest = max(_times(facts.state), default=0.0) if facts.state is not None else 0.0
    if now < _FIRST or newest > now + _SLACK:
        return check("clock", Level.FAIL, "clock.behind", evidence=evidence)
    if by := next((path for path in _SYNCHRONIZED if path.exists()), None):
        return check("clock", Level.OK, "clock.ok", evidence=[*evidence, ("clock-by", str(by))])
    if by := next((path for path in _KEEPERS if path.exists()), None):
        return check("clock", Level.NOTE, "clock.kept", evidence=[*evidence, ("clock-by", str(by))])
    return check("clock", Level.UNKNOWN, "clock.unknown", evidence=evidence)


def _times(state: Path) -> Iterator[float]:
    try:
        with os.scandir(state) as entries:
            for entry in entries:
                yield entry.stat(follow_symlinks=False).st_mtime
    except OSError:
        return


def look_at_secrets(facts: Facts) -> Check:
    """Whether somebody else on this machine may read keys, passwords or mail."""
    paths = [*facts.secrets, *([facts.state] if facts.state is not None else [])]
    evidence, everybody, group = [], [], []
    for path in paths:
        try:
            mode = path.stat().st_mode
        except OSError as fault:
            evidence.append(("mode", f"{path}: {fault.strerror}"))
            continue
        evidence.append(("mode", f"{path}: {stat.filemode(mode)}"))
        everybody += [str(path)] if mode & 0o007 else []
        group += [str(path)] if mode & 0o070 and not mode & 0o007 else []
    if not paths:
        return check("secrets", Level.SKIP, "secrets.none")
    if everybody:
        return check("secrets", Level.FAIL, "secrets.open", evidence=evidence, paths=", ".join(everybody))
    if group:
        return check("secrets", Level.NOTE, "secrets.group", evidence=evidence, paths=", ".join(group))
    return check("secrets", Level.OK, "secrets.ok", evidence=evidence, count=len(paths))
