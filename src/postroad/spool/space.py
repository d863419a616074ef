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

    __slots__ = ("_asked", "_clock", "_folder", "_free", "_kept", "_min_free", "_reusable", "budget")

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
        self._free = 0
        self.budget = budget

    def free(self) -> int:
        """Octets that may still be stored; 0 when inodes are short or the file system does not answer."""
        self._asked = self._clock.monotonic()
        self._free = self._measure()
        return self._free

    def check(self) -> None:
        """Raise StorageFull when there is no room, as far as was known within the last second."""
        if self._clock.monotonic() - self._asked >= _TRUST_SECONDS:
            self.free()
        if self._free <= 0:
            raise StorageFull("the spool has no room", "free space or inodes on its disk, or allow it a larger budget")

    def _measure(self) -> int:
        try:
            disk = os.statvfs(self._folder)
        except OSError:
            return 0
        # A file system that counts no inodes (btrfs) reports none at all.
        if disk.f_files and disk.f_favail < max(_MIN_INODES, disk.f_files // 20):
            return 0
        reserve = default_min_free(disk.f_blocks * disk.f_frsize) if self._min_free is None else self._min_free
        free = disk.f_bavail * disk.f_frsize - reserve + self._reusable()
        if self.budget is not None:
            free = min(free, self.budget - self._kept())
        return max(free, 0)


def storage_fault(error: OSError, what: str) -> SpoolError:
    """The SpoolError for an operating system's error: StorageFull when space, inodes or a quota ran out."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull(f"{what}: {error.strerror}", "free space or inodes on the state folder's disk")
    return SpoolError(f"{what}: {error.strerror or error}", "see the system's log for the disk's own errors")
