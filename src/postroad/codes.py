"""The reply reference for programs: ``codes.get(455)``, ``codes.compare(220, 455)``, ``codes.classify("451 4.7.1 …")``.

No connection is made and no server is imported; the catalogue's files are read when they are first needed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from postroad.replies import Reply
from postroad.replies.catalogue import catalogue
from postroad.replies.classify import Classification
from postroad.replies.classify import classify as _classify
from postroad.replies.documents import Document, Documents
from postroad.replies.explaining import Explainer

__all__ = [
    "Classification",
    "Document",
    "classify",
    "compare",
    "explain",
    "explain_reply",
    "get",
    "known",
    "languages",
    "texts",
]


def known() -> tuple[int, ...]:
    """Every reply code that is explained, folklore included."""
    return catalogue().codes


def languages() -> tuple[str, ...]:
    """The tags of the languages, English first."""
    return catalogue().languages


def get(code: int | str, language: str = "en") -> Document:
    """All that is known of a reply code, or of an enhanced status code (``"4.7.1"``). Raises KeyError for another."""
    documents = Documents(catalogue(), language)
    if isinstance(code, int):
        return documents.code(code)
    if not re.fullmatch(r"[245X]\.[0-9]+\.[0-9]+", code):
        raise KeyError(code)
    return documents.enhanced(code)


def compare(a: int, b: int, language: str = "en") -> Document:
    """Two codes side by side, the smaller first. Raises KeyError for unknown codes, ValueError for twice the same."""
    return Documents(catalogue(), language).comparison(a, b)


def explain(text: str, language: str = "en", *, command: str = "", provider: str = "") -> Document:
    """What can be explained in a text: a reply, a log line, a transcript. Never raises for what is in the text."""
    return Explainer(catalogue(), language).explain(text, command=command, provider=provider)


def texts(part: str, language: str = "en") -> Mapping[str, Any]:
    """The words of one part of the program (``"send"``), in English where the language lacks them."""
    return catalogue().texts(part, language)


def explain_reply(reply: Reply, language: str = "en", *, command: str = "", provider: str = "") -> Document:
    """Explain one reply that was heard; the document has exactly one item, of kind ``reply``."""
    return Explainer(catalogue(), language).explain_reply(reply, command=command, provider=provider)


def classify(reply: Reply | str, *, command: str = "", provider: str = "") -> Classification:
    """Why a reply was given, whether it lasts, who acts, and what to do, with the confidence and the rule."""
    return _classify(reply, command=command, provider=provider, rules=catalogue().rules)
