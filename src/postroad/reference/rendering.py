"""Documents as HTML pages, complete without script; texts are escaped before the little markup is put in."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from postroad.reference.book import EXPLAIN, Book, Leaf
from postroad.reference.links import TWINS, Links
from postroad.replies.documents import Document

_HERE: Final = Path(__file__).parent
STATIC: Final = _HERE / "static"
#: The frame of every page is among them; the server's own pages stand in it, too.
TEMPLATES: Final = _HERE / "templates"

_LITERAL = re.compile(r"`([^`\n]{1,400})`")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
_TONES: Final = {"2": "good", "3": "good", "4": "later", "5": "never"}


def marked(text: object) -> Markup:
    """A text of the catalogue: escaped, and what stands between backticks set as wire text."""
    escaped = str(escape(text))
    return Markup(_LITERAL.sub(r'<code lang="en" translate="no">\1</code>', escaped))  # noqa: S704  # escaped above


def wire(text: object) -> Markup:
    """What was said or pasted: escaped, and characters that would not be seen made visible."""
    shown = _CONTROL.sub(lambda found: f"\\u{{{ord(found[0]):x}}}", str(text))
    return Markup('<code lang="en" translate="no">{}</code>').format(shown)


def bare(text: object) -> str:
    """Without the little markup, for titles and descriptions."""
    return str(text).replace("`", "")


class Renderer:
    """Makes pages out of the leaves of a book."""

    def __init__(self, book: Book) -> None:
        """The templates are read once."""
        self._book = book
        #: Each language by its own name.
        self.names = {tag: book.catalogue.vocabulary(tag)["language"]["name"] for tag in book.languages}
        self._environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(marked=marked, wire=wire, bare=bare)
        self._environment.globals.update(tone=lambda digit: _TONES.get(str(digit), "plain"))

    def page(self, leaf: Leaf, language: str, links: Links, **more: Any) -> str:
        """The page of a leaf in one language; ``top`` and ``answer``: what a server puts at the head and into it."""
        say = self._book.catalogue.vocabulary(language)
        title, description = _described(leaf, say)
        more = {"pasted": "", "top": "", "answer": "", **more}
        return self._show(
            f"{leaf.kind}.html",
            language,
            links,
            leaf.path,
            title=title,
            description=description,
            indexed=leaf.indexed,
            doc=leaf.document,
            twins={} if leaf.path == EXPLAIN else TWINS,
            linked_data=_linked_data(leaf, links.whole(f"{language}/{leaf.path}")),
            **more,
        )

    def missing(self, path: str, language: str, links: Links, message: str, top: str = "") -> str:
        """The page that says that nothing is known under a path, and where to go on."""
        title = self._book.catalogue.vocabulary(language)["sentences"]["not_found"]
        words = {"title": title, "description": title, "message": message, "asked": path}
        return self._show(
            "missing.html",
            language,
            links,
            "",
            indexed=False,
            twins={},
            linked_data=None,
            doc=self._book.index(language),
            top=top,
            **words,
        )

    def _show(self, template: str, language: str, links: Links, path: str, **values: Any) -> str:
        say = self._book.catalogue.vocabulary(language)
        here = path or "codes"
        return self._environment.get_template(template).render(
            say=say,
            head=say["headings"],
            label=say["labels"],
            site=say["site"],
            language=language,
            languages=self.names,
            links=links,
            path=path,
            here=here,
            to=lambda other: links.page(f"{language}/{other}"),
            is_known=lambda code: code in self._book.catalogue.codes,
            enhanced_path=self._enhanced_path,
            **values,
        )

    def _enhanced_path(self, code: str) -> str:
        """Where an enhanced code is explained; empty when it has no page."""
        return f"codes/{code}" if f"X{code[1:]}" in self._book.catalogue.enhanced else ""


def _described(leaf: Leaf, say: Any) -> tuple[str, str]:
    """Title and description of a page."""
    doc, site = leaf.document, say["site"]
    match leaf.kind:
        case "code":
            return f"SMTP {doc['code']} {bare(doc['title'])}", bare(doc["summary"])
        case "enhanced":
            return f"{doc['code']} {bare(doc['title'])}", bare(doc["summary"])
        case "keyword" | "verb":
            return f"{doc[leaf.kind]}: {bare(doc['title'])}", bare(doc["summary"])
        case "comparison":
            a, b = doc["a"], doc["b"]
            words = {"a": a["code"], "b": b["code"], "title_a": bare(a["title"]), "title_b": bare(b["title"])}
            return site["code_against"].format(**words), bare(doc["verdict"])
        case "choose":
            return site["compare_two"], site["lead"]
        case "explanation":
            return site["explain"], site["paste"]
    return site["title"], site["lead"]


def _linked_data(leaf: Leaf, address: str) -> Markup | None:
    """A code as a DefinedTerm of schema.org, for a data block: no character in it can end the element."""
    if leaf.kind not in ("code", "enhanced"):
        return None
    doc: Document = leaf.document
    term = {
        "@context": "https://schema.org",
        "@type": "DefinedTerm",
        "@id": address,
        "termCode": str(doc["code"]),
        "name": bare(doc["title"]),
        "description": bare(doc["summary"]),
        "inLanguage": doc["language"],
        "inDefinedTermSet": {"@type": "DefinedTermSet", "name": "SMTP reply codes"},
    }
    text = json.dumps(term, ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704  # escaped for JSON within an element
