"""The static site: every link leads to a file, every file is whole, and nothing is overwritten unasked."""

from __future__ import annotations

import json
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import pytest

from postroad.cli.main import main
from postroad.reference.book import Book
from postroad.reference.site import build, pages
from postroad.replies import catalogue as home
from postroad.replies.catalogue import Catalogue

KEPT = (220, 421, 455, 555)


class Page(HTMLParser):
    """What a page points at, and its identifiers."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.elements: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.links += [value for name, value in attrs if name in ("href", "src", "action") and value]


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Book:
    """A catalogue of few codes, in all languages."""
    root = tmp_path_factory.mktemp("catalogue")
    source = Path(home.__file__).parent
    for path in source.rglob("*.toml"):
        name = path.relative_to(source)
        if "codes" in name.parts and int(path.stem) not in KEPT:
            continue
        if "enhanced" in name.parts and path.stem != "5":
            continue
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, root / name)
    return Book(Catalogue(root))


@pytest.fixture(scope="module")
def site(book: Book, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    steps: list[int] = []
    assert build(book, folder, step=steps.append) == pages(book) == sum(steps)
    return folder


def test_every_link_leads_to_a_file(site: Path) -> None:
    found = list(site.rglob("*.html"))
    assert len(found) > 20
    for path in found:
        page = Page(path.read_text(encoding="utf-8"))
        assert page.links and "form" not in page.elements
        for link in page.links:
            parts = urlsplit(link)
            assert not parts.scheme and not parts.netloc and not link.startswith("/"), (path, link)
            target = path.parent / unquote(parts.path) if parts.path else path
            assert target.resolve().is_file(), (path, link)


def test_every_page_has_its_twins(site: Path, book: Book) -> None:
    for language in book.languages:
        for path in book.paths():
            document = json.loads((site / language / f"{path}.json").read_text(encoding="utf-8"))
            assert document["schema"].startswith("postroad.")
            assert (site / language / f"{path}.md").read_text(encoding="utf-8").startswith("# ")
        rows = json.loads((site / language / "search-index.json").read_text(encoding="utf-8"))
        assert {"220", "455"} <= {row["name"] for row in rows}
        assert all((site / language / row["path"]).is_file() for row in rows)
    assert (site / "llms.txt").is_file() and not (site / "sitemap.xml").exists()


def test_languages_have_the_same_pages(site: Path, book: Book) -> None:
    files = [{path.relative_to(site / tag) for path in (site / tag).rglob("*")} for tag in book.languages]
    assert all(each == files[0] for each in files)


def test_the_sitemap_lists_what_is_for_search_engines(book: Book, tmp_path: Path) -> None:
    build(book, tmp_path, base="https://example.com/smtp/")
    assert "(https://example.com/smtp/en/codes/455.md)" in (tmp_path / "llms.txt").read_text()
    tree = ElementTree.fromstring((tmp_path / "sitemap.xml").read_text(encoding="utf-8"))
    places = [each.text or "" for each in tree.iter("{http://www.sitemaps.org/schemas/sitemap/0.9}loc")]
    assert "https://example.com/smtp/ja/compare/220-vs-455.html" in places
    assert not any("555-vs" in place or "421-vs-455" in place for place in places)
    for place in places:
        name = place.removeprefix("https://example.com/smtp/")
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert f'<link rel="canonical" href="{place}">' in text
        assert "noindex" not in text


def test_a_folder_with_files_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], book: Book
) -> None:
    monkeypatch.setattr("postroad.replies.catalogue.catalogue", lambda: book.catalogue)
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine", encoding="utf-8")
    assert main(["reference", "build", str(folder)]) == 64
    assert "is not empty" in capsys.readouterr().err
    assert [each.name for each in folder.iterdir()] == ["mine.txt"]
    assert main(["reference", "build", str(folder), "--force", "--base-url", "https://example.com"]) == 0
    assert f"pages in {folder}" in capsys.readouterr().out
    assert (folder / "mine.txt").read_text(encoding="utf-8") == "mine"
    for wrong in ("example.com", 'https://e.example/"x', "https://e.example/\udcff", "https://e.example/<"):
        assert main(["reference", "build", str(tmp_path / "other"), "--base-url", wrong]) == 64
