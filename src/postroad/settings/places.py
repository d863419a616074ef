"""Where in a TOML text a key stands: the parser keeps no line numbers, and an error without one sends people searching.

Only the structure is scanned (headers, keys, strings, brackets); the text is known to be valid TOML.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

_HEADER = re.compile(r"\s*(\[\[?)\s*((?:[^\]\"'#]|\"[^\"]*\"|'[^']*')+?)\s*\]")
_KEY = re.compile(r"\s*((?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*'))*)\s*=")
_PART = re.compile(r"[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*'")
# What may open or close inside a value; strings and comments are taken whole so that their content cannot.
_TOKEN = re.compile(r"\"\"\"|'''|\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'|#[^\n]*|[\[\]{}]")


def find_places(toml: str) -> dict[str, int]:
    """Dotted key -> line number; tables of an array carry their number: ``domain.0.name``."""
    places: dict[str, int] = {}
    counts: dict[str, int] = {}
    table = ""
    depth, closing = 0, ""
    for line_number, line in enumerate(toml.split("\n"), 1):
        rest = line
        if not depth and not closing:
            header = _HEADER.match(line)
            key = None if header else _KEY.match(line)
            if header is not None:
                table = _table_path(header, counts)
                places.setdefault(table, line_number)
                places.setdefault(table.rpartition(".")[0] if header[1] == "[[" else table, line_number)
                continue
            if key is not None:
                _add(places, table, _split(key[1]), line_number)
                rest = line[key.end() :]
        depth, closing = _scan(rest, depth, closing)
    return places


def key_paths(values: Mapping[str, object], path: str = "") -> Iterator[str]:
    """The dotted keys of a parsed text, those inside of inline tables too; tables of an array carry their number."""
    for key, value in values.items():
        inner = f"{path}.{key}" if path else key
        yield inner
        if isinstance(value, dict):
            yield from key_paths(value, inner)
        elif isinstance(value, list):
            for number, one in enumerate(value):
                if isinstance(one, dict):
                    yield from key_paths(one, f"{inner}.{number}")


def _split(dotted: str) -> list[str]:
    return [part.strip("\"'") for part in _PART.findall(dotted)]


def _table_path(header: re.Match[str], counts: dict[str, int]) -> str:
    """The path of a header, with the number of the current table wherever a part names an array of tables."""
    path = ""
    parts = _split(header[2])
    for index, part in enumerate(parts):
        path = f"{path}.{part}" if path else part
        if index == len(parts) - 1 and header[1] == "[[":
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = f"{path}.{counts[path]}"
    return path


def _add(places: dict[str, int], table: str, parts: list[str], line_number: int) -> None:
    path = table
    for part in parts:
        path = f"{path}.{part}" if path else part
        places.setdefault(path, line_number)


def _scan(rest: str, depth: int, closing: str) -> tuple[int, str]:
    """The bracket depth and the open multi-line string behind ``rest``."""
    while rest:
        if closing:
            _, found, rest = rest.partition(closing)
            if not found:
                return depth, closing
            closing = ""
            continue
        token = _TOKEN.search(rest)
        if token is None:
            break
        rest = rest[token.end() :]
        if token[0] in ('"""', "'''"):
            closing = token[0]
        elif token[0] in ("[", "{"):
            depth += 1
        elif token[0] in ("]", "}"):
            depth -= 1
    return depth, closing
