"""Where a shard lives: its folder, made private and locked, so that two processes never open one shard.

<directory>/shard-<n>/lock           flock(2) held as long as the spool is open
                      spool.sqlite   (and -wal, -shm)
                      content/       files of content above INLINE_OCTETS
"""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path
from typing import Final

from postroad.errors import SpoolError

#: File systems whose other end is another machine: WAL's shared memory and flock mean nothing there, or fsync lies.
_REMOTE: Final = frozenset(
    "9p afs ceph cifs coda fuse.glusterfs fuse.rclone fuse.s3fs fuse.sshfs glusterfs gpfs lustre ncpfs nfs nfs3 nfs4 "
    "smb2 smb3 smbfs vboxsf virtiofs".split()
)
_MOUNTS: Final = Path("/proc/self/mountinfo")
_OCTAL: Final = re.compile(r"\\([0-7]{3})")


class ShardFolder:
    """The folder of one shard, locked until ``close``; raises SpoolError when it cannot be had."""

    def __init__(self, directory: Path, shard: int) -> None:
        self.path = directory / f"shard-{shard}"
        self.database = self.path / "spool.sqlite"
        self.content = self.path / "content"
        self._lock = -1
        try:
            self.content.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
            refuse_remote(self.path)
            self._lock = _lock(self.path / "lock")
            # WAL and shared memory take the database's rights.
            os.close(os.open(self.database, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
            self.sync()
        except OSError as error:
            self.close()
            raise SpoolError(
                f"cannot use {self.path}: {error.strerror}", "check the folder's owner, rights and file system"
            ) from error

    def sync(self) -> None:
        """Make the folders' own names durable."""
        for folder in (self.content, self.path, self.path.parent):
            sync_folder(folder)
        try:
            sync_folder(self.path.parent.parent)
        except PermissionError:
            pass  # not ours to read, so not we made the state folder in it

    def close(self) -> None:
        """Let another process have the shard."""
        if self._lock >= 0:
            os.close(self._lock)  # the lock goes with the last descriptor
            self._lock = -1


def sync_folder(folder: Path) -> None:
    """fsync a directory, so that names in it outlive a power cut; raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def refuse_remote(path: Path) -> None:
    """Raise SpoolError when ``path`` is on a network file system, as far as the kernel tells (Linux)."""
    kind = file_system(path)
    if kind in _REMOTE:
        raise SpoolError(
            f"{path} is on a network file system ({kind}), where no commit is certain",
            "keep the state on a local disk",
        )


def file_system(path: Path, mounts: Path = _MOUNTS) -> str:
    """The type of the file system that holds ``path`` (``ext4``), or ``""`` where nobody tells."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
        wanted = path.resolve()
    except OSError:
        return ""
    found, kind = -1, ""
    for line in lines:
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        if len(fields) < 5 or not right:
            continue
        point = Path(_OCTAL.sub(lambda octal: chr(int(octal[1], 8)), fields[4]))
        # A later mount on the same point hides the earlier one.
        if len(point.parts) >= found and wanted.is_relative_to(point):
            found, kind = len(point.parts), right.split(" ")[0]
    return kind


def _lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, b"%d\n" % os.getpid())
    except BlockingIOError:
        owner = os.read(descriptor, 20).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise SpoolError(
            f"{path.parent} is in use by another process" + (f" (pid {owner})" if owner.isdecimal() else ""),
            "stop the other postroad, or give this one another state folder",
        ) from None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
