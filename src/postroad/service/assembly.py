"""Settings become the values that rooms take: extensions, engine configuration, policies, routes, receptions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import postroad
from postroad.clock import Clock
from postroad.inbound.pace import Deadlines
from postroad.inbound.passwords import Passwords
from postroad.inbound.reception import Addressing, ConditionsNow, Reception
from postroad.inbox.chaos import Chaos
from postroad.net.tls import Certificate
from postroad.observe.metrics import Metrics
from postroad.observe.sessions import SessionRecord
from postroad.policy.accounts import Accounts, AnyPassword
from postroad.policy.clients import Networks
from postroad.policy.rates import RateLimits, Rates
from postroad.policy.relaying import Catching, LocalDomain, OwnSenders, Relaying, SubmittersOnly
from postroad.policy.stages import Policies, Policy
from postroad.service import outgoing
from postroad.service.counting import CountedSessions
from postroad.service.help_topics import help_topic
from postroad.settings import SOFTWARE, Limits, Listener, Role, Settings, WebRole
from postroad.smtp import extensions as ext
from postroad.smtp.parameters import Extension, ExtensionSet
from postroad.smtp.sasl import MECHANISMS
from postroad.smtp.server_config import ServerConfig
from postroad.spool.interface import Spool

_SUBMISSION: Final = ("submission", "submissions")


@dataclass(frozen=True, slots=True)
class Shared:
    """What lives as long as the service, through every reload."""

    spool: Spool
    clock: Clock
    conditions: ConditionsNow
    rates: Rates
    chaos: Chaos | None
    sessions: Callable[[SessionRecord], None]
    metrics: Metrics


def rate_limits(limits: Limits) -> RateLimits:
    """The counts that a client may reach."""
    return RateLimits(
        connections=limits.connections,
        connections_per_client=limits.connections_per_client,
        messages_per_minute=limits.messages_per_minute,
        recipients_per_minute=limits.recipients_per_minute,
        auth_failures_per_minute=limits.auth_failures_per_minute,
        tls_starts_per_minute=limits.tls_starts_per_minute,
    )


def offered_extensions(limits: Limits, clock: Clock, *, tls: bool, auth: bool, hold_for: float = 0.0) -> ExtensionSet:
    """The extensions whose every half exists, in the order of the EHLO answer; ``hold_for`` in seconds (RFC 4865)."""
    offered: list[Extension] = [
        ext.size(limits.message_size),
        ext.PIPELINING,
        ext.EIGHTBITMIME,
        ext.SMTPUTF8,
        ext.ENHANCEDSTATUSCODES,
        ext.CHUNKING,
        ext.BINARYMIME,
        ext.DSN,
        ext.deliver_by(),
        ext.MT_PRIORITY,
        ext.limits(recipients=limits.recipients),
    ]
    if hold_for:
        longest = timedelta(seconds=int(hold_for))  # strict: a number of ours
        offered.append(ext.future_release(longest, lambda: datetime.fromtimestamp(clock.wall(), UTC)))
    if tls:
        offered.append(ext.STARTTLS)
    if auth:
        offered.append(ext.auth(tuple(MECHANISMS)))
    return ExtensionSet((*offered, ext.HELP))


def receptions(
    settings: Settings, shared: Shared, certificate: Certificate | None, authenticator: Accounts | AnyPassword
) -> dict[str, Reception]:
    """One for each listener that is switched on."""
    domains = local_domains(settings)
    return {
        role: _reception(settings, role, listener, shared, certificate, authenticator, domains)
        for role, listener in settings.listeners
    }


def local_domains(settings: Settings) -> tuple[LocalDomain, ...]:
    """The domains whose mail we take."""
    return tuple(
        LocalDomain.of(
            one.name,
            one.recipients,
            one.postmaster,
            on_hold=one.deliver == "hold",
            is_final=one.deliver.startswith("maildir:"),
        )
        for one in settings.domains
    )


def _reception(
    settings: Settings,
    role: Role,
    listener: Listener,
    shared: Shared,
    certificate: Certificate | None,
    authenticator: Accounts | AnyPassword,
    domains: tuple[LocalDomain, ...],
) -> Reception:
    limits = settings.limits
    implicit = role == "submissions"
    passwords = Passwords(authenticator, shared.rates)
    policies, addressing = _policies(settings, role, shared, passwords, domains)
    return Reception(
        name=role,
        config=_engine_config(settings, listener, shared, tls=certificate is not None and not implicit),
        spool=shared.spool,
        clock=shared.clock,
        conditions=shared.conditions,
        policies=policies,
        addressing=addressing,
        counting=CountedSessions(shared.rates, shared.metrics),
        trusts=Networks(listener.trusted_networks).__contains__,
        sessions=shared.sessions,
        deadlines=Deadlines(command=limits.command_timeout, content=limits.content_timeout, min_rate=limits.min_rate),
        tls=None if certificate is None else certificate.implicit if implicit else certificate.starttls,
        implicit_tls=implicit,
        auth_in_clear_on_loopback=listener.auth,
        greet_delay=listener.greet_delay,
        message_size=limits.message_size,
        header_octets=limits.header_size,
        max_received=limits.received,
        keep_transcripts=settings.dev is not None,
    )


def _engine_config(settings: Settings, listener: Listener, shared: Shared, *, tls: bool) -> ServerConfig:
    limits = settings.limits
    version = f" {postroad.__version__}" if settings.smtp.show_version else ""
    return ServerConfig(
        hostname=settings.hostname,
        extensions=offered_extensions(limits, shared.clock, tls=tls, auth=listener.auth, hold_for=listener.hold_for),
        software=f"{SOFTWARE}{version}",
        max_recipients=limits.recipients,
        max_errors=limits.errors,
        max_junk=limits.junk_commands,
        line_octets=limits.line_octets,
        normalize=listener.bare_newline == "normalize",
        expn=settings.smtp.expn,
        tls_available=tls,
        mechanisms=tuple(MECHANISMS) if listener.auth else (),
        help_url=settings.smtp.help_url,
        explain=help_topic,
        count=shared.metrics.said,
    )


def _policies(
    settings: Settings, role: str, shared: Shared, passwords: Passwords, domains: tuple[LocalDomain, ...]
) -> tuple[Policies, Addressing]:
    """Who is asked, in order: first what costs us, then what people set, then whose mail it is."""
    if settings.dev is not None:
        chaos: tuple[Policy, ...] = (shared.chaos,) if shared.chaos is not None else ()
        return Policies.of(shared.rates, *chaos, passwords), Catching()
    relaying = Relaying(domains, settings.hostname, outgoing.holds(outgoing.routes(settings, {})))
    senders = OwnSenders({account.name: account.senders for account in settings.accounts})
    submitters: tuple[Policy, ...] = (SubmittersOnly(),) if role in _SUBMISSION else ()
    return Policies.of(shared.rates, *submitters, senders, relaying, passwords), relaying


def residents(settings: Settings) -> Mapping[str, tuple[WebRole, str]]:
    """Who has a role on the pages: name -> role and password hash."""
    return {one.name: (one.role, one.password_hash) for one in settings.accounts if one.role is not None}


def password_hashes(settings: Settings) -> Mapping[str, str]:
    """Account -> hash."""
    return {account.name: account.password_hash for account in settings.accounts}
