"""The sentences of the pages: one folder a language, one file a part of the house, the same keys in each.

``locales/en/queue.toml`` holds what is asked for as ``queue.title``; a key that is missing is a fault, never shown as a key.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

LOCALES: Final = Path(__file__).parent / "locales"
#: Every language that the pages speak, English first.
LANGUAGES: Final = ("en", "ja")


@cache
def sentences(language: str) -> Mapping[str, str]:
    """All sentences of a language by their whole key; raises KeyError for a language that is not spoken here."""
    if language not in LANGUAGES:
        raise KeyError(language)
    found: dict[str, str] = {}
    for path in sorted((LOCALES / language).glob("*.toml")):
        for key, text in tomllib.loads(path.read_text("utf-8")).items():
            found[f"{path.stem}.{key}"] = text
    return found


class Texts:
    """The voice of one language; call it with a key."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._sentences = sentences(language)

    def __call__(self, key: str, **values: Any) -> str:
        """A sentence, with values put in; raises KeyError for an unknown key."""
        text = self._sentences[key]
        return text.format(**values) if values else text

    def __contains__(self, key: str) -> bool:
        return key in self._sentences

    def n(self, key: str, count: int, **values: Any) -> str:
        """A sentence about so many: ``key.one`` of exactly one, else ``key``; ``{count}`` is grouped by thousands."""
        return self(f"{key}.one" if count == 1 else key, count=f"{count:,}", **values)

    def size(self, octets: int) -> str:
        """``12.3 KiB``."""
        for unit, scale in (("gib", 1 << 30), ("mib", 1 << 20), ("kib", 1 << 10)):
            if octets >= scale:
                return self(f"house.size.{unit}", count=f"{octets / scale:.1f}")
        return self("house.size.octets", count=octets)

    def span(self, seconds: float) -> str:
        """A length of time in its two largest units: ``2 h 04 min``, ``3 d 5 h``, ``41 s``; under ten seconds exactly."""
        whole = int(abs(seconds))
        if whole < 60:
            return self("house.span.s", s=whole)
        minutes, hours, days = whole // 60 % 60, whole // 3600 % 24, whole // 86_400
        if whole < 3600:
            return self("house.span.min", min=minutes)
        if not days:
            return self("house.span.h", h=hours, min=f"{minutes:02}")
        return self("house.span.d", d=days, h=hours) if days < 30 else self("house.span.days", d=days)

    def age(self, then: float, now: float) -> str:
        """``4 min ago`` or ``in 11 min``."""
        key = "house.ago" if then <= now else "house.in"
        return self(key, span=self.span(now - then))
