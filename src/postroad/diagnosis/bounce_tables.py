"""The tables by which bounces are read: who writes how, and what the words of those without a reply mean.

``bounce_families.toml`` and ``bounce_rules.toml`` beside this file; read once, when first asked for.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from postroad.replies.catalogue import catalogue
from postroad.replies.classify import Rules, rules_from

_LISTS: Final = (
    "returned", "sent", "following", "before", "daemons", "subjects", "failure", "hints", "surely", "delayed", "expired", "labels", "idle",
)  # fmt: skip
_HERE: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Family:
    """Who writes so: one of the phrases of a list must be in the place that the list is named for."""

    id: str
    sender: tuple[str, ...] = ()
    subject: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    """``name`` or ``name: phrase``."""
    text: tuple[str, ...] = ()
    status: tuple[str, ...] = ()

    def fits(self, header: Mapping[str, str], text: str, status: str) -> bool:
        """Whether one of its marks is there; ``text`` and ``status`` are casefolded."""
        sender, subject = header.get("from", "").casefold(), header.get("subject", "").casefold()
        return (
            _holds(self.sender, sender)
            or _holds(self.subject, subject)
            or any(has_field(header, mark) for mark in self.header)
            or _holds(self.text, text)
            or _holds(self.status, status)
        )


@dataclass(frozen=True, slots=True)
class Tables:
    """All of them; phrases are in lower case."""

    families: tuple[Family, ...]
    returned: tuple[str, ...]
    """What stands before the returned message in a text."""
    sent: tuple[str, ...]
    """The same within a line of dashes."""
    following: tuple[str, ...]
    """What stands before the recipients."""
    before: tuple[str, ...]
    """What stands right before one within a sentence."""
    daemons: tuple[str, ...]
    """Local parts, and words of names, of the programs that write bounces."""
    subjects: tuple[str, ...]
    failure: tuple[str, ...]
    hints: tuple[str, ...]
    """The same, in a mail without a return address."""
    surely: tuple[str, ...]
    """What only a bounce says in its first lines."""
    delayed: tuple[str, ...]
    expired: tuple[str, ...]
    idle: tuple[str, ...]
    """What stands in lines that say nothing of the cause."""
    labels: tuple[str, ...]
    """What stands before the address of a recipient."""
    vacation: Mapping[str, tuple[str, ...]]
    challenge: Mapping[str, tuple[str, ...]]
    feedback: Mapping[str, tuple[str, ...]]
    reasons: Mapping[str, str]
    """Reason of the catalogue -> reason of a bounce, where that is another one."""
    hard: frozenset[str]
    rules: Rules


def has_field(header: Mapping[str, str], mark: str) -> bool:
    """``x-mailer: groupwise``, or the mere name of a field."""
    name, colon, phrase = mark.partition(": ")
    return name in header and (not colon or phrase in header[name].casefold())


def _holds(phrases: tuple[str, ...], text: str) -> bool:
    return any(phrase in text for phrase in phrases)


@cache
def tables() -> Tables:
    """The tables that came with the program."""
    read = _toml("bounce_families.toml")
    lists = {name: tuple(read["words"][name]) for name in _LISTS}
    reasons = dict(_toml_of_reasons())
    return Tables(
        families=tuple(Family(**{key: _frozen(value) for key, value in one.items()}) for one in read["family"]),
        vacation={key: tuple(value) for key, value in read["vacation"].items()},
        challenge={key: tuple(value) for key, value in read["challenge"].items()},
        feedback={key: tuple(value) for key, value in read["feedback"].items()},
        reasons=dict(read["reasons"]),
        hard=frozenset(read["hard"]["reasons"]),
        rules=rules_from(_toml("bounce_rules.toml"), reasons),
        **lists,
    )


def _toml(name: str) -> dict[str, Any]:
    return tomllib.loads((_HERE / name).read_text("utf-8"))


def _toml_of_reasons() -> dict[str, object]:
    """The reasons of the catalogue, in the form in which rules want them."""
    return {
        name: {
            "actor": one.actor,
            "temporary": "depends" if one.temporary is None else one.temporary,
            "remedy": one.remedy,
        }
        for name, one in catalogue().rules.reasons.items()
    }


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
