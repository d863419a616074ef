"""Why a reply was said and what helps: ordered rules over its code, its enhanced status and its text.

The rules are data (rules.toml); here they are matched. The text is a stranger's: only its first characters are read,
and only by plain search for phrases, so that the work is bounded whatever it holds. The first rule that fits wins.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from postroad.replies.reply import Reply

#: Of a reply's text no more is read.
MAX_TEXT: Final = 4096

Confidence = Literal["high", "medium", "low"]

CONFIDENCES: Final = ("high", "medium", "low")
ACTORS: Final = ("sender", "administrator", "developer", "client", "nobody")

_CODE = re.compile(r"([2-5][0-9]{2})(?:[ -]|\Z)")
#: Some hosts write "#5.1.0" or "(5.7.1)" where RFC 2034 has the bare status.
_STATUS = re.compile(r"[#(\[]?([245])\.((?:0|[1-9][0-9]{0,2})\.(?:0|[1-9][0-9]{0,2}))(?![0-9]|\.[0-9])[)\]]?")
_TYPOGRAPHIC = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2010": "-", "\u2011": "-"})


@dataclass(frozen=True, slots=True)
class Classification:
    """What a reply means: slugs of reasons.toml and remedies.toml, and how it was found.

    ``temporary`` says whether the same message may be accepted later; None where nothing tells. ``mismatch`` names the
    disagreement of the reply code and the enhanced status; the code decides then (RFC 5321 section 4.2.1).
    """

    reason: str
    temporary: bool | None
    actor: str
    remedy: str
    confidence: Confidence
    rule: str
    mismatch: str | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason's facts; ``temporary`` is None where only the reply's class can tell."""

    actor: str
    temporary: bool | None
    remedy: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of rules.toml: every condition that is not empty must hold."""

    id: str
    reason: str
    remedy: str
    confidence: Confidence
    any: tuple[str, ...]
    all: tuple[str, ...]
    not_: tuple[str, ...]
    codes: tuple[str, ...]
    enhanced: tuple[str, ...]
    commands: tuple[str, ...]
    providers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules in their order, and the facts of the reasons they name. The last rule fits everything."""

    rules: tuple[Rule, ...]
    reasons: Mapping[str, Reason]


@dataclass(frozen=True, slots=True)
class _Said:
    """A reply, taken apart: ``code`` and ``status_class`` may be empty, ``status`` is "x.7.1" or empty."""

    code: str
    status_class: str
    status: str
    text: str

    @property
    def severity(self) -> str:
        return self.code[:1] or self.status_class


def classify(reply: Reply | str, *, command: str = "", provider: str = "", rules: Rules) -> Classification:
    """Say why a reply was given, from the reply alone or with what is known beside it.

    ``reply`` may be the line as it was said, with or without its code; a reply of several lines has its lines
    separated by newlines. ``command`` is the verb it answers (CONTENT for the end of the content), ``provider`` the
    name of a file in providers/. Never raises.
    """
    said = _take_apart(reply)
    verb = command.upper()
    for rule in rules.rules[:-1]:
        if _fits(rule, said, verb, provider):
            return _verdict(rule, said, rules)
    return _verdict(rules.rules[-1], said, rules)


def numbers(text: str) -> tuple[str, str]:
    """The code and the enhanced status of a reply as it was said, each empty where it has none."""
    said = _read(text[:MAX_TEXT])
    return said.code, said.status_class + said.status[1:]


def _take_apart(reply: Reply | str) -> _Said:
    if isinstance(reply, str):
        return _read(reply[:MAX_TEXT])
    text = reply.text[:MAX_TEXT]
    if reply.enhanced is None:  # a status of another class stays in the text
        return _read("\n".join(f"{reply.code} {line}" for line in text.split("\n")))
    status = f"x.{reply.enhanced.subject}.{reply.enhanced.detail}"
    return _Said(str(reply.code), str(reply.enhanced.severity), status, _plain(text))


def _read(text: str) -> _Said:
    """Take code and status off every line; those of the first line that has them count."""
    code = status_class = status = ""
    bodies: list[str] = []
    for line in text.split("\n"):
        body = line.strip()
        if (found := _CODE.match(body)) is not None:
            code = code or found[1]
            body = body[found.end() :].lstrip()
        if (found := _STATUS.match(body)) is not None:
            if not status:
                status_class, status = found[1], f"x.{found[2]}"
            body = body[found.end() :]
        bodies.append(body)
    return _Said(code, status_class, status, _plain(" ".join(bodies)))


def _plain(text: str) -> str:
    """The text as phrases are written: casefolded, single blanks, and one blank at each end to find words by."""
    visible = "".join(c if c.isprintable() else " " for c in text.translate(_TYPOGRAPHIC))
    return f" {' '.join(visible.casefold()[:MAX_TEXT].split())} "


