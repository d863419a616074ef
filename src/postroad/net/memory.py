"""What the process is told about memory: for idle TLS connections, and so that nobody waits for the garbage collector.

uvloop gives each TLS connection a read buffer of 256 KiB, of which a quiet one touches a few pages. glibc maps a block of
this size on its own, so that untouched pages cost nothing, until the first one is freed: from then on it serves them
from its heap, where they are made of pages that were touched before (mallopt(3), "dynamic mmap threshold"). Naming the
threshold, at its default, switches that off: 30 KiB instead of 47 KiB a connection.

Python looks for circles among its objects after every 700 that came and stayed, and now and then among all there are:
with all of our modules that stops everything for 40 ms. What is there once the service runs stays anyway, and messages
leave next to no circles behind.
"""

from __future__ import annotations

import ctypes
import gc
from typing import Final

_M_MMAP_THRESHOLD: Final = -3
_DEFAULT: Final = 128 * 1024
#: Objects between two looks at the youngest, and how many such looks make one at the older.
_LOOKS: Final = (10_000, 10, 10)


def keep_large_blocks_mapped() -> bool:
    """Fix glibc's threshold for the whole process; False where there is no glibc. To be called before the event loop."""
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _DEFAULT))
    except (OSError, AttributeError):
        return False


def look_for_circles_seldom() -> None:
    """Let the collector pass over all that is there now, and look at the rest less often. To be called once it runs."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_LOOKS)
