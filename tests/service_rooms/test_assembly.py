"""Settings become values: every limit arrives where it acts, every role offers what it can keep, policies keep their order."""

from __future__ import annotations

from pathlib import Path

import pytest

from postroad.clock import SystemClock
from postroad.inbound.passwords import Passwords
from postroad.inbound.reception import ConditionsNow, Reception
from postroad.inbox.chaos import Chaos
from postroad.observe.metrics import Metrics
from postroad.policy.accounts import AnyPassword
from postroad.policy.conditions import ConditionsBoard
from postroad.policy.rates import Rates
from postroad.policy.relaying import Catching, OwnSenders, Relaying, SubmittersOnly
from postroad.service import assembly, delivering
from postroad.service.counting import CountedSessions
from postroad.settings import Settings, load_text
from postroad.smtp.parameters import Traits
from postroad.spool.memory import MemorySpool

ROLES = """
hostname = "mail.example.net"
state = "/tmp/state"
[mx]
listen = ["127.0.0.1:0"]
trusted_networks = ["192.0.2.0/24"]
greet_delay = "2s"
[submission]
listen = ["127.0.0.2:0"]
[submissions]
listen = ["127.0.0.3:0"]
[tls]
cert = "/cert.pem"
key = "/key.pem"
[[domain]]
name = "example.net"
deliver = "hold"
[[domain]]
name = "EXAMPLE.com"
deliver = "smtp:192.0.2.9:25"
"""
LIMITS = """
[limits]
connections = 11
connections_per_client = 12
messages_per_minute = 13
recipients_per_minute = 14
auth_failures_per_minute = 15
tls_starts_per_minute = 16
command_timeout = "17s"
content_timeout = "18s"
min_rate = 19
recipients = 120
message_size = "21MiB"
header_size = "22KiB"
received = 23
line_octets = "24KiB"
errors = 25
junk_commands = 26
"""


class Contexts:
    """A certificate that is only handed on."""

    starttls = object()
    implicit = object()


def receptions(settings: Settings, certificate: object | None = None) -> dict[str, Reception]:
    clock = SystemClock()
    shared = assembly.Shared(
        spool=MemorySpool(),
        clock=clock,
        conditions=ConditionsNow(ConditionsBoard(clock), settings.limits.message_size),
        rates=Rates(assembly.rate_limits(settings.limits), clock, settings.limits.exempt),
        chaos=Chaos() if settings.dev is not None else None,
        sessions=[].append,
        metrics=Metrics(),
    )
    return assembly.receptions(settings, shared, certificate, AnyPassword())  # type: ignore[arg-type]


def counted(reception: Reception) -> CountedSessions:
    assert isinstance(reception.counting, CountedSessions)
    return reception.counting


def offered(reception: Reception, **traits: bool) -> list[str]:
    return [line.split()[0] for line in reception.config.extensions.lines(Traits(**traits))]


def test_each_role_offers_what_it_can_keep() -> None:
    found = receptions(load_text(ROLES, "t"), Contexts())
    assert list(found) == ["mx", "submission", "submissions"]
    usual = "SIZE PIPELINING 8BITMIME SMTPUTF8 ENHANCEDSTATUSCODES CHUNKING BINARYMIME DSN DELIVERBY MT-PRIORITY LIMITS".split()
    assert offered(found["mx"]) == [*usual, "STARTTLS", "HELP"]
    assert offered(found["mx"], tls=True) == [*usual, "HELP"]
    usual.append("FUTURERELEASE")  # RFC 4865 section 4.2: on no other port
    assert offered(found["submission"], submission=True) == [*usual, "STARTTLS", "HELP"]  # no password in clear
    assert offered(found["submission"], submission=True, tls=True) == [*usual, "AUTH", "HELP"]
    assert offered(found["submissions"], submission=True, tls=True) == [*usual, "AUTH", "HELP"]
    forbidden = receptions(load_text(ROLES.replace('127.0.0.2:0"]', '127.0.0.2:0"]\nhold_for = 0'), "t"), Contexts())
    assert "FUTURERELEASE" not in offered(forbidden["submission"], submission=True)
    assert not found["submissions"].config.tls_available
    without = receptions(load_text(ROLES.replace("[submissions]", "[ignored]").split("[ignored]")[0], "t"))
    assert "STARTTLS" not in offered(without["mx"])


