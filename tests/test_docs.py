"""The documents say what is so: every TOML example loads, every link leads somewhere."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tools import check_links

ROOT = Path(__file__).resolve().parent.parent
TOML = re.compile(r"^```toml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def examples() -> list[pytest.ParameterSet]:
    found = []
    for document in check_links.documents(ROOT):
        text = document.read_text(encoding="utf-8")
        for match in TOML.finditer(text):
            line = text.count("\n", 0, match.start(1)) + 1
            name = f"{document.relative_to(ROOT)}:{line}"
            found.append(pytest.param(match[1], name, id=name))
    return found


@pytest.mark.parametrize(("text", "name"), examples())
def test_an_example_loads(text: str, name: str) -> None:
    from postroad.settings import load_text

    tomllib.loads(text)
    settings = load_text(text, name)
    assert settings.warnings == ()


def test_the_readme_has_the_three_examples() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    tables = [set(tomllib.loads(example)) for example in TOML.findall(text)]
    assert [table for table in tables if "dev" in table]
    assert [table for table in tables if {"mx", "submission", "domain", "account"} <= table]
    assert 'deliver = "smtp:' in text


def test_every_link_leads_somewhere() -> None:
    assert check_links.problems() == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[a](gone.md)", "no such file"),
        ("[a](docs/design.md#nowhere)", "no such heading"),
        ("[a](#nowhere)", "no such heading"),
        ("[a]: gone.md", "no such file"),
        ("![a](gone.png)", "no such file"),
        ("[a](../elsewhere.md)", "out of the project"),
        ("see `tools/gone.py`", "no such file"),
    ],
)
def test_a_dead_link_is_found(tmp_path: Path, text: str, complaint: str) -> None:
    (found,) = check_links.problems(written(tmp_path, text))
    assert found.startswith("README.md: ")
    assert complaint in found


@pytest.mark.parametrize(
    "text",
    [
        "[a](docs/design.md#two-words-more)",
        "[a](#a-heading)\n\n# A heading",
        "[a](#same-1)\n\n# Same\n\n# Same",
        "[a](https://example.com/x)",
        "```\n[a](gone.md)\n# no heading\n```",
        "see `docs/design.md`",
    ],
)
def test_a_live_link_passes(tmp_path: Path, text: str) -> None:
    assert check_links.problems(written(tmp_path, text)) == []


def written(root: Path, text: str) -> Path:
    (root / "docs").mkdir()
    (root / "docs/design.md").write_text("# Design\n\n## Two words, `more`\n")
    (root / "README.md").write_text(text + "\n")
    return root
