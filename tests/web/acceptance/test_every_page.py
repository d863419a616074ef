"""Every page, in both languages, both themes and at three widths: it fits, speaks its reader's language, and is quiet."""

from __future__ import annotations

import pytest

from tests.web.acceptance.eyes import LANGUAGES, Eyes
from tests.web.acceptance.pages import WIDTHS, Notes, Tour

FAULTS = {"/queue?code=x&older=y&state=z": 400, "/message/nothing-like-this": 404, "/nowhere": 404}


def test_every_page_is_there(tour: Tour) -> None:
    found = {path: one.status for (path, _), one in tour.notes.items() if one.status != FAULTS.get(path, 200)}
    assert found == {}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("what", ["wide", "clipped", "spilt", "outside"])
def test_every_page_fits(tour: Tour, what: str, width: int) -> None:
    assert tour.faults(lambda one: one.layout[width][what]) == ""


def test_no_name_of_a_text_stands_for_the_text(tour: Tour) -> None:
    assert tour.faults(lambda one: one.facts["keys"]) == ""


def test_no_page_speaks_the_other_language(tour: Tour) -> None:
    assert tour.faults(lambda one: one.facts["foreign"]) == ""


def test_every_page_says_its_language(tour: Tour) -> None:
    assert {(tag, one.facts["lang"]) for (_, tag), one in tour.notes.items()} == {(tag, tag) for tag in LANGUAGES}


def test_protocol_text_is_not_to_be_translated(tour: Tour) -> None:
    assert tour.faults(lambda one: one.facts["protocol"]) == ""


def test_titles_and_headings_lead_through_the_page(tour: Tour) -> None:
    assert tour.faults(lambda one: one.facts["headings"]) == ""
    assert tour.faults(lambda one: [] if one.facts["title"].endswith(" · Postroad") else [one.facts["title"]]) == ""


def test_no_mark_is_there_twice(tour: Tour) -> None:
    assert tour.faults(lambda one: one.facts["ids"]) == ""


def test_every_link_leads_somewhere(tour: Tour) -> None:
    assert len(tour.links) > 200
    known = {path for path in FAULTS if path.partition("?")[0] not in ("/queue",)}
    broken = {href: status for href, status in tour.links.items() if status >= 400 and href not in known}
    assert {href: status for href, status in broken.items() if "code=x" not in href} == {}
    assert tour.faults(lambda one: one.facts["fragments"]) == ""


def test_no_page_complains(tour: Tour) -> None:
    assert tour.faults(_complaints) == ""


def _complaints(one: Notes) -> list[str]:
    """All but that the page itself is a fault, which the browser remarks, and what a mail's HTML had to be denied."""
    said = [text for text in one.record.console if "Failed to load resource" not in text or one.status < 400]
    return [*said, *one.record.dialogs, *one.stopped]


def test_no_page_asks_anybody_else(tour: Tour, eyes: Eyes) -> None:
    assert tour.faults(lambda one: one.record.strangers(eyes.base)) == ""
