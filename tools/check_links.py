#!/usr/bin/env python3
"""Do the links in our Markdown lead anywhere? `tools/check_links.py [FOLDER]` prints each dead one, exits 1 on one.

Looked at are links to files and to headings, here and in other files, and the paths of our own files that stand in
`code`. Links to the web are not followed: a check must not depend on other people's servers.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)|^\[[^\]]+\]:\s*(\S+)", re.MULTILINE)
CODE_BLOCK = re.compile(r"^(```|~~~).*?^\1[ \t]*$", re.MULTILINE | re.DOTALL)
OWN_PATH = re.compile(r"`((?:src|tests|tools|docs|bench|requirements|\.ci)/[A-Za-z0-9_./-]+)`")
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
WEB = ("http://", "https://", "mailto:")


def documents(root: Path) -> list[Path]:
    return sorted([*root.glob("*.md"), *(root / "docs").rglob("*.md")])


def anchors(text: str) -> set[str]:
    """The names that headings get on the usual forges: lower case, blanks as hyphens, punctuation gone."""
    found: set[str] = set()
    for heading in HEADING.findall(CODE_BLOCK.sub("", text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        number = 1
        unique = name
        while unique in found:
            unique = f"{name}-{number}"
            number += 1
        found.add(unique)
    return found


def problems(root: Path = ROOT) -> list[str]:
    return [f"{document.relative_to(root)}: {text}" for document in documents(root) for text in dead(document, root)]


def dead(document: Path, root: Path) -> Iterator[str]:
    text = document.read_text(encoding="utf-8")
    prose = CODE_BLOCK.sub("", text)
    for link in (next(filter(None, found)) for found in LINK.findall(prose)):
        if link.startswith(WEB):
            continue
        file, _, anchor = link.partition("#")
        target = (document.parent / file).resolve() if file else document
        if not target.is_relative_to(root.resolve()):
            yield f"{link} leads out of the project"
        elif not target.exists():
            yield f"{link}: no such file"
        elif anchor and target.suffix == ".md" and anchor not in anchors(target.read_text(encoding="utf-8")):
            yield f"{link}: no such heading"
    for path in OWN_PATH.findall(prose):
        if not (root / path).exists():
            yield f"`{path}`: no such file"


def main(arguments: list[str]) -> int:
    found = problems(*(Path(argument) for argument in arguments[:1]))
    for text in found:
        print(text)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
