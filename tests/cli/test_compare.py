"""What ``postroad compare`` says: the first line, the pair of the page it began with, point by point, and no flaw."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from postroad.replies.catalogue import catalogue
from tests.cli.fake_server import Ended
from tests.cli.test_explain import NOT_FIRST, cells, is_harmless, on_terminal, without_colour

Run = Callable[..., Ended]
LANGUAGES = ("en", "ja")
FORMS = ((), ("--json",), ("--markdown",))

#: What the page of 220 against 455 must say: point -> what says it in English, and in Japanese. All must be found.
POINTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "220 is a positive completion": ((r"2yz", r"[Pp]ositive [Cc]ompletion"), (r"2yz", r"肯定完了応答")),
    "455 is a transient negative": ((r"4yz", r"[Tt]ransient [Nn]egative"), (r"4yz", r"一時的否定応答")),
    "220: ready to begin": ((r"ready to begin",), (r"始められる",)),
    "220: the first response on connecting": ((r"first (thing|reply)[^.]* connect",), (r"最初に(受け取る|届)",)),
    "220: port 25": ((r"\b25\b",), (r"ポート 25",)),
    "220: port 465": ((r"\b465\b",), (r"465",)),
    "220: port 587": ((r"\b587\b",), (r"587",)),
    "220: right after the connection": ((r"[Rr]ight after the connection",), (r"接続の直後",)),
    "220: the greeting": ((r"greeting",), (r"あいさつ",)),
    "220: the host name": ((r"host name",), (r"ホスト名",)),
    "220: the software": ((r"software",), (r"ソフトウェア名",)),
    "220: also the answer to STARTTLS": ((r"answers? (to )?STARTTLS",), (r"STARTTLS (に対して|への応答)",)),
    "220: nothing to fix": ((r"Nothing needs fixing", r"successful connection"), (r"対処は不要", r"接続が成功")),
    "220 missing: is the server running": ((r"server process is running",), (r"プロセスが動作",)),
    "220 missing: is the port right": (
        (r"port and TLS mode", r"implicit TLS"),
        (r"ポートと TLS の方式", r"暗黙の TLS"),
    ),
    "220 missing: is a firewall in the way": ((r"firewall",), (r"ファイアウォール",)),
    "455: the requested parameters": ((r"parameter after the address",), (r"パラメータが原因",)),
    "455: a temporary failure": ((r"temporary refusal", r"right now|at this moment"), (r"一時的に拒否", r"今は")),
    "455: an extension needs resources": (
        (r"extension", r"needs something that is not available", r"resources"),
        (r"拡張機能に必要", r"リソース", r"足りない"),
    ),
    "455: retry later": ((r"again later",), (r"時間をおいて再試行",)),
    "455: or with other parameters": ((r"without those|without the optional parameters",), (r"パラメータを外して",)),
    "455 lasting: simplify the request": ((r"simplify the request",), (r"要求を簡素化",)),
    "455 lasting: ask the administrator about resources": (
        (r"ask the administrator of the receiving server to check the resources",),
        (r"管理者に、?[^。]*リソース[^。]*確認",),
    ),
}


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POSTROAD_LANG", "LC_ALL", "LC_MESSAGES", "LANG", "NO_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


def page(run: Run, language: str, a: str = "220", b: str = "455") -> str:
    ended = run("compare", a, b, "--lang", language)
    assert (ended.code, ended.err) == (0, "")
    return ended.out


def without_wire_text(text: str) -> str:
    """A page without the transcript in it."""
    return "\n".join(line for line in text.split("\n") if not re.match(r"\s*[CS]:|\s+\.\.\.$", line))


def sentences(text: str) -> list[str]:
    parts = re.split(r"\n|(?<=\S)\s{2,}(?=\S)|(?<=。)|(?<=[.!?]) ", without_wire_text(text))
    whole = [re.sub(r"\A[^:。.]{1,30}: |\A[0-9]{3} +", "", part.strip()) for part in parts]
    return [part for part in whole if re.search(r"[.。!?]\Z", part) and len(part) > 12]  # "Wait." may be said again


# The page that the catalogue began with


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("point", POINTS)
def test_every_point_is_there(run: Run, point: str, language: str) -> None:
    shown = without_wire_text(page(run, language))
    assert [one for one in POINTS[point][LANGUAGES.index(language)] if not re.search(one, shown)] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_section_is_there(run: Run, language: str) -> None:
    say = catalogue().vocabulary(language)["headings"]
    shown = page(run, language)
    for name in ("description", "when", "fix", "missing", "differences", "which", "more"):
        assert say[name] in shown, name
    assert "postroad explain 220" in shown and "postroad explain 455" in shown


@pytest.mark.parametrize("language", LANGUAGES)
def test_which_to_use_when_is_said_to_both_sides(run: Run, language: str) -> None:
    found = run("compare", "220", "455", "--lang", language, "--json").document
    shown = page(run, language)
    for one in (found["a"], found["b"]):
        for part in ("choose", "next"):
            assert one["advice"][part] and one["advice"][part].replace("`", "") in shown


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_key_differences_are_in_rows(run: Run, language: str) -> None:
    found = run("compare", "220", "455", "--lang", language, "--json").document
    shown = page(run, language)
    differing = {row["field"]: row for row in found["rows"] if row["differs"]}
    assert {"class", "commands", "actor", "retry", "queue"} - {"actor"} <= differing.keys()
    for row in differing.values():
        assert re.search(rf"^{re.escape(row['label'])}\s+{re.escape(row['a'])}\s+{re.escape(row['b'])}$", shown, re.M)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("a", "b"), [("220", "455"), ("455", "555"), ("421", "451"), ("550", "554"), ("220", "554")])
def test_no_sentence_is_cut_doubled_or_said_twice(run: Run, language: str, a: str, b: str) -> None:
    shown = page(run, language, a, b)
    assert re.findall(r"\b([A-Za-z]+) \1\b", without_wire_text(shown), re.IGNORECASE) == []
    assert re.findall(r"をを|がが|はは|にに|でで|とと|([ぁ-ん一-龥ァ-ヶ]{3,})\1", shown) == []
    assert [one for one, times in Counter(sentences(shown)).items() if times > 1] == []
    found = run("compare", a, b, "--lang", language, "--json").document
    assert [text for text in paragraphs(found) if not re.search(r"[.。]`?\Z", text)] == []


def paragraphs(found: dict[str, Any]) -> list[str]:
    said = [found["verdict"]]
    for one in (found["a"], found["b"]):
        steps = [step for part in one["fix"].values() for step in part] + one["missing"]
        said += [one["summary"], *one["meaning"], *one["when"], *one["notes"], *one["advice"].values()]
        said += [step[part] for step in steps for part in ("do", "check")]
        said += [other["difference"] for other in one["confused"]]
    return said


@pytest.mark.parametrize(("a", "b"), [("220", "455"), ("455", "555"), ("421", "451"), ("550", "554")])
def test_the_japanese_page_has_no_english_sentence(run: Run, a: str, b: str) -> None:
    shown = without_wire_text(page(run, "ja", a, b))
    found = run("compare", a, b, "--lang", "ja", "--json").document
    for literal in sorted(re.findall(r"`([^`]+)`", str(found)), key=len, reverse=True):
        shown = shown.replace(literal, "")
    assert re.findall(r"\b[A-Z][a-z]+(?: [A-Za-z',]+){2,}[.:;]?", shown) == []
    for text in paragraphs(found):
        prose = re.sub(r"`[^`]*`", "", text)
        assert re.findall(r"[A-Za-z]+(?: [a-z]+){2,}", prose) == []
        assert re.search(r"[ぁ-んァ-ヶ一-龥]", prose)


# The first line


@pytest.mark.parametrize(
    ("language", "says"), [("en", r"never|same command"), ("ja", r"同じコマンドへの応答になることはありません")]
)
def test_the_first_lines_offer_the_pairs_that_were_meant(run: Run, language: str, says: str) -> None:
    shown = page(run, language)
    first, rest = shown.split("\n", 1)
    assert re.search(says, first) and "220" in first and "455" in first
    assert re.findall(r"postroad compare (\d+) (\d+)", rest) == [("455", "555"), ("452", "455"), ("220", "554")]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_first_line_names_the_commands_that_both_answer(run: Run, language: str) -> None:
    shown = page(run, language, "455", "555")
    first = shown.split("\n", 1)[0]
    assert "MAIL" in first and "RCPT" in first
    assert "postroad compare" not in shown


# In any order, in any form


@pytest.mark.parametrize("form", FORMS, ids=lambda form: "".join(form)[2:] or "text")
@pytest.mark.parametrize(("a", "b"), [("220", "455"), ("455", "555"), ("250", "550"), ("431", "452")])
def test_the_order_does_not_matter(run: Run, a: str, b: str, form: tuple[str, ...]) -> None:
    for language in LANGUAGES:
        one, other = (run("compare", *pair, *form, "--lang", language) for pair in ((a, b), (b, a)))
        assert (one.code, one.err) == (0, "") and one == other
        assert is_harmless(one.out)


def test_json(run: Run) -> None:
    found = run("compare", "455", "220", "--json").document
    assert found["schema"] == "postroad.comparison/1"
    assert (found["a"]["code"], found["b"]["code"]) == (220, 455)
    assert found["together"] == [] and found["curated"] is True
    assert [(pair["a"], pair["b"]) for pair in found["meant"]] == [(455, 555), (452, 455), (220, 554)]
    assert any(line.startswith("S: 455") for line in found["transcript"])


def test_the_session_shows_both(run: Run) -> None:
    lines = [line.strip() for line in page(run, "en").split("\n")]
    assert any(line.startswith("S: 220 ") for line in lines) and any(line.startswith("S: 455 ") for line in lines)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("columns", [40, 64, 80, 120])
def test_no_line_is_wider_than_the_terminal(columns: int, language: str) -> None:
    lines = without_colour(on_terminal(columns, "compare", "220", "455", "--lang", language)).split("\n")
    assert [line for line in lines if cells(line) > columns] == []
    assert [line for line in lines if re.search(rf"(?:^|\s\s)\s*[{NOT_FIRST}]", line)] == []


# What goes wrong


@pytest.mark.parametrize(
    "arguments",
    [("220",), (), ("220", "455", "555"), ("220", "220"), ("220", "455", "--x"), ("220", "455", "--lang", "x")],
)
def test_wrong_usage_ends_with_64(run: Run, arguments: tuple[str, ...]) -> None:
    ended = run("compare", *arguments)
    assert (ended.code, ended.out) == (64, "")
    assert ended.err.startswith("error: ") and "hint: " in ended.err


@pytest.mark.parametrize("unknown", ["599", "frobnicate", "4.7.1", "0220", "٢٢٠", ""])
def test_a_code_that_nobody_knows_ends_with_65(run: Run, unknown: str) -> None:
    for pair in (("220", unknown), (unknown, "220")):
        ended = run("compare", *pair)
        assert (ended.code, ended.out) == (65, "")
        assert ended.err.startswith("error: ") and unknown in ended.err
