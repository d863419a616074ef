"""How much may still be stored: the disk's free space above a reserve, its inodes, and the operator's budget.

The reserve (``min_free``) is what lets delivery go on when the disk is short: settling and deleting write too (C6).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from postroad.clock import Clock
from postroad.errors import SpoolError, StorageFull

_MIB: Final = 1024 * 1024
#: ``check`` asks the file system at most once in so many seconds.
_TRUST_SECONDS: Final = 1.0
_MIN_INODES: Final = 1000


def default_min_free(total: int) -> int:
    """The reserve for a disk of ``total`` octets: two messages of 25 MiB or 5 %, at most 1 GiB and a quarter of it."""
    return min(1024 * _MIB, max(2 * 25 * _MIB, total // 20), total // 4)


class Space:
    """Answers "is there room?"; every method may be called on the event loop (statvfs of a local disk)."""

    __slots__ = ("_asked", "_clock", "_disk", "_folder", "_kept", "_min_free", "_reusable", "_room", "budget")

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        min_free: int | None,
        budget: int | None,
        kept: Callable[[], int],
        reusable: Callable[[], int],
    ) -> None:
        """``kept``: octets stored, against ``budget``; ``reusable``: octets free inside the database file."""
        self._folder = folder
        self._clock = clock
        self._min_free = min_free
        self._kept = kept
        self._reusable = reusable
        self._asked = float("-inf")
        self._disk = 0.0
        self._room = 0
        self.budget = budget

    def free(self) -> int:
        """Octets that may still be stored; 0 when inodes are short or the file system does not answer."""
        self._asked = self._clock.monotonic()
        self._disk = self._measure()
        room = self._disk + self._reusable() if self._disk > float("-inf") else 0
        if self.budget is not None:
            room = min(room, self.budget - self._kept())
        self._room = max(int(room), 0)
        return self._room

    def check(self) -> None:
        """Raise StorageFull when there is no room, as far as was known within the last second."""
        self._renew()
        if self._room <= 0:
            raise _full()

    def check_disk(self) -> None:
        """The same for a content file, which cannot use what is free inside the database."""
        self._renew()
        if self._room <= 0 or self._disk <= 0:
            raise _full()

    def _renew(self) -> None:
        if self._clock.monotonic() - self._asked >= _TRUST_SECONDS:
            self.free()

    def _measure(self) -> float:
        """Octets of the disk above the reserve, negative when it is touched; minus infinity: not one file more."""
        try:
            disk = os.statvfs(self._folder)
        except OSError:
            return float("-inf")
        # A file system that counts no inodes (btrfs) reports none at all.
        if disk.f_files and disk.f_favail < max(_MIN_INODES, disk.f_files // 20):
            return float("-inf")
        reserve = default_min_free(disk.f_blocks * disk.f_frsize) if self._min_free is None else self._min_free
        return disk.f_bavail * disk.f_frsize - reserve


def _full() -> StorageFull:
    return StorageFull("the spool has no room", "free space or inodes on its disk, or allow it a larger budget")


def storage_fault(error: OSError, what: str) -> SpoolError:
    """The SpoolError for an operating system's error: StorageFull when space, inodes or a quota ran out."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull(f"{what}: {error.strerror}", "free space or inodes on the state folder's disk")
    return SpoolError(f"{what}: {error.strerror or error}", "see the system's log for the disk's own errors")
