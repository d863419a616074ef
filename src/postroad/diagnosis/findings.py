"""What diagnosis finds, as values: which of the known findings, how grave, and what was seen; the words come later.

The table KINDS is all that can be found: where it stands in the report, how grave it is of itself, who acts, and which
commands look further. Its words are in replies/locales/LL/diagnose.toml under the same names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from postroad.replies import Reply


class Level(IntEnum):
    """How grave a finding is."""

    OK = 0
    INFO = 1
    WARN = 2
    ERROR = 3

    @property
    def label(self) -> str:
        """As documents and options write it."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found."""

    id: str
    """``greeting.tls-only``: a key of KINDS."""
    level: Level
    seen: str = ""
    """The evidence: what was heard or read. A stranger's text; make it printable before it is shown."""
    waited: float | None = None
    """Seconds until it was seen, or that were waited in vain."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What the words name: host, port, names, numbers."""
    reply: Reply | None = None
    """The host's, when it refused in words; ``command`` is what it answers."""
    command: str = ""
    records: tuple[str, ...] = ()
    """What to publish in the DNS, a record each as a zone file writes it."""

    @property
    def kind(self) -> Kind:
        """Its row of the table."""
        return KINDS[self.id]

    @property
    def step(self) -> str:
        """Where in the report it stands: ``connect``, ``greeting``, ``tls`` …"""
        return self.kind.step

    @property
    def skipped(self) -> bool:
        """Nothing was looked at."""
        return self.id.endswith(".skipped")


@dataclass(frozen=True, slots=True)
class Kind:
    """A row of the table."""

    step: str
    level: Level
    actor: str = "nobody"
    """``operator`` of the server looked at, ``network`` (whoever runs the path between), ``dns`` (the domain's owner),
    ``you`` (who asks), ``nobody``."""
    next: tuple[str, ...] = ()
    """Commands that look further; ``{host}``, ``{port}``, ``{where}`` (both), ``{target}``, ``{domain}`` … are filled in."""
    strict: bool = False
    """A warning between servers, an error where people log in (RFC 8314)."""


_OK, _INFO, _WARN, _ERROR = Level.OK, Level.INFO, Level.WARN, Level.ERROR
_AGAIN: Final = "postroad diagnose {target} --timeout 300"
_LISTENS: Final = "ss -ltnp 'sport = :{port}'   # on the server"
_LOG: Final = "journalctl -u postfix -u exim4 -u postroad --since -10min   # on the server"
_ELSEWHERE: Final = "postroad diagnose {target}   # from another network"
_SUBMISSION: Final = "postroad diagnose {host} --as submission"
_TLS: Final = "openssl s_client -starttls smtp -connect {where} -servername {host} -showcerts"
_TLS_FIRST: Final = "postroad diagnose {where} --implicit-tls"