def test_who_gets_which_context() -> None:
    found = receptions(load_text(ROLES, "t"), Contexts())
    assert [(one.tls, one.implicit_tls) for one in found.values()] == [
        (Contexts.starttls, False),
        (Contexts.starttls, False),
        (Contexts.implicit, True),
    ]


def test_every_limit_arrives() -> None:
    settings = load_text(ROLES + LIMITS, "t")
    one = receptions(settings, Contexts())["mx"]
    assert (one.deadlines.command, one.deadlines.content, one.deadlines.min_rate) == (17, 18, 19)
    assert (one.message_size, one.header_octets, one.max_received) == (21 * 2**20, 22 * 2**10, 23)
    config = one.config
    assert (config.max_recipients, config.line_octets) == (120, 24 * 2**10)
    assert (config.max_errors, config.max_junk) == (25, 26)
    lines = config.extensions.lines(Traits())
    assert f"SIZE {21 * 2**20}" in lines
    assert "LIMITS RCPTMAX=120" in lines
    rates = assembly.rate_limits(settings.limits)
    assert (rates.connections, rates.connections_per_client, rates.messages_per_minute) == (11, 12, 13)
    assert (rates.recipients_per_minute, rates.auth_failures_per_minute, rates.tls_starts_per_minute) == (14, 15, 16)


def test_what_a_listener_says_of_itself() -> None:
    found = receptions(load_text(ROLES, "t"), Contexts())
    assert (found["mx"].greet_delay, found["submission"].greet_delay) == (2, 0)
    assert found["mx"].trusts("192.0.2.77")
    assert not found["mx"].trusts("198.51.100.1")
    assert not found["mx"].trusts("127.0.0.1")  # loopback is trusted by nobody who does not say so
    assert not found["submission"].trusts("192.0.2.77")
    assert {one.config.hostname for one in found.values()} == {"mail.example.net"}
    assert not any(one.keep_transcripts for one in found.values())


@pytest.mark.parametrize(("shown", "software"), [("", "Postroad"), ("[smtp]\nshow_version = true\n", "Postroad 0")])
def test_the_version_is_hidden_unless_shown(shown: str, software: str) -> None:
    one = receptions(load_text(ROLES + shown, "t"))["mx"]
    assert one.config.software.startswith(software)
    assert (one.config.software == "Postroad") == (not shown)


def test_bare_newlines_are_refused_unless_normalized() -> None:
    strict = receptions(load_text(ROLES, "t"))["mx"]
    kind = receptions(load_text(ROLES.replace("[mx]", '[mx]\nbare_newline = "normalize"'), "t"))["mx"]
    assert (strict.config.normalize, kind.config.normalize) == (False, True)


def kinds(policies: tuple[object, ...]) -> list[type]:
    return [type(policy) for policy in policies]


def test_the_order_of_policies() -> None:
    found = receptions(load_text(ROLES, "t"), Contexts())
    mx, submission = found["mx"].policies, found["submissions"].policies
    assert kinds(mx.connect) == [Rates]
    assert kinds(mx.auth) == [Rates, Passwords]
    assert kinds(mx.sender) == [Rates, OwnSenders]
    assert kinds(mx.recipient) == [Rates, Relaying]
    assert (mx.hello, mx.content, mx.message) == ((), (), ())
    assert kinds(submission.sender) == [Rates, SubmittersOnly, OwnSenders]
    assert isinstance(found["mx"].addressing, Relaying)
    assert len({id(counted(one).rates) for one in found.values()}) == 1  # a client is counted over all listeners


def test_dev_mode() -> None:
    one = receptions(load_text("[dev]\n", "t"))["dev"]
    assert kinds(one.policies.recipient) == [Rates, Chaos]
    assert kinds(one.policies.auth) == [Rates, Chaos, Passwords]
    assert isinstance(one.addressing, Catching)
    assert one.keep_transcripts
    assert one.auth_in_clear_on_loopback
    assert "AUTH" in offered(one, auth_in_clear=True)
    assert "AUTH" not in offered(one)


def test_domains_and_schedule(tmp_path: Path) -> None:
    text = ROLES + '[retry]\nschedule = ["1m", "2m"]\nexpire = "1d"\n'
    settings = load_text(text, "t")
    assert [domain.name for domain in assembly.local_domains(settings)] == ["example.net", "example.com"]
    found = delivering.schedule(settings)
    assert (found.steps, found.expire, found.delay_notice) == ((60, 120), 86_400, 14_400)
