"""The settings as values: frozen, complete, checked. Nobody below ``service`` sees these types, only what is in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Final, Literal

from postroad.inbox.chaos_rules import ChaosRule

#: The name in the greeting (``220 mail.example.com ESMTP Postroad``).
SOFTWARE: Final = "Postroad"

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

Network = IPv4Network | IPv6Network
Address = tuple[str, int]
BareNewline = Literal["reject", "normalize"]
TlsVersion = Literal["1.2", "1.3"]
Role = Literal["mx", "submission", "submissions", "dev"]
TlsPolicy = Literal["never", "opportunistic", "require", "verify"]
ReportLanguage = Literal["sender", "en", "ja", "both"]
DoubleBounces = Literal["postmaster", "drop"]
WebRole = Literal["viewer", "operator"]

LOOPBACK: Final[tuple[Network, ...]] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


@dataclass(frozen=True, slots=True)
class Listener:
    """Where one role listens, and whom it knows."""

    listen: tuple[Address, ...]
    """(host, port); port 0 lets the system choose."""
    auth: bool
    """AUTH is offered: inside TLS to everybody, in clear to loopback peers only."""
    trusted_networks: tuple[Network, ...] = ()
    """Whoever connects from here may send to anybody without a password."""
    greet_delay: float = 0.0
    """Seconds between accept and greeting; who talks before it is an early talker."""
    hold_for: float = 0.0
    """Seconds that a message may ask to be held (RFC 4865); 0: it may not ask."""
    bare_newline: BareNewline = "reject"
    """What becomes of a bare CR or LF in content: refused with 550 5.5.2, or made CRLF."""
    optional: bool = False
    """``listen`` is our default, not the operator's word: an address family that the machine lacks is no error."""


@dataclass(frozen=True, slots=True)
class Tls:
    """One certificate for all listeners; the files are read again when they change and on SIGHUP."""

    cert: Path
    key: Path
    minimum: TlsVersion = "1.2"


@dataclass(frozen=True, slots=True)
class Smtp:
    """What the protocol shows of us."""

    show_version: bool = False
    """Name our release in the greeting."""
    expn: bool = False
    """Answer EXPN; else 502."""
    help_url: str = ""
    """Where a refusal sends its reader: a link with ``{code}`` in it, or a site that has ``/codes/455``."""


@dataclass(frozen=True, slots=True)
class Web:
    """The page and the API."""

    listen: tuple[Address, ...]
    public_url: str = ""
    """How people reach the page when a proxy stands before it; names one more permitted Host and Origin."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How one domain's mail is delivered, where that differs from all others'; None: it does not."""

    tls: TlsPolicy | None = None
    schedule: tuple[float, ...] | None = None
    expire: float | None = None
    connections: int | None = None
    """At the same time to one site."""
    rate: int | None = None
    """Messages a minute to one site; 0: no limit."""


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain whose mail we take."""

    name: str
    """Lower-case A-labels, or an address literal."""
    deliver: str
    """The route as written: ``maildir:/path/{domain}/{user}``, ``smtp:HOST:PORT``, ``hold``; delivery reads it."""
    recipients: tuple[str, ...] | None = None
    """The local parts that exist, in any case; None: every one."""
    postmaster: str = ""
    """The mailbox that gets what is sent to postmaster; empty: the domain's own postmaster."""
    terms: Terms = field(default_factory=Terms)


@dataclass(frozen=True, slots=True)
class Destination:
    """A domain that is not ours, and how its mail goes."""

    name: str
    via: str = ""
    """A route; empty: as all other mail."""
    account: str = ""
    password_file: Path | None = None
    terms: Terms = field(default_factory=Terms)


@dataclass(frozen=True, slots=True)
class Outbound:
    """Mail that leaves for domains that are not ours."""

    via: str = "mx"
    """``mx``, ``smtp:HOST:PORT`` (a smarthost) or ``hold``."""
    account: str = ""
    """For AUTH at the smarthost."""
    password_file: Path | None = None
    """Its first line is the password."""
    tls: TlsPolicy = "opportunistic"
    resolver: tuple[Address, ...] = ()
    """Name servers; none: the system's."""
    allow_networks: tuple[Network, ...] = ()
    """Networks that may be dialled although they are private, loopback or otherwise none of the internet's."""
    source: tuple[str, ...] = ()
    """Own addresses to call from, at most one of each family."""
    port: int = 25
    """Where the hosts of an MX record listen."""
    ipv4: bool = True
    ipv6: bool = True
    connections: int = 100
    """At the same time in all."""
    connections_per_site: int = 20
    rate: int = 0
    """Messages a minute to one site; 0: no limit."""