KINDS: Final[Mapping[str, Kind]] = {
    # the name and the connection
    "name.not-found": Kind("name", _ERROR, "dns", ("dig {host} A {host} AAAA", "postroad diagnose ADDRESS")),
    "name.no-address": Kind("name", _ERROR, "dns", ("dig {host} A {host} AAAA", "dig {host} MX")),
    "name.dns-failed": Kind("name", _ERROR, "dns", ("dig {host} A", "dig +trace {host} A", "cat /etc/resolv.conf")),
    "name.not-dialled": Kind("connect", _ERROR, "dns", ("dig {host} A {host} AAAA",)),
    "connect.ok": Kind("connect", _OK),
    "connect.refused": Kind("connect", _ERROR, "operator", (_LISTENS, _SUBMISSION, _ELSEWHERE)),
    "connect.timeout": Kind("connect", _ERROR, "network", (_ELSEWHERE, "postroad diagnose gmail.com   # is port 25 blocked here?", _SUBMISSION)),
    "connect.blocked-here": Kind("connect", _WARN, "you", ("postroad diagnose gmail.com   # is port 25 blocked here?", _ELSEWHERE)),
    "connect.unreachable": Kind("connect", _ERROR, "network", ("ip route get {address}", _ELSEWHERE)),
    "connect.no-family": Kind("connect", _INFO, "you", ("ip -6 route show default",)),
    "connect.forbidden": Kind("connect", _ERROR, "you", ("ip route get {address}", "nft list ruleset   # as root, here")),
    "connect.failed": Kind("connect", _ERROR, "you", (_AGAIN,)),
    "probe.too-long": Kind("connect", _ERROR, "operator", (_AGAIN,)),
    # the greeting
    "greeting.ok": Kind("greeting", _OK),
    "greeting.slow": Kind("greeting", _WARN, "operator", (_LOG,)),
    "greeting.silent": Kind("greeting", _ERROR, "operator", (_AGAIN, _LISTENS, _LOG)),
    "greeting.tls-only": Kind("greeting", _ERROR, "you", (_TLS_FIRST, "postroad diagnose {host} --port 587")),
    "greeting.tls-other": Kind("greeting", _ERROR, "you", ("openssl s_client -connect {where} -servername {host}", _SUBMISSION)),
    "greeting.closed": Kind("greeting", _ERROR, "operator", (_LOG, _ELSEWHERE, _TLS_FIRST)),
    "greeting.reset": Kind("greeting", _ERROR, "network", (_ELSEWHERE, _LOG)),
    "greeting.cut": Kind("greeting", _ERROR, "operator", (_LOG, _ELSEWHERE)),
    "greeting.554": Kind("greeting", _ERROR, "operator", ("postroad explain 554", _ELSEWHERE)),
    "greeting.421": Kind("greeting", _ERROR, "operator", ("postroad explain 421", "postroad diagnose {target}   # in ten minutes")),
    "greeting.521": Kind("greeting", _ERROR, "dns", ("postroad explain 521", "dig {host} MX")),
    "greeting.refused": Kind("greeting", _ERROR, "operator", ("postroad explain '{reply}'", _ELSEWHERE)),
    "greeting.not-smtp": Kind("greeting", _ERROR, "you", (_LISTENS, _SUBMISSION)),
    "greeting.unfinished": Kind("greeting", _ERROR, "operator", (_AGAIN, _LOG)),
    "greeting.line-ends": Kind("greeting", _ERROR, "operator", (_LISTENS,)),
    "greeting.code": Kind("greeting", _ERROR, "operator", ("postroad explain 220", _LISTENS)),
    "greeting.malformed": Kind("greeting", _ERROR, "operator", ("postroad explain 220", _LISTENS)),
    "greeting.flood": Kind("greeting", _ERROR, "operator", (_LISTENS,)),
    "greeting.no-name": Kind("greeting", _WARN, "operator", ("postconf smtpd_banner   # Postfix, on the server",)),
    "greeting.masked": Kind("greeting", _WARN, "network", (_ELSEWHERE, "postroad diagnose 127.0.0.1   # on the server")),
    "greeting.odd-name": Kind("greeting", _WARN, "operator", ("hostname -f   # on the server",)),
    # names
    "name.ok": Kind("name", _OK),
    "name.ehlo-differs": Kind("name", _WARN, "operator", ("postconf myhostname smtpd_banner   # Postfix, on the server",)),
    "name.ptr-ok": Kind("name", _OK),
    "name.ptr-none": Kind("name", _WARN, "network", ("dig -x {address}",)),
    "name.ptr-differs": Kind("name", _WARN, "network", ("dig -x {address}",)),
    "name.ptr-unconfirmed": Kind("name", _WARN, "dns", ("dig {ptr} A {ptr} AAAA", "dig -x {address}")),
    "name.ptr-failed": Kind("name", _INFO, "network", ("dig -x {address}",)),
    "name.ptr.skipped": Kind("name", _INFO),
    # EHLO
    "ehlo.ok": Kind("ehlo", _OK),
    "ehlo.inside": Kind("ehlo", _OK),
    "ehlo.unknown": Kind("ehlo", _WARN, "operator", ("postroad explain EHLO", _ELSEWHERE)),
    "ehlo.refused": Kind("ehlo", _ERROR, "operator", ("postroad explain '{reply}'", "postroad diagnose {target} --ehlo YOUR.NAME")),
    "ehlo.closed": Kind("ehlo", _ERROR, "operator", (_LOG, _ELSEWHERE)),
    "ehlo.silent": Kind("ehlo", _ERROR, "operator", (_AGAIN, _LOG)),
    "ehlo.garbled": Kind("ehlo", _ERROR, "operator", ("postroad diagnose {target} --transcript",)),
    "ehlo.mangled": Kind("ehlo", _WARN, "network", (_ELSEWHERE, "postroad diagnose 127.0.0.1   # on the server")),
    "ehlo.not-smtp": Kind("ehlo", _ERROR, "you", (_LISTENS, "postroad diagnose {where} --as lmtp")),
    "ehlo.odd": Kind("ehlo", _WARN, "operator", ("postroad diagnose {target} --transcript",)),
    # TLS and its certificate
    "starttls.missing": Kind("starttls", _WARN, "operator", ("postconf smtpd_tls_security_level   # Postfix, on the server", _ELSEWHERE), True),
    "starttls.refused": Kind("starttls", _ERROR, "operator", ("postroad explain '{reply}'", _LOG)),
    "starttls.injection": Kind("starttls", _ERROR, "network", (_TLS, _ELSEWHERE)),
    "starttls.garbled": Kind("starttls", _ERROR, "operator", (_TLS,)),
    "tls.ok": Kind("starttls", _OK),
    "tls.failed": Kind("starttls", _ERROR, "operator", (_TLS, _LOG)),
    "tls.old": Kind("starttls", _ERROR, "operator", (f"{_TLS} -tls1_1", "postconf smtpd_tls_protocols   # Postfix, on the server")),
    "tls.plain": Kind("starttls", _ERROR, "operator", ("postroad diagnose {host} --port 587", _LISTENS)),
    "tls.dead-after": Kind("starttls", _ERROR, "operator", (_TLS, _LOG)),
    "cert.ok": Kind("cert", _OK),
    "cert.expired": Kind("cert", _ERROR, "operator", (_TLS, "certbot renew   # on the server, then reload it")),
    "cert.not-yet": Kind("cert", _ERROR, "operator", ("date -u   # here and on the server", _TLS)),
    "cert.soon": Kind("cert", _WARN, "operator", ("certbot renew --dry-run   # on the server",)),
    "cert.self-signed": Kind("cert", _WARN, "operator", (_TLS,), True),
    "cert.unknown-issuer": Kind("cert", _WARN, "operator", (_TLS,), True),
    "cert.name": Kind("cert", _WARN, "operator", (_TLS,), True),
    "cert.unreadable": Kind("cert", _ERROR, "operator", (_TLS,)),
    # login
    "auth.ok": Kind("auth", _OK),
    "auth.missing": Kind("auth", _ERROR, "operator", ("postconf smtpd_sasl_auth_enable   # Postfix, on the server",)),
    "auth.in-clear": Kind("auth", _WARN, "operator", ("postconf smtpd_tls_auth_only   # Postfix, on the server",)),
    "auth.accepted": Kind("auth", _OK),
    "auth.refused": Kind("auth", _ERROR, "you", ("postroad explain '{reply}'",)),
    "auth.not-tried": Kind("auth", _WARN, "operator"),
    # the envelope
    "mail.refused": Kind("mail", _ERROR, "you", ("postroad explain '{reply}'", "postroad diagnose {target} --rcpt {rcpt} --from YOUR@ADDRESS")),
    "mail.login": Kind("mail", _OK),
    "rcpt.ok": Kind("rcpt", _OK),
    "rcpt.refused": Kind("rcpt", _ERROR, "you", ("postroad explain '{reply}'",)),
    "rcpt.later": Kind("rcpt", _WARN, "you", ("postroad explain '{reply}'", "postroad diagnose {target} --rcpt {rcpt}   # in ten minutes")),
    "rcpt.skipped": Kind("rcpt", _INFO),
    "envelope.lost": Kind("rcpt", _ERROR, "operator", (_LOG,)),
    "relay.ok": Kind("relay", _OK),
    "relay.open": Kind("relay", _ERROR, "operator", (_ELSEWHERE, "postconf smtpd_relay_restrictions mynetworks   # Postfix, on the server")),
    "relay.unclear": Kind("relay", _INFO, "you", ("postroad diagnose {target} --probe-relay   # later",)),
    "relay.skipped": Kind("relay", _INFO),
    "quit.odd": Kind("quit", _INFO, "operator"),
    # the domain
    "mx.ok": Kind("mx", _OK),
    "mx.implicit": Kind("mx", _INFO, "dns", ("dig {domain} MX",)),
    "mx.null": Kind("mx", _INFO, "nobody", ("dig {domain} MX",)),
    "mx.null-mixed": Kind("mx", _ERROR, "dns", ("dig {domain} MX",)),
    "mx.failed": Kind("mx", _ERROR, "dns", ("dig {domain} MX", "dig +trace {domain} MX")),
    "mx.no-name": Kind("mx", _ERROR, "dns", ("dig {domain} MX",)),
    "mx.alias": Kind("mx", _WARN, "dns", ("dig {host} CNAME",)),
    "mx.no-address": Kind("mx", _ERROR, "dns", ("dig {host} A {host} AAAA",)),
    "mx.private": Kind("mx", _ERROR, "dns", ("dig {host} A {host} AAAA",)),
    "mx.too-many": Kind("mx", _INFO, "nobody", ("dig {domain} MX",)),
    "spf.ok": Kind("spf", _OK),
    "spf.missing": Kind("spf", _WARN, "dns", ("dig {domain} TXT",)),
    "spf.failed": Kind("spf", _WARN, "dns", ("dig {domain} TXT",)),
    "spf.many": Kind("spf", _ERROR, "dns", ("dig {domain} TXT",)),
    "spf.syntax": Kind("spf", _ERROR, "dns", ("dig {domain} TXT",)),
    "spf.lookups": Kind("spf", _ERROR, "dns", ("dig {domain} TXT",)),
    "spf.plus-all": Kind("spf", _ERROR, "dns", ("dig {domain} TXT",)),
    "spf.open-end": Kind("spf", _WARN, "dns", ("dig {domain} TXT",)),
    "spf.ptr": Kind("spf", _WARN, "dns", ("dig {domain} TXT",)),
    "dkim.ok": Kind("dkim", _OK),
    "dkim.skipped": Kind("dkim", _INFO),
    "dkim.missing": Kind("dkim", _ERROR, "dns", ("dig {name} TXT",)),
    "dkim.failed": Kind("dkim", _WARN, "dns", ("dig {name} TXT",)),
    "dkim.many": Kind("dkim", _ERROR, "dns", ("dig {name} TXT",)),
    "dkim.syntax": Kind("dkim", _ERROR, "dns", ("dig {name} TXT",)),
    "dkim.revoked": Kind("dkim", _WARN, "dns", ("dig {name} TXT",)),
    "dkim.short": Kind("dkim", _WARN, "dns", ("dig {name} TXT",)),
    "dkim.testing": Kind("dkim", _INFO, "dns", ("dig {name} TXT",)),
    "dmarc.ok": Kind("dmarc", _OK),
    "dmarc.inherited": Kind("dmarc", _OK),
    "dmarc.missing": Kind("dmarc", _WARN, "dns", ("dig {name} TXT",)),
    "dmarc.failed": Kind("dmarc", _WARN, "dns", ("dig {name} TXT",)),
    "dmarc.many": Kind("dmarc", _ERROR, "dns", ("dig {name} TXT",)),
    "dmarc.syntax": Kind("dmarc", _ERROR, "dns", ("dig {name} TXT",)),
    "dmarc.none": Kind("dmarc", _INFO, "dns", ("dig {name} TXT",)),
    "dmarc.no-reports": Kind("dmarc", _INFO, "dns", ("dig {name} TXT",)),
    "dmarc.reports-refused": Kind("dmarc", _WARN, "dns", ("dig {permit} TXT",)),
}  # fmt: skip


def found(
    id: str,
    seen: str = "",
    *,
    level: Level | None = None,
    waited: float | None = None,
    reply: Reply | None = None,
    command: str = "",
    records: tuple[str, ...] = (),
    **facts: object,
) -> Finding:
    """A finding of the table; its level when none is given. Raises KeyError for what the table lacks."""
    kind = KINDS[id]
    named = {name: str(value) for name, value in facts.items()}
    return Finding(id, kind.level if level is None else level, seen, waited, named, reply, command, records)
