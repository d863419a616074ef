"""Parameters of MAIL and RCPT as data: how each is read, written, accommodated, and given up (RFC 5321 section 4.1.1.11).

An extension is one file in ``extensions/`` that makes one ``Extension``; nothing else in the program spells its keyword.

| what arrived | reply |
|---|---|
| keyword unknown, or its extension not offered here | 555 5.5.4 |
| known but malformed, or given twice | 501 5.5.4 |
| known, never possible here | what its RFC names (SIZE: 552 5.3.4), else 555 5.5.4 |
| known, not just now | what its RFC names (SIZE: 452 4.3.1), else **455 4.5.4** |
| accommodated | the typed value enters the event |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any, Final, Generic, TypeVar, cast

from postroad.replies import Reply
from postroad.smtp.states import Verb

V = TypeVar("V")

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class OnRefusal(Enum):
    """What a client may do with a parameter that a server refuses."""

    OMIT = "omit"
    """The mail means the same without it."""
    OMIT_AND_REPORT = "omit and report"
    """May be dropped, but the sender is owed a word about it (RFC 3461 section 5.2.2)."""
    KEEP = "keep"
    """The mail must not go without it."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What can be honoured now; a value that the driver renews. Knowledge here expires, so it leads to 4yz only."""

    free_octets: int | None = None
    """Room for content now; None: enough for anything that may be announced."""
    size_limit: int = 0
    """The most octets a message may ever have here (RFC 1870); 0: no fixed limit."""
    unavailable: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    """``KEYWORD`` or ``KEYWORD=VALUE`` in capitals -> why it is refused just now (shown to the operator, not the peer)."""


#: RFC 5321 section 4.1.1.11: recognised, but not to be accommodated at this time.
NOT_NOW: Final = Reply(455, "Server unable to accommodate parameters just now, try again later", "4.5.4")


@dataclass(frozen=True, slots=True)
class Traits:
    """What of a session decides which extensions it is offered."""

    tls: bool = False
    """Inside TLS."""
    authenticated: bool = False
    """AUTH has succeeded."""
    auth_in_clear: bool = False
    """AUTH may be used without TLS (loopback peers only)."""
    submission: bool = False
    """On a submission port (RFC 6409)."""


def _always(value: Any, conditions: Conditions) -> Reply | None:
    return None


@dataclass(frozen=True, slots=True, eq=False)
class Parameter(Generic[V]):
    """One parameter of MAIL or RCPT; the object itself is the key under which its value travels."""

    keyword: str
    command: Verb
    parse: Callable[[str | None], V]
    """Text after ``=`` (None without one) to the value; raises ParameterSyntaxError."""
    encode: Callable[[V], str | None]
    """The reverse of ``parse``."""
    accommodate: Callable[[V, Conditions], Reply | None] = _always
    """None when the value can be honoured now, else the reply that says why not."""
    not_now: Reply = NOT_NOW
    """What its RFC names when the operator switched it off for a time."""
    on_refusal: OnRefusal = OnRefusal.KEEP
    octets: int = 0
    """How much longer its command line may be (RFC 5321 section 4.1.1.11 asks each extension to say)."""
    forced: bool = False
    """A client says it whatever the host announced: a person wants to see what the host makes of it."""

    def judge(self, value: V, conditions: Conditions) -> Reply | None:
        """What this server answers to ``value`` under ``conditions``; None: accommodated. Never outweighs not now."""
        reply = self.accommodate(value, conditions)
        if conditions.unavailable and (reply is None or reply.is_transient):
            encoded = self.encode(value)
            named = self.keyword if encoded is None else f"{self.keyword}={encoded.upper()}"
            if self.keyword in conditions.unavailable or named in conditions.unavailable:
                return self.not_now
        return reply