def _fits(rule: Rule, said: _Said, command: str, provider: str) -> bool:
    if rule.codes and not (said.code in rule.codes or f"{said.severity}yz" in rule.codes):
        return False
    if rule.enhanced and said.status not in rule.enhanced:
        return False
    if (rule.commands and command not in rule.commands) or (rule.providers and provider not in rule.providers):
        return False
    text = said.text
    if rule.any and not any(phrase in text for phrase in rule.any):
        return False
    return all(phrase in text for phrase in rule.all) and not any(phrase in text for phrase in rule.not_)


def _verdict(rule: Rule, said: _Said, rules: Rules) -> Classification:
    reason = rules.reasons[rule.reason]
    temporary = reason.temporary
    if temporary is None and said.severity:
        temporary = said.severity == "4"
    return Classification(
        reason=rule.reason,
        temporary=temporary,
        actor=reason.actor,
        remedy=rule.remedy or reason.remedy,
        confidence=rule.confidence,
        rule=rule.id,
        mismatch=_mismatch(said),
    )


def _mismatch(said: _Said) -> str | None:
    """How the class of the status disagrees with that of the code, which RFC 2034 section 4 forbids."""
    if not said.code or not said.status_class or said.code[0] == said.status_class:
        return None
    match said.code[0], said.status_class:
        case "5", "4":
            return "transient-status-in-permanent-reply"
        case "4", "5":
            return "permanent-status-in-transient-reply"
        case (("4" | "5"), "2"):
            return "success-status-in-refusal"
        case _:
            return "failure-status-in-positive-reply"


def rules_from(document: Mapping[str, object], reasons: Mapping[str, object]) -> Rules:
    """Make rules of rules.toml and reasons.toml as parsed; raises ValueError naming the entry that is wrong."""
    facts = {name: _reason(name, entry) for name, entry in reasons.items()}
    entries = document.get("rule")
    if not isinstance(entries, Sequence) or isinstance(entries, str) or not entries:
        raise ValueError("no rules")
    rules = tuple(_rule(entry) for entry in entries)
    seen: set[str] = set()
    for rule in rules:
        if rule.id in seen:
            raise ValueError(f"rule {rule.id} stands twice")
        seen.add(rule.id)
        if rule.reason not in facts:
            raise ValueError(f"rule {rule.id}: no reason {rule.reason!r}")
    last = rules[-1]
    if last.any or last.all or last.not_ or last.codes or last.enhanced or last.commands or last.providers:
        raise ValueError(f"rule {last.id}: the last rule must fit every reply")
    return Rules(rules, facts)


def _reason(name: str, entry: object) -> Reason:
    table = _table(entry, f"reason {name}")
    actor, temporary, remedy = table.get("actor"), table.get("temporary"), table.get("remedy")
    if (
        actor not in ACTORS
        or not isinstance(remedy, str)
        or not (temporary == "depends" or isinstance(temporary, bool))
    ):
        raise ValueError(f"reason {name}: wrong facts")
    return Reason(str(actor), temporary if isinstance(temporary, bool) else None, remedy)


_LISTS: Final = ("any", "all", "not", "codes", "enhanced", "commands", "providers")
_WORDS: Final = ("id", "reason", "remedy", "confidence")


def _rule(entry: object) -> Rule:
    table = _table(entry, "a rule")
    name = str(table.get("id"))
    if unknown := set(table) - {*_LISTS, *_WORDS}:
        raise ValueError(f"rule {name}: unknown keys {sorted(unknown)}")
    words = {key: table.get(key, "") for key in _WORDS}
    confidence = words["confidence"] or "high"
    if not words["id"] or not all(isinstance(word, str) for word in words.values()) or confidence not in CONFIDENCES:
        raise ValueError(f"rule {name}: a wrong word")
    any_, all_, not_, codes, enhanced, commands, providers = (_phrases(table, key, name) for key in _LISTS)
    return Rule(
        id=name,
        reason=str(words["reason"]),
        remedy=str(words["remedy"]),
        confidence=confidence,
        any=any_,
        all=all_,
        not_=not_,
        codes=codes,
        enhanced=enhanced,
        commands=commands,
        providers=providers,
    )


def _phrases(table: Mapping[str, object], key: str, name: str) -> tuple[str, ...]:
    value = table.get(key, ())
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ValueError(f"rule {name}: {key} is no list")
    for phrase in value:
        if not isinstance(phrase, str) or not phrase or (key in ("any", "all", "not") and phrase != phrase.casefold()):
            raise ValueError(f"rule {name}: {key} has {phrase!r}, which is no lower-case text")
    return tuple(value)


def _table(entry: object, what: str) -> Mapping[str, object]:
    if not isinstance(entry, Mapping):
        raise ValueError(f"{what} is no table")
    return entry
