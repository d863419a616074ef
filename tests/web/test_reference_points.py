"""The page of 220 against 455, in HTML: every point of it is there, and no sentence stands twice."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.cli.test_compare import LANGUAGES, POINTS

HEADINGS = {
    "en": ("Description", "When you see it", "How to fix it", "Key differences", "Which one when", "Learn more"),
    "ja": ("説明", "このコードが表示される場合", "解決方法", "主な違い", "どちらをいつ使うか", "詳しく見る"),
}


def shown(page: str) -> str:
    """What a reader sees of the main part, a block a line, the transcript left out."""
    main = page[page.index("<main") : page.index("</main>")]
    main = re.sub(r"<pre.*?</pre>", "", main, flags=re.DOTALL)
    main = re.sub(r"</?(?:p|li|td|th|tr|h[1-6]|dt|dd|div|caption|section|ol|ul)\b[^>]*>", "\n", main)
    text = html.unescape(re.sub(r"<[^>]+>", "", main))
    return "\n".join(" ".join(line.split()) for line in text.split("\n") if line.strip())


@pytest.fixture
def page(in_house: Callable[..., None]) -> Callable[[str], str]:
    def get(path: str) -> str:
        found: list[str] = []

        async def work(house: Any, client: httpx.AsyncClient) -> None:
            answer = await client.get(path)
            assert answer.status_code == 200
            found.append(answer.text)

        in_house(work)
        return found[0]

    return get


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_point_of_the_pair_is_on_the_page(page: Callable[[str], str], language: str) -> None:
    text = shown(page(f"/{language}/compare/220-vs-455"))
    index = LANGUAGES.index(language)
    missing = {point: one for point, both in POINTS.items() for one in both[index] if not re.search(one, text)}
    assert missing == {}
    assert [heading for heading in HEADINGS[language] if heading not in text] == []


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("pair", ["220-vs-455", "455-vs-555", "450-vs-550", "431-vs-452"])
def test_no_sentence_stands_twice_on_a_page(page: Callable[[str], str], language: str, pair: str) -> None:
    text = shown(page(f"/{language}/compare/{pair}"))
    parts = [part.strip() for part in re.split(r"\n|(?<=。)|(?<=[.!?]) ", text)]
    said = Counter(part for part in parts if re.search(r"[.。]\Z", part) and len(part) > 12)
    assert {sentence: times for sentence, times in said.items() if times > 1} == {}
