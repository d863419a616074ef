"""The look at the own house: what is found of a host, and the exact record that mends each fault. No network is used."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from postroad.admin import Admin
from postroad.admin.setup import Door, Facts, Level, Record, Report
from postroad.admin.setup.covering import Covering
from postroad.admin.setup.leaving import read_targets
from postroad.admin.setup.machine import file_system, look_at_clock, look_at_disk, look_at_secrets
from postroad.diagnosis.targets import TargetError
from postroad.net.resolver import Resolver
from tests.diagnosis.faulty_servers import serving
from tests.dns_stub import DnsStub, Fault, Zone
from tests.web.house import House
from tests.web.setup_house import ADDRESS, DOMAIN, NAME, facts, good_zone, look, row

DNS_ROWS = ("hostname", "addresses", "ptr", "resolver", "mx", "spf", "dmarc")


def run(work: Callable[[Admin], Awaitable[Report]]) -> Report:
    async def inside() -> Report:
        house = House(dev=False)
        found = await work(house.admin)
        house.inbox.close()
        return found

    return asyncio.run(inside())


def report(zone: Zone | DnsStub, found: Facts | None = None, addresses: tuple[str, ...] = (ADDRESS,)) -> Report:
    return run(lambda admin: look(admin, zone, found, addresses=addresses))


def published(found: Report, slug: str) -> list[str]:
    return [str(one) for one in row(found, slug).records]


def test_a_house_in_order() -> None:
    found = report(good_zone())
    assert {slug: row(found, slug).level.label for slug in DNS_ROWS} == dict.fromkeys(DNS_ROWS, "ok")
    assert row(found, "dkim").level is Level.NOTE  # we do not sign, and say so
    assert not found.is_running
    assert len(found.checks) == found.of


@pytest.mark.parametrize(
    ("slug", "changes", "record"),
    [
        ("mx", {DOMAIN: {"TXT": ['"v=spf1 a:mail.example.org -all"']}}, f"{DOMAIN}. MX 10 {NAME}."),
        ("mx", {DOMAIN: {"MX": ["0 ."], "TXT": ['"v=spf1 -all"']}}, f"{DOMAIN}. MX 10 {NAME}."),
        (
            "mx",
            {DOMAIN: {"MX": ["10 other.example.net."]}, "other.example.net": {"A": ["8.8.8.8"]}},
            f"{DOMAIN}. MX 10 {NAME}.",
        ),
        ("spf", {DOMAIN: {"MX": [f"10 {NAME}."]}}, f'{DOMAIN}. TXT "v=spf1 mx ip4:9.9.9.9 ~all"'),
        (
            "spf",
            {DOMAIN: {"MX": [f"10 {NAME}."], "TXT": ['"v=spf1 ip4:8.8.8.0/24 -all"']}},
            f'{DOMAIN}. TXT "v=spf1 ip4:9.9.9.9 ip4:8.8.8.0/24 -all"',
        ),
        (
            "dmarc",
            {f"_dmarc.{DOMAIN}": {"A": ["9.9.9.9"]}},
            f'_dmarc.{DOMAIN}. TXT "v=DMARC1; p=none; rua=mailto:dmarc-reports@{DOMAIN}"',
        ),
        ("ptr", {"9.9.9.9.in-addr.arpa": {"TXT": ['"x"']}}, f"9.9.9.9.in-addr.arpa. PTR {NAME}."),
        ("ptr", {"9.9.9.9.in-addr.arpa": {"PTR": ["h9.isp.net."]}}, f"9.9.9.9.in-addr.arpa. PTR {NAME}."),
        ("hostname", {NAME: {"TXT": ['"x"']}}, f"{NAME}. A {ADDRESS}"),
        ("hostname", {NAME: {"A": ["8.8.8.8"]}}, f"{NAME}. A {ADDRESS}"),
    ],
)
def test_each_failure_gives_the_exact_record(slug: str, changes: Zone, record: str) -> None:
    found = report({**good_zone(), **changes})
    assert row(found, slug).level >= Level.WARN
    assert published(found, slug) == [record]


def test_name_servers_that_do_not_answer_condemn_no_record() -> None:
    names = (NAME, DOMAIN, f"_dmarc.{DOMAIN}", "9.9.9.9.in-addr.arpa", "org", "_dmarc.org")
    found = report(DnsStub(good_zone(), {name: Fault(rcode="SERVFAIL") for name in names}))
    told = {slug: row(found, slug).level for slug in ("hostname", "ptr", "mx", "spf", "dmarc")}
    assert told == dict.fromkeys(told, Level.UNKNOWN)
    assert [one.slug for one in found.checks if one.records and one.slug != "ptr"] == []
    assert row(found, "resolver").said == "resolver.silent"


def test_validated_answers_are_told() -> None:
    assert row(report(DnsStub(good_zone(), secure=True)), "resolver").said == "resolver.validates"


def test_behind_nat_the_address_is_supposed_or_unknown() -> None:
    found = report(good_zone(), addresses=("10.1.2.3",))
    assert row(found, "addresses").said == "addresses.nat"
    assert row(found, "ptr").level is Level.OK
    bare = report({**good_zone(), NAME: {"TXT": ['"x"']}}, addresses=("10.1.2.3",))
    assert row(bare, "addresses").said == "addresses.unknown"
    assert row(bare, "ptr").level is Level.UNKNOWN
    assert row(bare, "hostname").records == ()
    assert row(bare, "spf").level in (Level.UNKNOWN, Level.WARN)


def test_a_name_that_nobody_can_look_up_proposes_no_records() -> None:
    for name in ("localhost", "mail", "[192.0.2.1]", "mail.lan"):
        found = report(good_zone(), facts(hostname=name))
        assert row(found, "hostname").said == "hostname.not-whole"
        assert not any(name in str(record) for one in found.checks for record in one.records)


def test_a_smarthost_sends_so_nothing_of_ours_has_to_be_permitted() -> None:
    found = report({**good_zone(), "9.9.9.9.in-addr.arpa": {"TXT": ['"x"']}}, facts(via="smtp:smart.example.net:587"))
    assert row(found, "ptr").level is Level.NOTE
    assert row(found, "spf").level is Level.OK
    assert row(found, "port25").level is Level.SKIP


def test_text_of_strangers_in_records_never_makes_another_record() -> None:
    zone = {**good_zone(), DOMAIN: {"MX": [f"10 {NAME}."], "TXT": [r'"v=spf1 ip4:8.8.8.8 exp=\010x\034.net -all"']}}
    found = report(zone)
    assert all("\n" not in str(one) for one in row(found, "spf").records)


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("v=spf1 ip4:9.9.9.0/24 -all", "pass"),
        ("v=spf1 a:in.test -all", "pass"),
        ("v=spf1 a:near.test/24 -all", "pass"),
        ("v=spf1 mx:in.test -all", "pass"),
        ("v=spf1 include:yes.test -all", "pass"),
        ("v=spf1 include:no.test ~all", "softfail"),
        ("v=spf1 redirect=yes.test", "pass"),
        ("v=spf1 ?ip4:9.9.9.9", "neutral"),
        ("v=spf1", "neutral"),
        ("v=spf1 exists:%{i}.in.test -all", "unknown"),
        ("v=spf1 include:loop.test -all", "unknown"),
        ("v=spf1 bad:term", "unknown"),
        ("v=spf2 a", "none"),
        ("v=spf1 a:down.test -all", "unknown"),
    ],
)
def test_who_an_spf_record_permits(text: str, outcome: str) -> None:
    zone: Zone = {
        "x.test": {"TXT": [f'"{text}"']},
        "in.test": {"A": [ADDRESS], "MX": ["5 in.test."]},
        "near.test": {"A": ["9.9.9.1"]},
        "yes.test": {"TXT": ['"v=spf1 ip4:9.9.9.9 -all"']},
        "no.test": {"TXT": ['"v=spf1 -ip4:9.9.9.9 +all"']},
        "loop.test": {"TXT": ['"v=spf1 include:loop.test"']},
    }

    async def ask() -> str:
        async with DnsStub(zone, {"down.test": Fault(rcode="SERVFAIL")}) as stub:
            return await Covering(Resolver([stub.address]), ADDRESS).outcome("x.test")

    assert asyncio.run(ask()) == outcome


# --- certificates and listeners


def _certificate(folder: Path, *names: str, ends: datetime | None = None) -> Path:
    issued = trustme.CA().issue_cert(*names, not_after=ends)
    path = folder / "cert.pem"
    issued.cert_chain_pems[0].write_to_path(path)
    return path


@pytest.mark.parametrize(
    ("days", "name", "level"),
    [(200.0, NAME, Level.OK), (3.5, NAME, Level.WARN), (-2.0, NAME, Level.FAIL), (200.0, "other.test", Level.FAIL)],
)
def test_the_certificate_in_its_file(tmp_path: Path, days: float, name: str, level: Level) -> None:
    path = _certificate(tmp_path, name, ends=datetime.now(UTC) + timedelta(days=days))
    found = row(report(good_zone(), facts(certificate=path)), "certificate")
    assert found.level is level
    assert dict(found.evidence)["cert-file"] == str(path)
    assert dict(found.evidence)["cert-names"] == name


def test_a_certificate_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "cert.pem"
    for text in (None, "", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "\xff"):
        if text is not None:
            path.write_text(text, "latin-1")
        assert row(report(good_zone(), facts(certificate=path)), "certificate").level is Level.FAIL
    assert row(report(good_zone()), "certificate").said == "certificate.none"


def test_our_own_listeners_are_called() -> None:
    async def inside(admin: Admin) -> Report:

        async with serving(_polite) as here, serving(None) as gone:
            doors = (Door("mx", "127.0.0.1", here), Door("submission", "127.0.0.1", gone))
            return await look(admin, good_zone(), facts(doors=doors))

    found = run(inside)
    rows = [one for one in found.checks if one.slug == "door"]
    assert [one.level for one in rows] == [Level.OK, Level.FAIL]
    assert rows[0].said == "door.clear"
    assert rows[1].findings[0].id == "connect.refused"
    assert row(found, "listening").said == "listening.loopback"


def test_a_developers_listener_is_in_order_whatever_it_calls_itself() -> None:
    async def inside(admin: Admin) -> Report:
        async with serving(_localhost) as here:
            doors = (Door("dev", "127.0.0.1", here),)
            return await look(admin, good_zone(), facts(hostname="localhost", dev=True, domains=(), doors=doors))

    assert row(run(inside), "door").level is Level.OK


async def _localhost(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _polite(reader, writer, b"localhost")


async def _polite(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: bytes = b"mail.example.org"
) -> None:
    writer.write(b"220 %b ESMTP\r\n" % name)
    while line := await reader.readline():
        if line[:4].upper() == b"EHLO":
            writer.write(b"250-%b\r\n250 PIPELINING\r\n" % name)
        elif line[:4].upper() == b"QUIT":
            writer.write(b"221 %b\r\n" % name)
            await writer.drain()
            return
        else:
            writer.write(b"250 ok\r\n")
        await writer.drain()


@pytest.mark.parametrize(
    ("doors", "said"),
    [
        ((), "listening.nothing"),
        ((Door("mx", "0.0.0.0", 2525),), "listening.no-25"),
    ],
)
def test_what_listens(doors: tuple[Door, ...], said: str) -> None:
    from postroad.admin.setup.doors import look_at_listening

    assert look_at_listening(facts(doors=doors)).said == said
    assert look_at_listening(facts(doors=(Door("mx", "0.0.0.0", 25),))).level is Level.OK
    assert look_at_listening(facts(dev=True, doors=(Door("dev", "127.0.0.1", 1025),))).said == "listening.dev"


# --- port 25


def test_nobody_is_called_unasked_and_who_is_named_is_called_on_our_port() -> None:
    called: list[bytes] = []

    async def greets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mx.partner.test ESMTP <b>\x1b[31m\r\n")
        called.append(await reader.read(100))

    async def inside(admin: Admin) -> Report:
        async with serving(greets) as port:
            zone = {**good_zone(), "partner.test": {"A": ["127.0.0.1"]}}
            found = facts(port=port, allow_networks=("127.0.0.0/8",))
            unasked = await look(admin, zone, found)
            assert row(unasked, "port25").said == "port25.untried"
            assert called == []
            refused = await look(admin, zone, facts(port=port), ("partner.test",))
            assert row(refused, "port25").level is Level.UNKNOWN  # loopback is not dialled unless the settings say so
            assert called == []
            return await look(admin, zone, found, ("partner.test",))

    found = run(inside)
    assert row(found, "port25").said == "port25.greeted"
    assert called == [b"QUIT\r\n"]
    assert "\x1b" not in dict(row(found, "port25").evidence)["called"]


def test_one_host_that_refuses_settles_nothing() -> None:
    async def inside(admin: Admin) -> Report:
        async with serving(None) as port:
            zone = {**good_zone(), "partner.test": {"A": ["127.0.0.1"]}}
            return await look(
                admin, zone, facts(port=port, allow_networks=("127.0.0.0/8",)), ("partner.test", "no.test")
            )

    assert row(run(inside), "port25").said == "port25.inconclusive"


def test_what_may_be_called() -> None:
    assert read_targets(" example.net, mx.example.org ") == ("example.net", "mx.example.org")
    for text in ("a b c d e", "http://x/", "x y z <script>"):
        with pytest.raises(TargetError):
            read_targets(text)


# --- the machine


def test_the_disk(tmp_path: Path) -> None:
    assert look_at_disk(facts(state=tmp_path, min_free=1)).level in (Level.OK, Level.FAIL, Level.WARN)
    assert look_at_disk(facts(state=tmp_path, min_free=1 << 60, dev=True)).said == "disk.full"
    assert look_at_disk(facts(state=tmp_path / "none")).said == "disk.fault"
    assert look_at_disk(facts()).level is Level.SKIP


def test_the_file_system(tmp_path: Path) -> None:
    device = tmp_path.stat().st_dev
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"36 35 {os.major(device)}:{os.minor(device)} / /mnt rw,noatime master:1 - nfs4 host:/x rw\n")
    assert file_system(tmp_path, mounts) == "nfs4"
    assert file_system(tmp_path, tmp_path / "none") == ""


def test_the_clock(tmp_path: Path) -> None:
    (tmp_path / "spool.db").touch()
    assert look_at_clock(facts(state=tmp_path), time.time()).level <= Level.UNKNOWN
    assert look_at_clock(facts(state=tmp_path), time.time() - 86_400).said == "clock.behind"
    assert look_at_clock(facts(), 0.0).said == "clock.behind"


def test_secret_files(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.touch()
    for mode, said in ((0o600, "secrets.ok"), (0o640, "secrets.group"), (0o644, "secrets.open")):
        key.chmod(mode)
        assert look_at_secrets(facts(secrets=(key,))).said == said
    assert look_at_secrets(facts(secrets=(tmp_path / "none",))).level is Level.OK


# --- dev mode, and one run at a time


def test_in_dev_mode_nobody_is_asked() -> None:
    stub = DnsStub(good_zone())
    found = run(lambda admin: look(admin, stub, facts(dev=True, domains=())))
    assert [one.slug for one in found.checks] == ["hostname", "listening", "disk", "clock", "secrets", "dev"]
    assert stub.asked == []


def test_one_run_at_a_time() -> None:
    stub = DnsStub(good_zone())

    async def inside(admin: Admin) -> Report:
        async with stub:
            from tests.web.setup_house import desk

            looking = desk(admin, facts(resolver=(stub.address,)))
            for _ in range(3):
                looking.begin()
                looking.refresh()
            assert looking.report().is_running
            await looking.wait(60)
            asked = len(stub.asked)
            looking.refresh()  # it was looked at just now
            await looking.wait(60)
            assert len(stub.asked) == asked
            return looking.report()

    run(inside)
    assert stub.count(DOMAIN, "MX") == 1


def test_a_record_is_copied_whole_or_as_its_value() -> None:
    line = f'{DOMAIN}. TXT "v=spf1 {"a" * 300}" "b \\" \\\\"'
    assert str(Record.read(line)) == line
    assert Record.read(line).plain == f'v=spf1 {"a" * 300}b " \\'
    assert Record.read(f"{DOMAIN}. MX 10 {NAME}.").plain == f"10 {NAME}."
