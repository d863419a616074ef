"""CHUNKING (RFC 3030 section 2): BDAT, content by counted octets; here its argument's grammar."""

from __future__ import annotations

import re

from postroad.smtp.parameters import Extension
from postroad.smtp.states import Verb

CHUNKING = Extension(keyword="CHUNKING", rfc="RFC 3030", verbs=(Verb.BDAT,))

_ARGUMENT = re.compile(r"([0-9]{1,19})(?: +(LAST))?\Z", re.IGNORECASE)
#: A chunk of more octets than any file can hold is no chunk size.
_MAX_OCTETS = (1 << 63) - 1


def parse_bdat(text: str) -> tuple[int, bool] | None:
    """``chunk-size [LAST]`` as (octets, last); None when it is malformed."""
    found = _ARGUMENT.match(text)
    if found is None:
        return None
    octets = int(found.group(1))  # strict: _ARGUMENT matched the digits
    return (octets, found.group(2) is not None) if octets <= _MAX_OCTETS else None
