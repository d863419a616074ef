"""The whole reference as files that any web server can serve, in every language, with relative links."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from postroad.reference import markdown
from postroad.reference.book import INDEX, Book
from postroad.reference.links import FileLinks, Links
from postroad.reference.rendering import STATIC, Renderer
from postroad.replies.documents import Document

#: Written in every site; a folder that has it was made here.
MARK: Final = "search-index.json"


def build(book: Book, folder: Path, *, base: str = "", step: Callable[[int], None] = lambda count: None) -> int:
    """Write the site into ``folder``; ``step`` hears of pages as they are written. Gives the number of pages."""
    renderer, count = Renderer(book), 0
    paths = list(book.paths())
    for part in ("codes", "keywords", "verbs", "compare"):
        for language in book.languages:
            (folder / language / part).mkdir(parents=True, exist_ok=True)
    for language in book.languages:
        for path in paths:
            _write_page(book, renderer, folder, language, path, base)
            count += 1
            step(1)
        _write(folder / language / MARK, _as_json(search_index(book, language)))
    _write_rest(book, folder, base)
    return count


def pages(book: Book) -> int:
    """How many pages a site has."""
    return len(book.languages) * sum(1 for _ in book.paths())


def _write_page(book: Book, renderer: Renderer, folder: Path, language: str, path: str, base: str) -> None:
    leaf, name = book.leaf(language, path), f"{language}/{path}"
    _write(folder / f"{name}.html", renderer.page(leaf, language, FileLinks(name, base)))
    _write(folder / f"{name}.json", _as_json(leaf.document))
    words = book.catalogue.vocabulary(language)
    _write(folder / f"{name}.md", markdown.page(leaf.kind, leaf.document, words))


def _write_rest(book: Book, folder: Path, base: str) -> None:
    shutil.copytree(STATIC, folder / "static", dirs_exist_ok=True)
    _write(folder / "llms.txt", llms_text(book, FileLinks("llms", base)))
    _write(folder / "index.html", _front(book))
    if base:
        _write(folder / "sitemap.xml", sitemap(book, base))


def search_index(book: Book, language: str) -> list[Document]:
    """One small row for each page worth finding: path, name, title, summary."""
    index = book.index(language)
    rows = [("codes", str(one["code"]), one) for one in index["codes"]]
    rows += [("codes", one["code"], one) for one in index["enhanced"]]
    rows += [("keywords", one["keyword"], one) for one in index["keywords"]]
    rows += [("verbs", one["verb"], one) for one in index["verbs"]]
    return [
        {"path": f"{place}/{name}.html", "name": name, "title": one["title"], "summary": one.get("summary", "")}
        for place, name, one in rows
    ]


def sitemap(book: Book, base: str) -> str:
    """The pages that search engines may list, each with its other languages."""
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:xhtml="http://www.w3.org/1999/xhtml">',
    ]
    links = FileLinks("", base)
    for path in book.paths(indexed=True):
        others = "".join(
            f'<xhtml:link rel="alternate" hreflang="{tag}" href="{escape(links.whole(f"{tag}/{path}"))}"/>'
            for tag in book.languages
        )
        lines += [f"<url><loc>{escape(links.whole(f'{tag}/{path}'))}</loc>{others}</url>" for tag in book.languages]
    return "\n".join([*lines, "</urlset>", ""])


def llms_text(book: Book, links: Links) -> str:
    """``llms.txt``: what there is and where, in English, pointing at the Markdown."""
    say, index = book.catalogue.vocabulary("en"), book.index("en")
    return "\n".join(
        [f"# {say['site']['title']}", "", f"> {say['site']['lead']}", *_llms_lists(book, index, links), ""]
    )


def _llms_lists(book: Book, index: Document, links: Links) -> Iterator[str]:
    heads = book.catalogue.vocabulary("en")["headings"]
    groups = (
        ("codes", "codes", "codes", "code"),
        ("enhanced_codes", "enhanced", "codes", "code"),
        ("keywords", "keywords", "keywords", "keyword"),
        ("verbs", "verbs", "verbs", "verb"),
    )
    for heading, kind, place, key in groups:
        if index[kind]:
            yield from ("", f"## {heads[heading]}", "")
        for one in index[kind]:
            said = f": {one['summary']}" if one.get("summary") else ""
            yield f"- [{one[key]} {one['title']}]({links.whole_twin(f'en/{place}/{one[key]}', '.md')}){said}"
    yield from ("", f"## {heads['pairs']}", "")
    for one in index["pairs"]:
        name = f"{one['a']}-vs-{one['b']}"
        yield f"- [{one['a']} / {one['b']}]({links.twin(f'en/compare/{name}', '.md')})"


def _front(book: Book) -> str:
    """Where the site begins: the languages."""
    rows = "\n".join(
        f'<li><a lang="{tag}" hreflang="{tag}" href="{tag}/{INDEX}.html">{escape(say["site"]["title"])}'
        f" ({escape(say['language']['name'])})</a></li>"
        for tag in book.languages
        for say in [book.catalogue.vocabulary(tag)]
    )
    title = escape(book.catalogue.vocabulary("en")["site"]["title"])
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{title} · Postroad</title>\n<link rel="icon" href="static/icon.svg" type="image/svg+xml">\n'
        '<link rel="stylesheet" href="static/base.css">\n<link rel="stylesheet" href="static/reference.css">\n</head>\n<body>\n<main>\n'
        f'<h1>{title}</h1>\n<ul class="links">\n{rows}\n</ul>\n</main>\n</body>\n</html>\n'
    )


def _as_json(document: object) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"


def _write(path: Path, text: str) -> None:
    path.write_bytes(text.encode())
