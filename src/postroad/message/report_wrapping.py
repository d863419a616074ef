"""Lines of text for people, broken by the width that characters take (UAX 11), in languages with blanks and without.

A line of Japanese does not begin with a closing mark nor end with an opening one (JIS X 4051, kinsoku).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

#: Cells of a line of a report.
WIDTH: Final = 72
#: A word that is longer is cut; a shorter one (an address, a link) stays whole even when it is wider than the line.
_LONGEST_WORD: Final = 200

_NOT_FIRST: Final = frozenset("、。，．・：；？！」』）］｝】〉》ーぁぃぅぇぉっゃゅょァィゥェォッャュョ々…,.:;?!)]}")
_NOT_LAST: Final = frozenset("「『（［｛【〈《([{")
#: Blanks, words, words in katakana, polite endings (a line that holds only "す。" reads badly), single characters.
_RUNS: Final = re.compile(
    r"[ ]+|[!-~]+|[\u30a1-\u30fa\u30fc]{1,12}|(?:ください|ました|ません|でした|ます|です)|.", re.DOTALL
)


def width(text: str) -> int:
    """Cells that ``text`` takes: two for wide characters, none for combining ones."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def _cells(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def wrap(text: str, first: str = "", rest: str | None = None, room: int = WIDTH) -> str:
    """``text`` in lines of at most ``room`` cells; ``first`` stands before the first line, ``rest`` before the others."""
    rest = first if rest is None else rest
    lines: list[str] = []
    line, used, filled = [first], width(first), False
    for unit in _units(text):
        cells, blank = width(unit), not unit.strip(" ")
        if filled and used + cells > room and not blank:
            lines.append("".join(line).rstrip(" "))
            line, used, filled = [rest], width(rest), False
        if not filled and blank:
            continue
        line.append(unit)
        used, filled = used + cells, True
    return "\n".join([*lines, "".join(line).rstrip(" ")])


def _units(text: str) -> list[str]:
    """What may not be broken: words, and single characters of languages without blanks, with their marks."""
    units: list[str] = []
    glued = False
    for run in _RUNS.findall(text):
        for piece in (run[at : at + _LONGEST_WORD] for at in range(0, len(run), _LONGEST_WORD)):
            if units and (glued or _belongs(units[-1], piece)):
                units[-1] += piece
            else:
                units.append(piece)
            glued = piece[-1] in _NOT_LAST and len(units[-1]) < _LONGEST_WORD
    return units


def _belongs(before: str, piece: str) -> bool:
    """Whether ``piece`` may not begin a line after ``before``."""
    if len(before) >= _LONGEST_WORD or before.endswith(" "):
        return False
    if piece[0] in _NOT_FIRST or _cells(piece[0]) == 0:
        return True
    if piece.isascii():  # the rest of a word after é
        return piece != " " and _is_narrow_letter(before[-1])
    return _is_narrow_letter(piece[0]) and _cells(before[-1]) == 1


def _is_narrow_letter(character: str) -> bool:
    return not character.isascii() and _cells(character) == 1 and character.isalpha()
