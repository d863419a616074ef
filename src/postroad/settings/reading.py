"""From TOML text to Settings: every key has one reader here, and what has no reader is an error."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Final, Literal

from postroad.address import parse_mailbox
from postroad.errors import AddressSyntaxError, PostroadError, SettingsError
from postroad.inbox.chaos_rules import ChaosRule, read_rule
from postroad.settings import outgoing
from postroad.settings import values as v
from postroad.settings.coherence import check_coherence
from postroad.settings.hostname import default_hostname
from postroad.settings.model import (
    LOOPBACK,
    Account,
    Address,
    BareNewline,
    Dev,
    Domain,
    Journal,
    Limits,
    Listener,
    Network,
    Outbound,
    Overrides,
    Reports,
    Retry,
    Settings,
    Smtp,
    Tls,
    TlsVersion,
    Web,
    WebRole,
)
from postroad.settings.places import find_places, key_paths
from postroad.settings.tables import Faults, Table

DEV_PORT: Final = 1025
DEV_WEB_PORT: Final = 8025
_DAY: Final = 86400.0
_AT_LINE = re.compile(r" ?\(at line ([0-9]+), column [0-9]+\)")


def load(path: Path | None, overrides: Overrides | None = None) -> Settings:
    """Read the settings of ``path``; None gives dev mode. Raises SettingsErrors with everything that is wrong."""
    if path is None:
        return load_text("[dev]\n", "dev mode", overrides=overrides)
    try:
        text = path.read_text("utf-8")
    except OSError as fault:
        raise SettingsError(f"{path}: {os.strerror(fault.errno or 0)}", "name another file with --config") from fault
    except UnicodeDecodeError as fault:
        raise SettingsError(f"{path}: is not UTF-8 text") from fault
    return load_text(text, path.name, path=path.absolute(), overrides=overrides)


def read_again(settings: Settings) -> Settings:
    """The same file under the same command line, as it is now (SIGHUP); may take a second to find the host's name.

    Raises SettingsErrors.
    """
    return load(settings.path, settings.overrides)


def development(
    *,
    host: str | None = None,
    port: int | None = None,
    web_port: int | None = None,
    open_to_network: bool = False,
    state: Path | None = None,
) -> Settings:
    """Dev mode without a file: a developer's inbox on loopback; port 0 lets the system choose."""
    return load(None, Overrides(host, port, web_port, open_to_network, state))


