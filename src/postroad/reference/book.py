"""Every page of the reference by its path, as a document: the server, the static site and the tests ask here.

Paths are the same in every language and have no language in them: ``codes``, ``codes/455``, ``codes/4.7.1``,
``keywords/SIZE``, ``verbs/MAIL``, ``compare``, ``compare/220-vs-455``, ``explain``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from postroad.reference.scenes import transcript
from postroad.replies.catalogue import Catalogue
from postroad.replies.documents import Document, Documents
from postroad.replies.explaining import Explainer

_CODE = re.compile(r"[1-9][0-9]{2}\Z")
_PAIR = re.compile(r"([1-9][0-9]{2})-vs-([1-9][0-9]{2})\Z")

#: With what an enhanced code may begin: the class left open, and the three classes of RFC 3463.
CLASSES: Final = ("X", "2", "4", "5")

INDEX: Final = "codes"
CHOOSER: Final = "compare"
EXPLAIN: Final = "explain"


@dataclass(frozen=True, slots=True)
class Leaf:
    """One page: which template shows which document."""

    path: str
    kind: str
    """``index``, ``code``, ``enhanced``, ``keyword``, ``verb``, ``choose``, ``comparison`` or ``explanation``."""
    document: Document
    indexed: bool = True
    """False where search engines are asked to leave the page out."""


class Moved(LookupError):
    """The page has another path."""

    def __init__(self, path: str) -> None:
        """``path`` is the right one."""
        super().__init__(path)
        self.path = path


class _Kept(Documents):
    """Documents that keep the codes they wrote: a site shows each of them on many pages."""

    def __init__(self, catalogue: Catalogue, language: str) -> None:
        super().__init__(catalogue, language)
        self._codes: dict[int, Document] = {}

    def code(self, code: int, *, providers: bool = True) -> Document:
        if not providers:
            return super().code(code, providers=False)
        if code not in self._codes:
            self._codes[code] = super().code(code)
        return self._codes[code]


class Book:
    """The pages of a catalogue. Documents are shared between pages: nobody may change one."""

    def __init__(self, catalogue: Catalogue) -> None:
        """Nothing is read before it is asked."""
        self.catalogue = catalogue
        self.languages = catalogue.languages
        self._documents: dict[str, _Kept] = {}
        self._index: dict[str, Document] = {}
        self._curated = frozenset(catalogue.curated_pairs)

    def documents(self, language: str) -> Documents:
        """The documents of one language."""
        return self._documents.setdefault(language, _Kept(self.catalogue, language))

    def leaf(self, language: str, path: str) -> Leaf:
        """The page at ``path``; raises KeyError where there is none, and Moved for a pair in the other order."""
        if path in (INDEX, CHOOSER):
            return Leaf(path, "index" if path == INDEX else "choose", self.index(language))
        if path == EXPLAIN:
            return self.explained(language, "")
        folder, _, name = path.partition("/")
        makers = {"codes": self._code, "compare": self._pair}
        if folder in makers:
            return makers[folder](language, path, name)
        if folder == "keywords" and name in self.catalogue.keywords:
            return Leaf(path, "keyword", self.documents(language).keyword(name))
        if folder == "verbs" and name in self.catalogue.verbs:
            return Leaf(path, "verb", self.documents(language).verb(name))
        raise KeyError(path)

    def explained(self, language: str, text: str, command: str = "", provider: str = "") -> Leaf:
        """The answer to a pasted text; without one, an empty form."""
        if text.strip():
            found = Explainer(self.catalogue, language).explain(text, command=command, provider=provider)
        else:
            found = {"schema": "postroad.explanation/1", "language": language, "items": []}
        return Leaf(EXPLAIN, "explanation", found, indexed=not text.strip())

    def known_code(self, text: str) -> int | None:
        """The code that ``text`` names; None for anything that is not explained."""
        if _CODE.match(text) is None:
            return None
        code = int(text)  # strict: three digits
        return code if code in self.catalogue.codes else None

    def _code(self, language: str, path: str, name: str) -> Leaf:
        code = self.known_code(name)
        if code is None:
            return self._enhanced(language, path, name)
        document = self.documents(language).code(code)
        return Leaf(path, "code", {**document, "transcript": transcript(self.catalogue.code(code))})

    def _enhanced(self, language: str, path: str, name: str) -> Leaf:
        facts = self.catalogue.enhanced.get(f"X{name[1:]}")
        if facts is None or name[:1] not in CLASSES:
            raise KeyError(path)
        indexed = name[0] in ("X", *facts.classes)
        return Leaf(path, "enhanced", self.documents(language).enhanced(name), indexed)

    def _pair(self, language: str, path: str, name: str) -> Leaf:
        match = _PAIR.match(name)
        a, b = (self.known_code(match[1]), self.known_code(match[2])) if match else (None, None)
        if a is None or b is None:
            raise KeyError(path)
        if a == b:
            raise Moved(f"codes/{a}")
        if a > b:
            raise Moved(f"compare/{b}-vs-{a}")
        document = self.documents(language).comparison(a, b)
        document["transcript"] = transcript(self.catalogue.code(a), self.catalogue.code(b))
        return Leaf(path, "comparison", document, indexed=(a, b) in self._curated)

    def index(self, language: str) -> Document:
        """Everything there is, by kind (``postroad.index/1``)."""
        if language not in self._index:
            self._index[language] = self._made_index(language)
        return self._index[language]

    def _made_index(self, language: str) -> Document:
        known, documents = self.catalogue, self.documents(language)
        short = {code: documents.short(code) for code in known.codes}
        return {
            "schema": "postroad.index/1",
            "language": language,
            "codes": list(short.values()),
            "enhanced": [
                {"code": name, "title": known.enhanced_words(name, language).title} for name in known.enhanced
            ],
            "keywords": [self._term("keywords", "keyword", name, language) for name in known.keywords],
            "verbs": [self._term("verbs", "verb", name, language) for name in known.verbs],
            "pairs": [
                {"a": a, "b": b, "title_a": short[a]["title"], "title_b": short[b]["title"]}
                for a, b in known.curated_pairs
                if a in short and b in short
            ],
        }

    def _term(self, kind: str, key: str, name: str, language: str) -> Document:
        words = self.catalogue.term_words(kind, name, language)
        return {key: name, "title": words.title, "summary": words.summary}

    def paths(self, *, indexed: bool = False) -> Iterator[str]:
        """The paths of all pages but the form for pasting; or only of those that search engines may list."""
        known = self.catalogue
        yield INDEX
        yield from (f"codes/{code}" for code in known.codes)
        for name, facts in known.enhanced.items():
            classes = ("X", *facts.classes) if indexed else CLASSES
            yield from (f"codes/{severity}{name[1:]}" for severity in classes)
        yield from (f"keywords/{name}" for name in known.keywords)
        yield from (f"verbs/{name}" for name in known.verbs)
        yield CHOOSER
        for a, b in combinations(known.codes, 2):
            if not indexed or (a, b) in self._curated:
                yield f"compare/{a}-vs-{b}"
