"""Other people's text for a log or a terminal: nothing in it can forge a line, move a cursor or turn the text around."""

from __future__ import annotations


def printable(text: str) -> str:
    """``text`` with every character that is not printable (controls, C1, U+2028, bidi, surrogates) as ``\\uXXXX``."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)


def printable_lines(text: str) -> str:
    """The same for a text of several lines: line feeds and tabs stay, a CR before a line feed goes."""
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in lines)


def _escaped(character: str) -> str:
    """As JSON writes it: above U+FFFF as two surrogates."""
    number = ord(character)
    if number <= 0xFFFF:
        return f"\\u{number:04x}"
    number -= 0x10000
    return f"\\u{0xD800 + (number >> 10):04x}\\u{0xDC00 + (number & 0x3FF):04x}"
