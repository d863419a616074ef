"""Rows of the look at the own house in words of one language: for its page and for the API."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from postroad.admin.setup import Check, Level, Record, Report
from postroad.diagnosis.findings import Finding
from postroad.diagnosis.telling import Teller
from postroad.web.texts import Texts

#: Rows of which the sentence counts something.
_COUNTED: Final = frozenset(("port25.delivered", "port25.greeted", "secrets.ok"))
_OCTETS: Final = frozenset(("free", "least"))
#: Evidence that is a number of octets, or a moment in seconds since the epoch.
SIZES: Final = frozenset(("disk-free", "disk-least", "disk-total"))
MOMENTS: Final = frozenset(("cert-renewed", "cert-ends", "clock-now"))
#: Where a row stands; a domain has a group of its own.
_GROUPS: Final = {
    **dict.fromkeys(("hostname", "addresses", "ptr", "resolver"), "name"),
    **dict.fromkeys(("mx", "spf", "dkim", "dmarc"), "domain"),
    **dict.fromkeys(("certificate", "listening", "door"), "doors"),
    "port25": "leaving",
}


@dataclass(frozen=True, slots=True)
class Said:
    """One sentence, with what to do about it."""

    verdict: str
    means: str = ""
    do: str = ""


@dataclass(frozen=True, slots=True)
class ToldCheck:
    """A row in words."""

    check: Check
    label: str
    level: str
    """``ok`` … ``fail``."""
    level_word: str
    said: tuple[Said, ...]
    """At least one; of strangers in part."""
    records: tuple[Record, ...]
    evidence: tuple[tuple[str, str, str], ...]
    """(kind, label, value)."""

    @property
    def anchor(self) -> str:
        """An id for the page."""
        return re.sub(r"[^a-z0-9]+", "-", self.check.id.lower()).strip("-")


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that stand together."""

    name: str
    """The end of its key, ``setup.group.…``."""
    subject: str
    """A domain, or ``""``."""
    rows: tuple[ToldCheck, ...]


@cache
def _teller(language: str) -> Teller:
    return Teller(language)


def told(check: Check, texts: Texts) -> ToldCheck:
    """The row in words."""
    teller = _teller(texts.language)
    said = [_own(check, texts)] if check.said else []
    said += [_found(one, teller) for one in check.findings]
    level = check.level.label
    evidence = tuple((what, texts(f"setup.what.{what}"), value) for what, value in check.evidence)
    label, word = texts(f"setup.row.{check.slug}"), texts(f"setup.level.{level}")
    return ToldCheck(check, label, level, word, tuple(said), check.records, evidence)


def groups(report: Report, texts: Texts) -> list[Group]:
    """All rows, in their groups, in the order of the report."""
    found: dict[tuple[str, str], list[ToldCheck]] = {}
    for one in report.checks:
        name = _GROUPS.get(one.slug, "machine")
        found.setdefault((name, one.subject if name == "domain" else ""), []).append(told(one, texts))
    return [Group(name, subject, tuple(rows)) for (name, subject), rows in found.items()]


def counted(report: Report, texts: Texts) -> list[tuple[str, str]]:
    """How many rows have which verdict, the gravest first: (level, ``2 × Fails``)."""
    wanted = [level for level in sorted(Level, reverse=True) if report.count(level)]
    return [
        (one.label, texts("setup.counted", count=report.count(one), level=texts(f"setup.level.{one.label}")))
        for one in wanted
    ]


def _own(check: Check, texts: Texts) -> Said:
    facts = _facts(check.facts, texts) | {"address": check.subject}
    key = f"setup.said.{check.said}"
    if check.said in _COUNTED:
        facts.pop("count", None)
        count = int(check.facts["count"])  # strict: a number of ours
        verdict = texts.n(key, count, **facts)
    else:
        verdict = texts(key, **facts)
    do = f"setup.do.{check.said}"
    return Said(verdict, "", texts(do) if do in texts else "")


def _facts(facts: Mapping[str, str], texts: Texts) -> dict[str, Any]:
    return {
        name: texts.size(int(value)) if name in _OCTETS else value  # strict: a number of ours
        for name, value in facts.items()
    }


def _found(one: Finding, teller: Teller) -> Said:
    found = teller.told(one)
    verdict = found.verdict
    if teller.language == "en" and teller.words["findings"][one.id]["verdict"][:1] != "{":
        verdict = verdict[:1].upper() + verdict[1:]
    return Said(verdict, found.means, found.do)
