"""One setting of the C library's allocator that decides what an idle TLS connection costs.

uvloop gives each TLS connection a read buffer of 256 KiB, of which a quiet one touches a few pages. glibc maps a block of
this size on its own, so that untouched pages cost nothing, until the first one is freed: from then on it serves them
from its heap, where they are made of pages that were touched before (mallopt(3), "dynamic mmap threshold"). Naming the
threshold, at its default, switches that off: 30 KiB instead of 47 KiB a connection.
"""

from __future__ import annotations

import ctypes
from typing import Final

_M_MMAP_THRESHOLD: Final = -3
_DEFAULT: Final = 128 * 1024


def keep_large_blocks_mapped() -> bool:
    """Fix glibc's threshold for the whole process; False where there is no glibc. To be called before the event loop."""
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _DEFAULT))
    except (OSError, AttributeError):
        return False
