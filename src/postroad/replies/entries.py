"""What the catalogue knows: facts that hold in every language, and the words for them in one language.

Facts come from RFC 5321, RFC 3463, RFC 5248 and the RFCs each entry names in ``sources``. Words are texts for people;
in them only wire text and literals stand between backticks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, Final, Self, TypeVar

Entry = TypeVar("Entry")

READERS: Final = ("sender", "administrator", "developer")
"""For whom the steps of a remedy are written, in the order in which they are shown."""


class CatalogueError(ValueError):
    """A file of the catalogue does not have the form it must have; the message says which field."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do, and how to see whether it helps."""

    do: str
    check: str


@dataclass(frozen=True, slots=True)
class CommandFacts:
    """How a code after one command differs from the code in general; None where it does not."""

    retry: str | None = None
    retry_else: str | None = None
    actor: str | None = None
    session: str | None = None
    queue: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """A step in the life of a code."""

    source: str
    event: str


@dataclass(frozen=True, slots=True)
class Scene:
    """One exchange in which the code is said; ``client`` is None where the server speaks first."""

    command: str
    server: str
    client: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeFacts:
    """A three-digit code (RFC 5321 section 4.2), or a number that is taken for one."""

    code: int
    name: str
    standing: str
    actor: str
    retry: str
    session: str
    queue: str
    sources: tuple[str, ...]
    retry_else: str | None = None
    confused_with: tuple[str, ...] = ()
    related: tuple[str, ...] = ()
    enhanced_registered: tuple[str, ...] = ()
    enhanced_seen: tuple[str, ...] = ()
    dotless: str | None = None
    commands: Mapping[str, CommandFacts]
    history: tuple[Event, ...] = ()
    scenes: tuple[Scene, ...] = ()

    @property
    def severity(self) -> int:
        """The first digit: what kind of answer it is (RFC 5321 section 4.2.1)."""
        return self.code // 100

    @property
    def category(self) -> int:
        """The second digit: what the answer is about."""
        return self.code // 10 % 10

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """From a file's tables; raises CatalogueError."""
        table = dict(document)
        commands = {verb: build(CommandFacts, facts) for verb, facts in table.pop("commands", {}).items()}
        history = tuple(build(Event, one) for one in table.pop("history", ()))
        scenes = tuple(build(Scene, one) for one in table.pop("scene", ()))
        table |= {"commands": MappingProxyType(commands), "history": history, "scenes": scenes}
        return build(cls, table)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeWords:
    """What is said of a code in one language."""

    title: str
    summary: str
    meaning: tuple[str, ...]
    when: tuple[str, ...]
    retry: str
    choose: str
    next: str
    notes: tuple[str, ...] = ()
    commands: Mapping[str, str]
    fix: Mapping[str, tuple[Step, ...]]
    missing: tuple[Step, ...] = ()
    confused: Mapping[str, str]

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """From a file's tables; raises CatalogueError."""
        table = dict(document)
        fix = {reader: tuple(build(Step, one) for one in steps) for reader, steps in table.pop("fix", {}).items()}
        missing = tuple(build(Step, one) for one in table.pop("missing", ()))
        table |= {"fix": MappingProxyType(fix), "missing": missing}
        table.setdefault("commands", {})
        table.setdefault("confused", {})
        return build(cls, table)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnhancedFacts:
    """A registered enhanced status code, its class left open: ``X.7.1`` (RFC 3463, RFC 5248)."""

    name: str
    classes: tuple[str, ...]
    standing: str
    actor: str
    retry: str
    sources: tuple[str, ...]
    basic: tuple[str, ...] = ()
    related: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EnhancedWords:
    """What is said of an enhanced status code in one language; steps by reader."""

    title: str
    summary: str
    meaning: tuple[str, ...]
    fix: Mapping[str, tuple[Step, ...]]
    notes: tuple[str, ...] = ()

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """From one table of a file; raises CatalogueError."""
        table = dict(document)
        fix: dict[str, tuple[Step, ...]] = {}
        for one in table.pop("steps", ()):
            fix[one["reader"]] = (*fix.get(one["reader"], ()), Step(one["do"], one["check"]))
        return build(cls, table | {"fix": MappingProxyType({r: fix[r] for r in READERS if r in fix})})


@dataclass(frozen=True, slots=True, kw_only=True)
class KeywordFacts:
    """A keyword of the EHLO answer, with what it adds to the protocol."""

    standing: str
    sources: tuple[str, ...]
    announced: bool = False
    verbs: tuple[str, ...] = ()
    mail_parameters: tuple[str, ...] = ()
    rcpt_parameters: tuple[str, ...] = ()
    ehlo_parameters: str = ""
    replies: tuple[str, ...] = ()
    on_refusal: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerbFacts:
    """A command, or a moment that is answered like one (``pseudo``)."""

    syntax: str
    sources: tuple[str, ...]
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    keyword: str = ""
    pseudo: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TermWords:
    """What is said of a keyword, a verb, a reason or a remedy in one language."""

    title: str
    summary: str = ""
    meaning: tuple[str, ...] = ()
    advice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderReply:
    """A reply as one provider words it; ``...`` in ``text`` stands for what was left out."""

    id: str
    text: str
    reason: str
    remedy: str
    source: str
    code: int | None = None
    enhanced: str | None = None
    checked: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """Who words its replies in its own way."""

    name: str
    replies: tuple[ProviderReply, ...]
    hosts: tuple[str, ...] = ()

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """From a file's tables; raises CatalogueError."""
        table = dict(document)
        replies = tuple(build(ProviderReply, one) for one in table.pop("reply", ()))
        return build(cls, table | {"replies": replies})


def build(kind: type[Entry], table: Mapping[str, Any]) -> Entry:
    """An entry from a table, lists as tuples and tables read-only; raises CatalogueError for a wrong key."""
    known = {one.name for one in fields(kind)}  # type: ignore[arg-type]  # every kind here is a dataclass
    if unknown := sorted(set(table) - known):
        raise CatalogueError(f"{kind.__name__} has no field {', '.join(unknown)}")
    try:
        return kind(**{key: _frozen(value) for key, value in table.items()})
    except TypeError as fault:
        raise CatalogueError(f"{kind.__name__}: {fault}") from fault


def _frozen(value: object) -> object:
    match value:
        case list():
            return tuple(value)
        case dict():
            return MappingProxyType(value)
    return value