class Given:
    """The parameters that came with one MAIL or RCPT, typed; iterates over (parameter, value) in their order."""

    __slots__ = ("_values",)

    def __init__(self, values: dict[Parameter[Any], Any] | None = None) -> None:
        self._values: dict[Parameter[Any], Any] = values if values is not None else {}

    def get(self, parameter: Parameter[V]) -> V | None:
        """The value given for ``parameter``, None when it was not given."""
        return cast("V | None", self._values.get(parameter))

    def __contains__(self, parameter: Parameter[Any]) -> bool:
        return parameter in self._values

    def __iter__(self) -> Iterator[tuple[Parameter[Any], Any]]:
        return iter(self._values.items())

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Given) and self._values == other._values

    def __hash__(self) -> int:
        raise TypeError("Given is not hashable")

    def __str__(self) -> str:
        """As on the wire: ``SIZE=1000 BODY=8BITMIME``."""
        if not self._values:
            return ""
        words = ((parameter.keyword, parameter.encode(value)) for parameter, value in self._values.items())
        return " ".join(keyword if text is None else f"{keyword}={text}" for keyword, text in words)

    def __repr__(self) -> str:
        return f"Given({str(self)!r})"


#: Shared by every command that came without parameters.
NOTHING_GIVEN: Final = Given()


@dataclass(frozen=True, slots=True, eq=False)
class Extension:
    """One service extension: its EHLO line, its verbs and its parameters."""

    keyword: str
    rfc: str
    parameters: tuple[Parameter[Any], ...] = ()
    verbs: tuple[Verb, ...] = ()
    announce: Callable[[Traits], str | None] | None = None
    """The EHLO line, None when not offered in such a session; absent: the bare keyword, always."""
    check: Callable[[Given], Reply | None] | None = None
    """What its RFC says about several parameters together; None: they agree."""

    def line(self, traits: Traits) -> str | None:
        """The EHLO line, or None when the extension is not offered in such a session."""
        return self.keyword if self.announce is None else self.announce(traits)


class ExtensionSet:
    """The extensions that a host knows and honours; made once, shared by all sessions."""

    __slots__ = ("_by_keyword", "_by_verb", "_lines", "extensions", "line_octets")

    def __init__(self, extensions: tuple[Extension, ...] = ()) -> None:
        self.extensions = extensions
        self._by_verb: dict[Verb, Extension] = {verb: e for e in extensions for verb in e.verbs}
        self._by_keyword: dict[tuple[Verb, str], tuple[Extension, Parameter[Any]]] = {
            (parameter.command, parameter.keyword): (extension, parameter)
            for extension in extensions
            for parameter in extension.parameters
        }
        self._lines: dict[Traits, tuple[str, ...]] = {}
        #: Verb -> the longest command line with CRLF (RFC 5321 section 4.5.3.1.4 plus what extensions add).
        self.line_octets: dict[Verb, int] = {
            verb: 512 + sum(p.octets for e in extensions for p in e.parameters if p.command is verb) for verb in Verb
        }

    def find(self, command: Verb, keyword: str) -> tuple[Extension, Parameter[Any]] | None:
        """The parameter ``keyword`` (in capitals) of ``command`` with its extension, None when it is not known here."""
        return self._by_keyword.get((command, keyword))

    def of_verb(self, verb: Verb) -> Extension | None:
        """The extension that adds ``verb``, None when none here does."""
        return self._by_verb.get(verb)

    def named(self, keyword: str) -> Extension | None:
        """The extension with this EHLO keyword (in capitals)."""
        return next((e for e in self.extensions if e.keyword == keyword), None)

    def __contains__(self, extension: Extension) -> bool:
        return extension in self.extensions

    def lines(self, traits: Traits) -> tuple[str, ...]:
        """The EHLO lines of such a session, in the order of the set."""
        lines = self._lines.get(traits)
        if lines is None:
            lines = tuple(line for e in self.extensions if (line := e.line(traits)) is not None)
            self._lines[traits] = lines
        return lines

    def offered(self, command: Verb, keyword: str, traits: Traits) -> Parameter[Any] | None:
        """The parameter ``keyword`` of ``command``, None unless its extension is offered in such a session."""
        found = self._by_keyword.get((command, keyword))
        return found[1] if found is not None and found[0].line(traits) is not None else None