def load_text(text: str, name: str, *, path: Path | None = None, overrides: Overrides | None = None) -> Settings:
    """Read settings from text; ``name`` stands in front of every fault. Raises SettingsErrors."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        found = _AT_LINE.search(str(fault))
        line = int(found[1]) if found else text.count("\n") + 1
        both = "[[user]]" in text and "overwrite" in str(fault)
        hint = "beside the system account `user =`, people stand in [[account]]" if both else "this is not TOML"
        raise SettingsError(f"{name}:{line}: {_AT_LINE.sub('', str(fault))}", hint) from fault
    faults = Faults(name, find_places(text))
    settings = _Reading(faults, overrides or Overrides(), path).settings(Table(document, "", faults))
    check_coherence(settings, faults)
    faults.raise_any()
    places = {key: faults.place(key) for key in (*faults.places, *key_paths(document))}
    return replace(settings, warnings=tuple(faults.warnings), places=places)


class _Reading:
    """The readers of the tables, with what they need beside the table."""

    def __init__(self, faults: Faults, overrides: Overrides, path: Path | None) -> None:
        self.faults = faults
        self.overrides = overrides
        self.path = path

    def settings(self, top: Table) -> Settings:
        """The whole document."""
        dev_mode = "dev" in top
        # TOML cannot hold `user = "postroad"` and [[user]] at once, so [[account]] is another name for the tables.
        people: Literal["user", "account"] = "user" if top.holds_tables("user") else "account"
        top.later("workers", (1,), "more than one worker")
        top.later("language", ("en",), "another language than English on the wire")
        mx = top.table("mx", lambda table: self._listener(table, (25,), submission=False))
        submission = top.table("submission", lambda table: self._listener(table, (587,), submission=True))
        submissions = top.table("submissions", lambda table: self._listener(table, (465,), submission=True))
        trusted = tuple(n for one in (mx, submission, submissions) if one is not None for n in one.trusted_networks)
        settings = Settings(
            hostname=self._hostname(top, dev_mode),
            state=self._state(top, dev_mode),
            user="" if people == "user" else top.take("user", v.word, ""),
            tls=top.table("tls", _tls),
            smtp=top.table("smtp", _smtp) or Smtp(),
            mx=mx,
            submission=submission,
            submissions=submissions,
            web=top.table("web", self._web) or (self._web(Table({}, "web", self.faults)) if dev_mode else None),
            domains=top.tables("domain", _domain),
            accounts=top.tables(people, _account),
            people=people,
            outbound=top.table("outbound", outgoing.outbound) or Outbound(),
            destinations=top.tables("destination", outgoing.destination),
            retry=top.table("retry", outgoing.retry) or Retry(),
            reports=top.table("reports", outgoing.reports) or Reports(),
            journal=top.table("journal", outgoing.journal) or Journal(),
            limits=top.table("limits", lambda table: _limits(table, trusted)) or Limits(exempt=_exempt(trusted)),
            dev=top.table("dev", self._dev),
            path=self.path,
            overrides=self.overrides,
        )
        top.close()
        return settings

    def _hostname(self, top: Table, dev_mode: bool) -> str:
        name = top.take("hostname", v.domain, "")
        if name or "hostname" in top:
            return name or "localhost"
        if dev_mode:
            return "localhost"
        name, doubt = default_hostname()
        if doubt:
            self.faults.warn("", f"{self.faults.name}: hostname is not set and {doubt}; we call ourselves {name}")
        return name

    def _state(self, top: Table, dev_mode: bool) -> Path:
        written = top.take("state", v.absolute_path, None)
        if self.overrides.state is not None:
            return self.overrides.state.absolute()
        return written if written is not None else default_state(dev_mode)

    def _listener(self, table: Table, ports: tuple[int, ...], *, submission: bool) -> Listener:
        everywhere: tuple[Address, ...] = tuple((host, port) for port in ports for host in ("0.0.0.0", "::"))
        table.later("proxy_protocol", (False,), "the PROXY protocol")
        reject: BareNewline = "reject"
        return Listener(
            listen=table.take("listen", v.listed(v.host_port, 1), everywhere),
            auth=table.take("auth", v.flag, submission),
            trusted_networks=table.take("trusted_networks", v.listed(v.trusted_network), ()),
            greet_delay=table.take("greet_delay", v.duration(0, 60), 0.0),
            hold_for=table.take("hold_for", v.duration(0, 365 * _DAY), 30 * _DAY) if submission else 0.0,
            bare_newline=table.take("bare_newline", _bare_newline, reject),
            optional="listen" not in table,
        )

    def _web(self, table: Table) -> Web:
        usual: tuple[Address, ...] = (("127.0.0.1", DEV_WEB_PORT),)
        listen = table.take("listen", v.listed(v.host_port, 1), usual)
        return Web(self._moved(listen, self.overrides.web_port), table.take("public_url", v.url, ""))

    def _dev(self, table: Table) -> Dev:
        usual: tuple[Address, ...] = (("127.0.0.1", DEV_PORT),)
        listen = table.take("listen", v.listed(v.host_port, 1), usual)
        return Dev(
            listener=Listener(listen=self._moved(listen, self.overrides.port), auth=True),
            keep=table.take("keep", v.integer(1, 1_000_000), 500),
            chaos=tuple(rule for rule in table.tables("chaos", _chaos) if rule is not None),
            open_to_network=self.overrides.open_to_network,
        )

    def _moved(self, listen: tuple[Address, ...], port: int | None) -> tuple[Address, ...]:
        """Where the command line wants it; a host or port given there replaces those of the first address."""
        host = self.overrides.host
        if host is None and port is None:
            return listen
        return ((host if host is not None else listen[0][0], port if port is not None else listen[0][1]),)


def default_state(dev_mode: bool) -> Path:
    """Where the spool lives unless said: the user's own state folder, for root with a file /var/lib/postroad."""
    if not dev_mode and os.geteuid() == 0:
        return Path("/var/lib/postroad")
    base = os.environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".local" / "state") / "postroad"


def _tls(table: Table) -> Tls:
    hint = "a PEM file; both cert and key are needed"
    return Tls(
        cert=table.need("cert", v.absolute_path, Path("/"), hint),
        key=table.need("key", v.absolute_path, Path("/"), hint),
        minimum=table.take("minimum", _tls_version, "1.2"),
    )


_tls_version: v.Reader[TlsVersion] = v.one_of("1.2", "1.3")
_bare_newline: v.Reader[BareNewline] = v.one_of("reject", "normalize")


def _smtp(table: Table) -> Smtp:
    return Smtp(
        show_version=table.take("show_version", v.flag, False),
        expn=table.take("expn", v.flag, False),
        help_url=table.take("help_url", v.help_url, ""),
    )


