"""Other people's text for a page: escaped, and with the characters that deceive the eye made visible."""

from __future__ import annotations

import re
from typing import Final

from markupsafe import Markup, escape

# C0 and C1 controls but tab and line feed; soft hyphen, Arabic letter mark, zero width and directional characters, line
# and paragraph separators, the byte order mark, interlinear marks, surrogates and tag characters.
_HIDDEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def visible(text: str) -> Markup:
    """``text`` as markup in which each hidden character is shown by its number, ``U+202E``."""
    pieces: list[Markup] = []
    end = 0
    for found in _HIDDEN.finditer(text):
        pieces.append(escape(text[end : found.start()]))
        pieces.append(Markup('<span class="hidden-character">U+{:04X}</span>').format(ord(found[0])))
        end = found.end()
    pieces.append(escape(text[end:]))
    return Markup("").join(pieces)


def visible_plain(text: str) -> str:
    """The same where no markup may stand (titles, attributes)."""
    return _HIDDEN.sub(lambda found: f"[U+{ord(found[0]):04X}]", text)
