"""Everything that is known of SMTP replies, read from the files beside this one when it is first asked for.

The only module of the lower rooms that opens files. Facts (``codes/``, ``enhanced/``, ``keywords.toml`` …) hold in
every language; ``locales/LL/`` holds the words. Adding a language is adding a folder: what it lacks is said in English.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache, cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from postroad.replies.classify import Rules, rules_from
from postroad.replies.entries import (
    CatalogueError,
    CodeFacts,
    CodeWords,
    EnhancedFacts,
    EnhancedWords,
    KeywordFacts,
    Provider,
    TermWords,
    VerbFacts,
    build,
)

ENGLISH: Final = "en"
_HERE: Final = Path(__file__).parent


class Catalogue:
    """The entries, each file read once. Unknown names raise KeyError."""

    def __init__(self, root: Path = _HERE) -> None:
        """``root`` holds ``codes``, ``enhanced`` and ``locales``; nothing is read yet."""
        self._root = root
        self._documents: dict[str, Mapping[str, Any]] = {}
        self._codes: dict[int, CodeFacts] = {}
        self._words: dict[tuple[int, str], CodeWords] = {}

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """The tags of the languages, English first."""
        found = sorted(path.parent.name for path in self._root.glob("locales/*/vocabulary.toml"))
        return (ENGLISH, *(tag for tag in found if tag != ENGLISH))

    def complete(self, language: str) -> bool:
        """True when every code is explained in this language."""
        return all(self.code_language(code, language) == language for code in self.codes)

    def vocabulary(self, language: str) -> Mapping[str, Mapping[str, str]]:
        """The short words of a language: labels, headings, names of classes and actors."""
        return self._read(f"locales/{self._known(language)}/vocabulary.toml")

    def texts(self, name: str, language: str) -> Mapping[str, Any]:
        """What one part of the program says (``locales/LL/NAME.toml``), in English where the language lacks the file."""
        path = f"locales/{self._known(language)}/{name}.toml"
        return self._read(path) if (self._root / path).exists() else self._read(f"locales/{ENGLISH}/{name}.toml")

    def report_words(self, language: str) -> Mapping[str, Mapping[str, str]]:
        """The sentences of delivery reports, in English where the language has none (see ``report_language``)."""
        return self._read(f"locales/{self.report_language(language)}/reports.toml")

    def report_language(self, language: str) -> str:
        """The language in which ``report_words`` answers."""
        known = self._known(language)
        return known if (self._root / f"locales/{known}/reports.toml").exists() else ENGLISH

    # Reply codes

    @cached_property
    def codes(self) -> tuple[int, ...]:
        """All numbers that are explained, ascending."""
        return tuple(sorted(int(path.stem) for path in self._root.glob("codes/[0-9][0-9][0-9].toml")))  # strict: names

    def code(self, code: int) -> CodeFacts:
        """The facts of a code; raises KeyError for one that is not explained."""
        if code not in self._codes:
            self._codes[code] = self._entry(CodeFacts.read, f"codes/{code:03d}.toml", code)
        return self._codes[code]

    def code_words(self, code: int, language: str) -> CodeWords:
        """What is said of a code, in English where the language lacks it (see ``code_language``)."""
        key = code, self.code_language(code, language)
        if key not in self._words:
            self._words[key] = self._entry(CodeWords.read, f"locales/{key[1]}/codes/{code:03d}.toml", code)
        return self._words[key]

    def code_language(self, code: int, language: str) -> str:
        """The language in which ``code_words`` answers."""
        has = (self._root / f"locales/{self._known(language)}/codes/{code:03d}.toml").exists()
        return language if has else ENGLISH

    @cached_property
    def curated_pairs(self) -> tuple[tuple[int, int], ...]:
        """The pairs that people really confuse, the smaller code first."""
        return tuple((a, b) for a, b in self._read("pairs.toml")["curated"])

    # Enhanced status codes

    @cached_property
    def enhanced(self) -> Mapping[str, EnhancedFacts]:
        """All registered enhanced status codes by their names, ``X.7.1``."""
        return self._tables("enhanced/*.toml", EnhancedFacts)

    def enhanced_words(self, name: str, language: str) -> EnhancedWords:
        """What is said of ``X.7.1``; raises KeyError."""
        table = self._words_of(f"enhanced/{name.split('.')[1]}.toml", name, language)
        made: EnhancedWords = self._made(EnhancedWords.read, table, name)
        return made

    # Keywords, verbs, reasons, remedies, providers

    @cached_property
    def keywords(self) -> Mapping[str, KeywordFacts]:
        """The keywords of the EHLO answer."""
        return self._tables("keywords.toml", KeywordFacts)

    @cached_property
    def verbs(self) -> Mapping[str, VerbFacts]:
        """The commands, and the moments answered like one (CONNECT, CONTENT)."""
        return self._tables("verbs.toml", VerbFacts)

    def term_words(self, kind: str, name: str, language: str) -> TermWords:
        """What is said of a name; ``kind`` is ``keywords``, ``verbs``, ``reasons`` or ``remedies``. Raises KeyError."""
        table = self._words_of(f"{kind}.toml", name, language)
        made: TermWords = self._made(lambda one: build(TermWords, one), table, name)
        return made

    @cached_property
    def providers(self) -> Mapping[str, Provider]:
        """Who words its replies in its own way, by the names of their files."""
        names = sorted(path.stem for path in self._root.glob("providers/*.toml"))
        found = {name: self._entry(Provider.read, f"providers/{name}.toml", name) for name in names}
        return MappingProxyType(found)

    def provider_words(self, provider: str, reply: str, language: str) -> str:
        """What a provider means by one of its replies; raises KeyError."""
        for tag in (self._known(language), ENGLISH):
            found = self._optional(f"locales/{tag}/providers.toml").get(provider, {}).get(reply)
            if found is not None:
                return str(found)
        raise KeyError(f"{provider}: {reply}")

    @cached_property
    def rules(self) -> Rules:
        """By what a reply's text is understood."""
        return rules_from(self._read("rules.toml"), self._read("reasons.toml"))

    def language_of(self, kind: str, name: str, language: str) -> str:
        """The language in which ``enhanced_words`` (``kind`` is ``enhanced``) and ``term_words`` answer."""
        file = f"enhanced/{name.split('.')[1]}.toml" if kind == "enhanced" else f"{kind}.toml"
        has = name in self._optional(f"locales/{self._known(language)}/{file}")
        return language if has else ENGLISH

    # Files

    def _known(self, language: str) -> str:
        return language if language in self.languages else ENGLISH

    def _read(self, path: str) -> Mapping[str, Any]:
        if path not in self._documents:
            try:
                text = (self._root / path).read_text(encoding="utf-8")
                self._documents[path] = tomllib.loads(text)
            except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
                raise CatalogueError(f"{path}: {fault}") from fault
        return self._documents[path]

    def _optional(self, path: str) -> Mapping[str, Any]:
        return self._read(path) if (self._root / path).exists() else {}

    def _entry(self, read: Any, path: str, key: object) -> Any:
        if not (self._root / path).exists():
            raise KeyError(key)
        return self._made(read, self._read(path), path)

    def _made(self, read: Any, table: Mapping[str, Any], where: str) -> Any:
        try:
            return read(table)
        except CatalogueError as fault:
            raise CatalogueError(f"{where}: {fault}") from fault

    def _tables(self, pattern: str, kind: type) -> Mapping[str, Any]:
        found: dict[str, Any] = {}
        for path in sorted(self._root.glob(pattern)):
            name = path.relative_to(self._root).as_posix()
            for key, table in self._read(name).items():
                found[key] = self._made(lambda one: build(kind, one), table, f"{name}: {key}")
        return MappingProxyType(found)

    def _words_of(self, file: str, name: str, language: str) -> Mapping[str, Any]:
        for tag in (self._known(language), ENGLISH):
            table = self._optional(f"locales/{tag}/{file}").get(name)
            if table is not None:
                return dict(table)
        raise KeyError(name)


@cache
def catalogue() -> Catalogue:
    """The catalogue that came with the program."""
    return Catalogue()
