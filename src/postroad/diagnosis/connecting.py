"""Why there was no connection, by what the system said: refused, dropped, no way, not permitted."""

from __future__ import annotations

import errno
from typing import Final

from postroad.diagnosis.findings import Finding, found
from postroad.net.connecting import reason_of

_NO_WAY: Final = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN)
_NO_FAMILY: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
#: EINVAL is what Linux says of a blackhole route.
_FORBIDDEN: Final = (errno.EACCES, errno.EPERM, errno.EINVAL)


def connect_fault(fault: OSError, waited: float, address: str) -> Finding:
    """The finding for a failed attempt."""
    seen = reason_of(fault)
    number = fault.errno
    if isinstance(fault, TimeoutError) or number == errno.ETIMEDOUT:
        return found("connect.timeout", waited=waited)
    if number in (errno.ECONNREFUSED, errno.ECONNRESET):
        return found("connect.refused", seen, waited=waited)
    if ":" in address and number in (*_NO_FAMILY, errno.ENETUNREACH):
        return found("connect.no-family", seen, waited=waited)
    if number in _NO_WAY or number in _NO_FAMILY:
        return found("connect.unreachable", seen, waited=waited)
    if number in _FORBIDDEN:
        return found("connect.forbidden", seen, waited=waited)
    return found("connect.failed", seen, waited=waited)
