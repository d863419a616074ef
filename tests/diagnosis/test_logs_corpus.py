"""Every line of the corpus is read as its expectation says."""

from __future__ import annotations

import pytest

from postroad.diagnosis.logs_event import Event
from postroad.diagnosis.logs_reading import FORMATS
from postroad.diagnosis.logs_reasons import Reasons
from postroad.replies.catalogue import catalogue
from postroad.replies.classify import numbers
from tests.diagnosis.log_corpus import LOGS, NAMES, events_of


def written(event: Event, reasons: Reasons) -> str:
    code, status = numbers(event.reply) if event.reply else ("", "")
    fields = (event.outcome, event.to, code, status or event.status, event.command, reasons.find(event).reason)
    return "|".join(field or "-" for field in (*fields, event.host))


def expected(name: str) -> list[str]:
    lines = (LOGS / f"{name}.expected").read_text("utf-8").split("\n")
    return ["|".join(_split(line)) for line in lines if line]


def _split(line: str) -> list[str]:
    outcome, _, rest = line.partition(" ")
    to, code, status, command, reason, host = rest.rsplit(" ", 5)
    return [outcome, to, code, status, command, reason, host]


@pytest.mark.parametrize("name", NAMES)
def test_every_line_is_read_as_expected(name: str) -> None:
    reasons = Reasons(catalogue())
    log, found = events_of(name)
    assert [written(event, reasons) for event in found] == expected(name)
    assert [reader.name for reader in log.found] == [name.partition("-")[0]]
    assert log.events == len(found)
    assert log.octets == (LOGS / f"{name}.log").stat().st_size


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [7, 100, 4096])
def test_blocks_of_any_size_are_read_alike(name: str, size: int) -> None:
    assert events_of(name, size)[1] == events_of(name)[1]


def test_there_is_a_log_of_each_format() -> None:
    assert {name.partition("-")[0] for name in NAMES} == set(FORMATS)
