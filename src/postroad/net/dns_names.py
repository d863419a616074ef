"""Which names may be asked about: host names of RFC 1123 section 2.1, the underscore tolerated as the DNS's users do."""

from __future__ import annotations

import re
from typing import Final

_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\Z")  # linear: a label is cut off at 63 before
_ALL_DIGITS: Final = re.compile(r"[0-9]++\Z")
#: Octets in text; a name on the wire has 255 with its lengths and the root (RFC 1035 section 3.1).
_MAX_TEXT: Final = 253

#: Top-level names that the DNS does not have (RFC 6761 section 6.3 and 6.4, RFC 7686).
_NEVER_ASKED: Final = frozenset({"localhost", "invalid", "onion"})


def is_host_name(name: str) -> bool:
    """Whether ``name``, in lower case without final dot, may be asked; an IPv4 address in digits is no name."""
    if len(name) > _MAX_TEXT:
        return False
    labels = name.split(".")
    return all(len(label) <= 63 and _LABEL.match(label) for label in labels) and not _ALL_DIGITS.match(labels[-1])


def is_never_asked(name: str) -> bool:
    """Whether the name belongs to nobody by standard, so that asking would only tell strangers about it."""
    return name.rpartition(".")[2] in _NEVER_ASKED