@dataclass(frozen=True, slots=True)
class Reports:
    """What senders are told, and how (RFC 3461 to 3464)."""

    language: ReportLanguage = "sender"
    """``sender``: the language of the mail, both when it says none."""
    double_bounces: DoubleBounces = "postmaster"
    """What becomes of a report that cannot be delivered."""
    postmaster: str = ""
    """Who gets those; empty: ``postmaster@`` our hostname."""


@dataclass(frozen=True, slots=True)
class Journal:
    """How long attempts are remembered after their messages are gone."""

    keep: float = 30 * 86400.0
    """Seconds."""
    size: int = GIB
    """Octets."""


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who may authenticate and then send to anybody."""

    name: str
    password_hash: str = field(repr=False)
    senders: tuple[str, ...] | None = None
    """``local@domain`` or ``@domain``, normalized; None: any reverse-path."""
    role: WebRole | None = None
    """What they may do on the pages and by the API; None: they cannot sign in there."""


@dataclass(frozen=True, slots=True)
class Retry:
    """When a deferred recipient is tried again."""

    schedule: tuple[float, ...] = (300.0, 1800.0, 3600.0, 7200.0, 14400.0)
    """Seconds between attempts; the last one repeats."""
    expire: float = 432000.0
    """Seconds after acceptance when trying ends (RFC 5321 section 4.5.4.1: 4 to 5 days)."""
    delay_notice: float | None = 14400.0
    """Seconds after which the sender is told once that mail is late; None: never."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client, one session and one message may take; counts of 0 in a rate mean no limit."""

    connections: int = 500
    connections_per_client: int = 20
    messages_per_minute: int = 100
    recipients_per_minute: int = 1000
    auth_failures_per_minute: int = 10
    tls_starts_per_minute: int = 60
    exempt: tuple[Network, ...] = LOOPBACK
    """Networks without per-client caps and rates; resolved: loopback and every trusted network unless set."""
    command_timeout: float = 300.0
    content_timeout: float = 300.0
    """Seconds that content may stand still."""
    min_rate: int = 500
    """Octets a second that content must keep up, on the average."""
    recipients: int = 1000
    message_size: int = 25 * MIB
    min_free: int | None = None
    """Octets of the disk that stay free; None: the spool judges by the disk's size, at most 1 GiB."""
    header_size: int = 256 * KIB
    received: int = 100
    line_octets: int = 64 * KIB
    errors: int = 20
    junk_commands: int = 100


@dataclass(frozen=True, slots=True)
class Dev:
    """The developer's inbox: every mail is caught, nothing leaves the machine."""

    listener: Listener
    keep: int = 500
    keep_octets: int = GIB
    chaos: tuple[ChaosRule, ...] = ()
    open_to_network: bool = False


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the command line says besides the file; None: nothing."""

    host: str | None = None
    port: int | None = None
    web_port: int | None = None
    open_to_network: bool = False
    state: Path | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that was decided before the start."""

    hostname: str
    state: Path
    user: str = ""
    """The system account to become before the first accept; empty: stay."""
    tls: Tls | None = None
    smtp: Smtp = field(default_factory=Smtp)
    mx: Listener | None = None
    submission: Listener | None = None
    submissions: Listener | None = None
    web: Web | None = None
    domains: tuple[Domain, ...] = ()
    accounts: tuple[Account, ...] = ()
    people: Literal["user", "account"] = "user"
    """The name of the tables that ``accounts`` were written in."""
    outbound: Outbound = field(default_factory=Outbound)
    destinations: tuple[Destination, ...] = ()
    retry: Retry = field(default_factory=Retry)
    reports: Reports = field(default_factory=Reports)
    journal: Journal = field(default_factory=Journal)
    limits: Limits = field(default_factory=Limits)
    dev: Dev | None = None
    """Not None: dev mode; every listener is then a developer's."""
    path: Path | None = None
    """The file all this was read from: what SIGHUP reads again."""
    overrides: Overrides = field(default_factory=Overrides, compare=False)
    """What the command line said besides."""
    warnings: tuple[str, ...] = ()
    """What is permitted but hardly meant."""
    places: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    """``tls.key`` -> ``postroad.toml:12``."""

    @property
    def listeners(self) -> Iterator[tuple[Role, Listener]]:
        """Every role that is switched on."""
        roles: tuple[tuple[Role, Listener | None], ...] = (
            ("mx", self.mx),
            ("submission", self.submission),
            ("submissions", self.submissions),
            ("dev", self.dev.listener if self.dev is not None else None),
        )
        return ((role, listener) for role, listener in roles if listener is not None)

    @property
    def control_socket(self) -> Path:
        """Where the running server answers the commands of this machine's owner."""
        return self.state / "control.sock"
