"""The tables about mail that leaves, each key read, each slip named with its line."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from postroad.settings import Settings, SettingsErrors, verify
from postroad.settings.checking import read_password
from postroad.settings.model import Destination, Journal, Outbound, Reports, Retry, Terms
from postroad.settings.reading import load_text

MX = '[mx]\n[[domain]]\nname = "example.com"\ndeliver = "hold"\n'


def read(text: str) -> Settings:
    return load_text(f'hostname = "mail.example.com"\nstate = "/srv/p"\n{text}', "p.toml")


def faults(text: str) -> list[str]:
    with pytest.raises(SettingsErrors) as caught:
        read(text)
    return [f"{one.message} | {one.hint}" for one in caught.value.errors]


def test_nothing_said_is_mx_delivery_with_opportunistic_tls() -> None:
    found = read(MX)
    assert found.outbound == Outbound()
    assert (found.outbound.via, found.outbound.tls, found.outbound.port) == ("mx", "opportunistic", 25)
    assert (found.destinations, found.retry, found.reports, found.journal) == ((), Retry(), Reports(), Journal())


def test_every_key(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    found = read(
        MX
        + f"""[outbound]
via = "smtp:smart.example:587"
account = "us"
password_file = "{secret}"
tls = "verify"
source = ["192.0.2.9", "2001:db8::9"]
ipv6 = true
connections = 7
connections_per_site = 3
rate = 60
[[destination]]
name = "Bücher.example"
via = "mx"
tls = "require"
schedule = ["1m", 120]
expire = "1d"
connections = 2
rate = 10
[retry]
delay_notice = false
[reports]
language = "ja"
double_bounces = "drop"
postmaster = "root@example.com"
[journal]
keep = "7d"
size = "10MiB"
"""
    )
    assert found.outbound == Outbound(
        "smtp:smart.example:587", "us", secret, "verify", source=("192.0.2.9", "2001:db8::9"),
        connections=7, connections_per_site=3, rate=60,
    )  # fmt: skip
    terms = Terms("require", (60.0, 120.0), 86400.0, 2, 10)
    assert found.destinations == (Destination("xn--bcher-kva.example", "mx", terms=terms),)
    assert found.retry.delay_notice is None
    assert found.reports == Reports("ja", "drop", "root@example.com")
    assert found.journal == Journal(604800.0, 10 * 2**20)


def test_dns_and_who_may_be_dialled() -> None:
    found = read(
        MX + '[outbound]\nresolver = ["127.0.0.1", "[::1]:5353"]\nallow_networks = ["10.0.0.0/8"]\nport = 2525\n'
    )
    assert found.outbound.resolver == (("127.0.0.1", 53), ("::1", 5353))
    assert found.outbound.allow_networks == (ip_network("10.0.0.0/8"),)
    assert found.outbound.port == 2525


def test_a_domain_of_ours_may_have_terms_of_its_own() -> None:
    found = read('[mx]\n[[domain]]\nname = "a.example"\ndeliver = "smtp:192.0.2.7:25"\ntls = "never"\nexpire = "2d"\n')
    assert found.domains[0].terms == Terms("never", expire=172800.0)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('[outbound]\nvia = "maildir:/var/mail"', "outbound.via: mail for others does not go into a maildir"),
        ('[outbound]\nvia = "smtpx:a:25"', "outbound.via: no route"),
        ('[outbound]\ntls = "maybe"', "outbound.tls: 'maybe' is not one of"),
        ('[outbound]\nresolver = "127.0.0.1"', "outbound.resolver: must be a list"),
        ('[outbound]\nresolver = ["ns.example:53"]', "a name server is named by its address"),
        ('[outbound]\nsource = ["192.0.2.1", "192.0.2.2"]', "outbound.source: more than one address of a family"),
        ('[outbound]\nsource = "home"', "'home' is no IP address"),
        ('[outbound]\npassword_file = "nowhere"', "outbound.password_file: 'nowhere' must begin with /"),
        ('[outbound]\npassword_file = "/nowhere/at/all"', "password_file: account is missing"),
        ('[outbound]\nvia = "smtp:a:25"\naccount = "us"', "account: password_file is missing"),
        ('[outbound]\naccount = "us"', "a login needs a host of your own"),
        ("[outbound]\nipv4 = false\nipv6 = false", "neither IPv4 nor IPv6"),
        ('[[destination]]\nname = "example.com"', "destination.name: example.com is a [[domain]] of ours"),
        ('[[destination]]\nname = "b.example"\n[[destination]]\nname = "B.example"', "'b.example' is already set"),
        ('[[destination]]\nvia = "mx"', "destination.name is missing"),
        ('[reports]\nlanguage = "de"', "reports.language: 'de' is not one of"),
        ('[retry]\ndelay_notice = "1s"', "retry.delay_notice: 1 seconds is not between"),
        ('[journal]\nkeep = "for ever"', "journal.keep: 'for ever' is no duration"),
    ],
)
def test_each_slip_is_named(text: str, fault: str) -> None:
    assert any(fault in one for one in faults(MX + text)), faults(MX + text)


def test_a_password_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes("öpen sesame \r\nsecond line\n".encode())
    secret.chmod(0o640)
    assert read_password(secret) == "öpen sesame "


@pytest.mark.parametrize(
    ("octets", "mode", "fault"),
    [
        (b"x\n", 0o604, "is readable by everyone (mode 0604)"),
        (b"\n", 0o600, "has no password in its first line"),
        (b"\xff\n", 0o600, "is not UTF-8 text"),
        (b"a\x00b\n", 0o600, "has no password in its first line"),
        (b"x" * 5000, 0o600, "has no password in its first line"),
        (None, 0, "No such file"),
    ],
)
def test_a_password_file_that_is_none(tmp_path: Path, octets: bytes | None, mode: int, fault: str) -> None:
    secret = tmp_path / "secret"
    if octets is not None:
        secret.write_bytes(octets)
        secret.chmod(mode)
    text = f'[outbound]\nvia = "smtp:a.example:587"\naccount = "us"\npassword_file = "{secret}"\n'
    found = load_text(f'hostname = "mail.example.com"\nstate = "{tmp_path}"\n[mx]\n{text}', "p.toml")
    with pytest.raises(SettingsErrors) as caught:
        verify(found)
    (one,) = caught.value.errors
    assert one.message.startswith(f"p.toml:7: outbound.password_file: {secret}") and fault in one.message


def test_hold_for_is_a_key_of_submission_alone() -> None:
    assert read(MX + '[submission]\nhold_for = "7d"\n').submission is not None
    assert any("unknown key `hold_for`" in one for one in faults('[mx]\nhold_for = "7d"\n'))


@pytest.mark.parametrize(
    ("tls", "own", "warned"),
    [("never", "", "outbound.account: "), ("verify", 'tls = "never"\n', "destination.account: "), ("verify", "", "")],
)
def test_a_password_that_could_not_be_sent_is_warned_of(tls: str, own: str, warned: str) -> None:
    login = 'account = "us"\npassword_file = "/etc/us"\n'
    found = read(
        MX
        + f'[outbound]\nvia = "smtp:a.example:587"\ntls = "{tls}"\n'
        + (login if not own else "")
        + (f'[[destination]]\nname = "b.example"\n{login}{own}' if own else "")
    )
    told = [one for one in found.warnings if "password goes to" in one]
    assert len(told) == (1 if warned else 0) and all(warned in one for one in told)


def test_what_has_no_effect_is_warned_of() -> None:
    found = read(MX + '[outbound]\nvia = "smtp:a.example:25"\nresolver = ["127.0.0.1"]\n')
    assert any("outbound.resolver is of no use" in one for one in found.warnings)
