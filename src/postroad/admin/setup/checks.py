"""What a look at the own house found, as values: one check a row, how grave, the record that mends it, the evidence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Final

from postroad.diagnosis.findings import Finding
from postroad.diagnosis.findings import Level as Gravity
from postroad.net.dns_names import is_host_name

#: Ends of names that only a local network knows.
_LOCAL: Final = (".local", ".localdomain", ".internal", ".lan", ".home", ".arpa")


class Level(IntEnum):
    """The verdict of a row, from what needs nobody to what needs somebody now."""

    SKIP = 0
    """It does not apply here."""
    OK = 1
    NOTE = 2
    """Worth knowing; nothing is wrong."""
    UNKNOWN = 3
    """It could not be found out; that is no fault of what was asked about."""
    WARN = 4
    FAIL = 5

    @property
    def label(self) -> str:
        """As documents write it."""
        return self.name.lower()


_LEVELS: Final = {Gravity.OK: Level.OK, Gravity.INFO: Level.NOTE, Gravity.WARN: Level.WARN, Gravity.ERROR: Level.FAIL}


@dataclass(frozen=True, slots=True)
class Door:
    """A listener of ours."""

    role: str
    """``mx``, ``submission``, ``submissions``, ``dev``."""
    host: str
    port: int
    tls: str = "none"
    """``none``, ``starttls`` or ``implicit``."""

    @property
    def from_here(self) -> str:
        """An address of this machine by which it is reached."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the settings say that can be checked from outside of them."""

    hostname: str
    dev: bool = False
    doors: tuple[Door, ...] = ()
    domains: tuple[str, ...] = ()
    """Those whose mail we take."""
    state: Path | None = None
    min_free: int | None = None
    """Octets; None: the spool's own reserve."""
    resolver: tuple[tuple[str, int], ...] = ()
    """Name servers; none: the system's."""
    source: tuple[str, ...] = ()
    """Addresses that we call from; none: the system chooses."""
    via: str = "mx"
    port: int = 25
    """Where other mail hosts listen."""
    allow_networks: tuple[str, ...] = ()
    certificate: Path | None = None
    secrets: tuple[Path, ...] = ()
    """Files that nobody else may read."""

    @property
    def has_name(self) -> bool:
        """``hostname`` is one that others can look up: no address, no single label, none of a local network."""
        name = self.hostname
        return "." in name and is_host_name(name) and not name.endswith(_LOCAL)

    @property
    def sends_itself(self) -> bool:
        """Mail goes to the hosts of its recipients, not through somebody else's."""
        return self.via == "mx"


@dataclass(frozen=True, slots=True)
class Record:
    """What to publish in the DNS."""

    name: str
    """With its final dot."""
    type: str
    value: str
    """As a zone file writes it: names with a final dot, texts in quotes."""

    def __str__(self) -> str:
        return f"{self.name} {self.type} {self.value}"

    @classmethod
    def read(cls, line: str) -> Record:
        """Of a line of a zone file."""
        name, kind, value = line.split(" ", 2)
        return cls(name, kind, value)

    @property
    def plain(self) -> str:
        """The value as most forms of DNS providers want it: a text without its quotes."""
        if self.type != "TXT":
            return self.value
        return "".join(self.value[1:-1].split('" "')).replace('\\"', '"').replace("\\\\", "\\")


@dataclass(frozen=True, slots=True)
class Check:
    """One row."""

    slug: str
    """What was looked at: ``ptr``, ``mx`` …"""
    level: Level
    said: str = ""
    """The sentence that gives the verdict; ``""``: the findings give it."""
    subject: str = ""
    """Which one of several: a domain, an address, a listener."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What the sentence names; of strangers in part."""
    records: tuple[Record, ...] = ()
    evidence: tuple[tuple[str, str], ...] = ()
    """(what, how it is): ``what`` is a word of ours, the rest may be a stranger's."""
    findings: tuple[Finding, ...] = ()
    """What diagnosis says, gravest first."""

    @property
    def id(self) -> str:
        """Names the row among all of a report."""
        return f"{self.slug}:{self.subject}" if self.subject else self.slug


def check(
    slug: str,
    level: Level,
    said: str = "",
    subject: str = "",
    *,
    records: Iterable[Record] = (),
    evidence: Iterable[tuple[str, str]] = (),
    findings: Sequence[Finding] = (),
    **facts: object,
) -> Check:
    """A row; ``facts`` are what its sentence names."""
    named = {name: str(value) for name, value in facts.items()}
    return Check(slug, level, said, subject, named, tuple(records), tuple(evidence), tuple(findings))


def level_of(findings: Iterable[Finding]) -> Level:
    """The gravest; what could not be asked is unknown, and hides nothing graver."""
    return max((_level(one) for one in findings), default=Level.OK)


def _level(one: Finding) -> Level:
    if one.skipped:
        return Level.SKIP
    return Level.UNKNOWN if one.id.endswith("failed") and one.step in _ASKED else _LEVELS[one.level]


#: Steps that are questions to the DNS: their failure says nothing about the record.
_ASKED: Final = frozenset(("name", "mx", "spf", "dkim", "dmarc"))


def of_findings(
    slug: str, subject: str, findings: Sequence[Finding], evidence: Iterable[tuple[str, str]] = ()
) -> Check:
    """A row that diagnosis has the words for."""
    ordered = sorted(findings, key=_level, reverse=True)
    records = [Record.read(line) for one in ordered for line in one.records]
    seen = [(one.step, one.seen) for one in ordered if one.seen]
    return check(slug, level_of(findings), "", subject, records=records, evidence=[*evidence, *seen], findings=ordered)
