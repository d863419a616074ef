"""``tag=value; tag=value`` as DKIM and DMARC records write it (RFC 6376 section 3.2), read strictly enough to say what is wrong."""

from __future__ import annotations

import re
from typing import Final

_TAG: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}\Z")
#: Tags of one record that are read.
_MAX_TAGS: Final = 100
_SPACE: Final = " \t\r\n"


def read_tags(text: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """Tag (lower case) -> value, in their order, and the parts that are none: malformed, or given twice."""
    tags: dict[str, str] = {}
    wrong: list[str] = []
    for part in text.split(";", _MAX_TAGS)[:_MAX_TAGS]:
        stripped = part.strip(_SPACE)
        name, equals, value = stripped.partition("=")
        name = name.strip(_SPACE).lower()
        if not stripped:
            continue
        if not equals or not _TAG.match(name) or name in tags:
            wrong.append(stripped[:60])
        else:
            tags[name] = value.strip(_SPACE)
    return tags, tuple(wrong)
