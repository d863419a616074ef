"""How many files and connections this process may have open: as many as the system permits, and what follows from that.

The limit that a process begins with is low for the sake of select(2) and old programs (1,024); a server may raise it by
itself as far as the hard limit. Sessions, deliveries, connections that are kept and the spool share what there is.
"""

from __future__ import annotations

from typing import Final

#: More is of no use here.
_ENOUGH: Final = 65_536
#: Where the system does not tell.
_UNKNOWN: Final = 1024


def allow_many() -> int:
    """Raise the soft limit towards the hard one; gives what holds now. For the whole process and its children."""
    try:
        import resource
    except ImportError:  # not a Unix
        return _UNKNOWN
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):
            return soft
    return open_at_most()


def open_at_most() -> int:
    """Descriptors that may be open at the same time."""
    try:
        import resource
    except ImportError:
        return _UNKNOWN
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _ENOUGH if soft == resource.RLIM_INFINITY else soft