def _domain(table: Table) -> Domain:
    name = table.need("name", v.domain, "", 'for example name = "example.com"')
    return Domain(
        name=name,
        deliver=table.need("deliver", v.deliver, "hold", '"maildir:/path/{domain}/{user}", "smtp:HOST:PORT" or "hold"'),
        recipients=table.take("recipients", lambda value: _recipients(value, name), None),
        postmaster=table.take("postmaster", v.mailbox, ""),
        terms=outgoing.terms(table),
    )


def _recipients(value: object, domain: str) -> tuple[str, ...] | None:
    """``"*"`` (None) or local parts; the domain may be written too, when it is this one."""
    if value == "*":
        return None
    found = v.listed(lambda one: _recipient(one, domain))(value)
    twice = [one for index, one in enumerate(found) if one.lower() in map(str.lower, found[:index])]
    if twice:
        raise SettingsError(f"{twice[0]!r} is listed twice; upper and lower case are one mailbox")
    return found


def _recipient(value: object, domain: str) -> str:
    written = v.word(value)
    if written == "*":
        raise SettingsError('"*" stands alone: recipients = "*"')
    try:
        found = parse_mailbox(written if "@" in written else f"{written}@{domain or 'example'}")
    except AddressSyntaxError as fault:
        raise SettingsError(f"{written[:80]!r} is no local part", fault.hint) from fault
    if domain and found.destination != domain:
        raise SettingsError(f"{written[:80]!r} is not in {domain}")
    return found.local_part


def _account(table: Table) -> Account:
    return Account(
        name=table.need("name", v.word, "", "the name given in AUTH, often the mail address"),
        password_hash=table.need("password_hash", v.password_hash, "", "make one with: postroad user hash"),
        senders=table.take("senders", v.listed(v.sender_pattern, 1), None),
        role=table.take("role", _role, None),
    )


def _role(value: object) -> WebRole:
    """``viewer`` or ``operator``, with the one that was likely meant."""
    roles: tuple[WebRole, ...] = ("viewer", "operator")
    try:
        return v.one_of(*roles)(value)
    except SettingsError as fault:
        near = get_close_matches(str(value).lower(), roles, n=1, cutoff=0.5)
        hint = f'did you mean "{near[0]}"?' if near else "leave it out for no access to the pages"
        raise SettingsError(fault.message, hint) from fault


def _exempt(trusted: tuple[Network, ...]) -> tuple[Network, ...]:
    return tuple(dict.fromkeys(LOOPBACK + trusted))


def _limits(table: Table, trusted: tuple[Network, ...]) -> Limits:
    usual = Limits()

    def count(key: str, default: int, minimum: int = 1) -> int:
        return table.take(key, v.integer(minimum, 10_000_000), default)

    return Limits(
        connections=count("connections", usual.connections),
        connections_per_client=count("connections_per_client", usual.connections_per_client, 0),
        messages_per_minute=count("messages_per_minute", usual.messages_per_minute, 0),
        recipients_per_minute=count("recipients_per_minute", usual.recipients_per_minute, 0),
        auth_failures_per_minute=count("auth_failures_per_minute", usual.auth_failures_per_minute, 0),
        tls_starts_per_minute=count("tls_starts_per_minute", usual.tls_starts_per_minute, 0),
        exempt=table.take("exempt", v.listed(v.network), _exempt(trusted)),
        command_timeout=table.take("command_timeout", v.duration(1, 86400), usual.command_timeout),
        content_timeout=table.take("content_timeout", v.duration(1, 86400), usual.content_timeout),
        min_rate=count("min_rate", usual.min_rate, 0),
        recipients=count("recipients", usual.recipients),
        message_size=table.take("message_size", v.size(1024), usual.message_size),
        min_free=table.take("min_free", v.size(), None),
        header_size=table.take("header_size", v.size(1024), usual.header_size),
        received=count("received", usual.received),
        line_octets=table.take("line_octets", v.size(1000), usual.line_octets),
        errors=count("errors", usual.errors),
        junk_commands=count("junk_commands", usual.junk_commands),
    )


def _chaos(table: Table) -> ChaosRule | None:
    """One rule, read by the rules' own reader; first each key alone, so that every fault has its line."""
    fields = table.everything()
    faulty = False
    for key, value in fields.items():
        usual = {} if key in ("reply", "enhanced") else {"reply": 455}
        if key != "enhanced":
            faulty |= not _readable(table, key, usual | {key: value})
    if faulty:
        return None
    try:
        return read_rule(fields)
    except PostroadError as fault:
        table.faults.add(table.path, f"dev.chaos: {fault.message}", fault.hint)
        return None


def _readable(table: Table, key: str, fields: dict[str, object]) -> bool:
    try:
        read_rule(fields)
    except PostroadError as fault:
        table.faults.add(table.key_path(key), f"dev.chaos: {fault.message}", fault.hint)
        return False
    return True
