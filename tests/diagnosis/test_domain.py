"""A domain: its MX records, its hosts side by side, SPF, DKIM and DMARC; PTR; what is published instead is named."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Sequence

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from postroad.diagnosis.diagnosing import Diagnosis, InquiryError, _blocked_here, _set_right, diagnose
from postroad.diagnosis.dkim_record import judge_dkim
from postroad.diagnosis.dmarc_record import examine_dmarc, judge_dmarc, read_dmarc, walk
from postroad.diagnosis.findings import Finding, Level, found
from postroad.diagnosis.probe import HostReport, Place
from postroad.diagnosis.ptr import examine_ptr
from postroad.diagnosis.spf_record import judge_spf, read_spf
from postroad.diagnosis.targets import TargetError, endpoint, judge_mx, read_target
from postroad.diagnosis.telling import Teller
from postroad.diagnosis.watching import Waits
from postroad.net.resolver import MxRecord, Resolver, Timeouts
from tests.diagnosis.certificates import trusted
from tests.diagnosis.faulty_servers import Talk, full_backlog, says, serving
from tests.dns_stub import DnsStub, Fault, Zone

QUICK = Waits(connect=10, greeting=2.0, answer=10, tls_trial=0.7, quit=1, total=60.0, slow=60)
TELLER = Teller("en")
SPF = {"TXT": ['"v=spf1 mx -all"']}
DMARC = {"TXT": ['"v=DMARC1; p=reject; rua=mailto:d@example.test"']}


def ids(findings: Sequence[Finding]) -> list[str]:
    """Their ids; every one of them has its words and commands whole."""
    for each in map(TELLER.told, findings):
        commands = [command.partition("   # ")[0] for command in each.next]
        assert "?" not in "".join((*commands, each.verdict, each.means, each.do)), each
    return [one.id for one in findings]


def ask(
    zone: Zone, faults: dict[str, Fault] | None = None, domain: str = "example.test", **wishes: object
) -> Diagnosis:
    async def run() -> Diagnosis:
        async with DnsStub(zone, faults or {}) as stub:
            resolver = Resolver([stub.address], timeouts=Timeouts(0.2, 0.6, 1))
            return await diagnose(
                domain,
                resolver=resolver,
                hello="me.example.test",
                tls_ca=trusted(),
                **{"waits": QUICK, **wishes},  # type: ignore[arg-type]
            )

    return asyncio.run(run())


# --- MX


def test_every_host_is_looked_at_in_parallel() -> None:
    """One is good, one refuses, one is silent, one does not exist: each has its own report, in the order of preference."""
    zone: Zone = {
        "example.test": {
            "MX": ["10 mx.example.test.", "20 b.example.test.", "30 c.example.test.", "40 d.example.test."], **SPF
        },
        "mx.example.test": {"A": ["127.0.0.1"]},
        "b.example.test": {"A": ["127.0.0.2"]},
        "c.example.test": {"A": ["127.0.0.3"]},
        "_dmarc.example.test": DMARC,
    }  # fmt: skip

    async def run() -> Diagnosis:
        async with serving(Talk()) as port, serving(says(b"554 no\r\n", 0), "127.0.0.2", port), DnsStub(zone) as stub:
            async with serving(says(b""), "127.0.0.3", port):
                return await diagnose(
                    "example.test",
                    port=port,
                    resolver=Resolver([stub.address]),
                    waits=QUICK,
                    hello="me.example.test",
                    tls_ca=trusted(),
                )

    found = asyncio.run(run())
    assert found.domain == "example.test"
    assert [(one.place.endpoint.target.host, one.place.preference) for one in found.hosts] == [
        ("mx.example.test", 10),
        ("b.example.test", 20),
        ("c.example.test", 30),
    ]
    levels = [ids([each for each in one.findings if each.level is Level.ERROR]) for one in found.hosts]
    assert levels == [[], ["greeting.554"], ["greeting.silent"]]
    told = set(ids(found.findings))
    assert {"mx.ok", "mx.no-address", "mx.private", "spf.ok", "dmarc.ok", "dkim.skipped"} == told


def test_hosts_are_looked_at_side_by_side() -> None:
    """Each host greets only once all of them are connected."""
    hosts = [f"{letter}.example.test" for letter in "abcd"]
    zone: Zone = {"example.test": {"MX": [f"{n} {host}." for n, host in enumerate(hosts)]}}
    zone |= {host: {"A": [f"127.0.0.{n + 1}"]} for n, host in enumerate(hosts)}

    async def run() -> Diagnosis:
        together = asyncio.Barrier(len(hosts))

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await together.wait()
            await Talk(ehlo=b"250 mx.example.test\r\n")(reader, writer)

        async with contextlib.AsyncExitStack() as stack:
            port = await stack.enter_async_context(serving(handler))
            for n in range(1, len(hosts)):
                await stack.enter_async_context(serving(handler, f"127.0.0.{n + 1}", port))
            stub = await stack.enter_async_context(DnsStub(zone))
            waits = Waits(connect=10, greeting=20, answer=20, total=60, slow=60)
            return await diagnose(
                "example.test", port=port, resolver=Resolver([stub.address]), waits=waits, hello="a.test"
            )

    found_ = asyncio.run(run())
    assert ["greeting.ok" in ids(one.findings) for one in found_.hosts] == [True] * len(hosts)


def test_port_25_is_rather_blocked_here_when_nobody_answers() -> None:
    def report(host: str, name: str) -> HostReport:
        return HostReport(Place(endpoint(host, "9.9.9.9", 25)), (found(name),))

    silent, other = report("a.test", "connect.timeout"), report("b.test", "connect.timeout")
    assert [one.id for one in _blocked_here([silent, other])] == ["connect.blocked-here"]
    assert list(_blocked_here([silent])) == []
    assert list(_blocked_here([silent, silent])) == []
    assert list(_blocked_here([silent, other, report("c.test", "connect.refused")])) == []


def test_port_25_blocked_here_is_told_of_a_domain() -> None:
    zone: Zone = {"example.test": {"MX": ["1 a.example.test.", "2 b.example.test."]}}
    zone |= {"a.example.test": {"A": ["127.0.0.1"]}, "b.example.test": {"A": ["127.0.0.1"]}}
    with full_backlog() as port:
        found = ask(zone, port=port, waits=Waits(connect=1.0))
    assert "connect.blocked-here" in ids(found.findings)
    assert [ids(one.findings) for one in found.hosts] == [["connect.timeout"]] * 2


def test_a_domain_without_mail() -> None:
    found = ask({"example.test": {"MX": ["0 ."], "TXT": ['"v=spf1 -all"']}, "_dmarc.example.test": DMARC})
    assert ids(found.findings) == ["mx.null", "spf.ok", "dkim.skipped", "dmarc.ok"]
    assert found.level is Level.INFO
    assert found.hosts == ()


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([MxRecord(0, ""), MxRecord(10, "mx.example.test")], ["mx.null-mixed"]),
        ([MxRecord(10, "192.0.2.1")], ["mx.no-name"]),
        ([MxRecord(10, "mx\\032x.example.test")], ["mx.no-name"]),
        ([MxRecord(10, f"m{n}.example.test") for n in range(14)], ["mx.too-many"]),
        ([MxRecord(10, "a.example.test"), MxRecord(20, "a.example.test")], ["mx.ok"]),
    ],
)
def test_faults_of_mx_records(records: list[MxRecord], expected: list[str]) -> None:
    found = judge_mx("example.test", records)
    assert ids(found.findings) == expected
    assert len(found.records) <= 10


def test_an_alias_and_a_private_address() -> None:
    zone: Zone = {
        "example.test": {"MX": ["10 mail.example.test."]},
        "mail.example.test": {"CNAME": ["box.example.test."]},
        "box.example.test": {"A": ["10.0.0.1"]},
    }
    found = ask(zone, objection=lambda address: "a private address")
    assert ids(found.findings)[:4] == ["mx.ok", "mx.alias", "mx.private", "name.not-dialled"]


def test_a_domain_that_cannot_be_asked() -> None:
    found = ask({}, {"example.test": Fault(rcode="SERVFAIL")})
    assert ids(found.findings) == ["mx.failed", "name.dns-failed"]


@pytest.mark.parametrize(
    ("zone", "domain"),
    [
        ({"example.test": {"A": ["127.0.0.1"]}}, ""),
        ({"example.test": {"A": ["127.0.0.1"], "TXT": ['"x=y"']}}, ""),
        ({"example.test": {"A": ["127.0.0.1"], **SPF}}, "example.test"),
        ({"example.test": {"A": ["127.0.0.1"]}, "_dmarc.example.test": DMARC}, "example.test"),
    ],
)
def test_a_name_without_mx_is_a_domain_when_it_publishes_what_domains_do(zone: Zone, domain: str) -> None:
    found = ask(zone, objection=lambda address: "not here")
    assert found.domain == domain
    assert ("mx.implicit" in ids(found.findings)) is bool(domain)


def test_one_of_two_ports_is_enough_and_no_ipv6_is_no_fault() -> None:
    def report(address: str, port: int, *names: str) -> HostReport:
        return HostReport(Place(endpoint("a.test", address, port)), tuple(map(found, names)))

    def levels(*reports: HostReport) -> list[str]:
        return [one.findings[0].level.label for one in _set_right(reports)]

    good = report("9.9.9.9", 587, "connect.ok")
    assert levels(good, report("9.9.9.9", 465, "connect.refused")) == ["ok", "info"]
    assert levels(report("9.9.9.9", 587, "connect.timeout"), report("9.9.9.9", 465, "connect.refused")) == ["error"] * 2
    assert levels(good, report("2001:db8::1", 587, "connect.no-family")) == ["ok", "info"]
    assert levels(good, report("9.9.9.8", 587, "connect.refused")) == ["ok", "error"]
    assert levels(report("2001:db8::1", 25, "connect.no-family")) == ["error"]


# --- SPF


@pytest.mark.parametrize(
    ("records", "expected", "record"),
    [
        ([], ["spf.missing"], 'example.test. TXT "v=spf1 mx ~all"'),
        (["v=spf1 mx -all"], ["spf.ok"], ""),
        (["v=spf1 redirect=_spf.example.test"], ["spf.ok"], ""),
        (["v=spf1 a", "v=spf1 mx -all"], ["spf.many"], 'example.test. TXT "v=spf1 a mx -all"'),
        (["v=spf1 ipv4:192.0.2.1 -all"], ["spf.syntax"], ""),
        (["v=spf1 include: -all"], ["spf.syntax"], ""),
        (["v=spf1 ip4:300.0.0.1 -all"], ["spf.syntax"], ""),
        (["v=spf1 ip6:192.0.2.1 -all"], ["spf.syntax"], ""),
        (["v=spf1 ip4:192.0.2.0/33 -all"], ["spf.syntax"], ""),
        (["v=spf1 +all"], ["spf.plus-all"], 'example.test. TXT "v=spf1 ~all"'),
        (["v=spf1 mx all"], ["spf.plus-all"], 'example.test. TXT "v=spf1 mx ~all"'),
        (["v=spf1 mx"], ["spf.open-end"], 'example.test. TXT "v=spf1 mx ~all"'),
        (["v=spf1 mx ?all"], ["spf.open-end"], 'example.test. TXT "v=spf1 mx ~all"'),
        (["v=spf1 ptr -all"], ["spf.ptr"], ""),
        (["v=spf1 " + "a:x.example.test " * 11 + "-all"], ["spf.lookups"], ""),
    ],
)
def test_spf(records: list[str], expected: list[str], record: str) -> None:
    found = judge_spf("example.test", records)
    assert ids(found) == expected
    assert found[0].records == ((record,) if record else ())
    for published in found[0].records:
        text = published.partition('"')[2].rstrip('"')
        assert not read_spf(text).wrong
        assert ids(judge_spf("example.test", [text])) == ["spf.ok"]


def test_spf_terms() -> None:
    read = read_spf("v=spf1 +A/24//64 mx:example.test/24 -ip6:2001:db8::/32 exists:%{i}._x.example.test x=y ~ALL")
    assert read.wrong == ()
    assert [(one.qualifier, one.name) for one in read.terms] == [
        ("+", "a"),
        ("+", "mx"),
        ("-", "ip6"),
        ("+", "exists"),
        ("", "x"),
        ("~", "all"),
    ]
    assert (read.lookups, read.end) == (3, "~all")


# --- DKIM


def der(bits: int) -> str:
    key = rsa.generate_private_key(65537, bits).public_key()
    octets = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(octets).decode()


RSA_2048 = der(2048)
RSA_1024 = der(1024)
ED = base64.b64encode(
    ed25519.Ed25519PrivateKey.generate()
    .public_key()
    .public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
).decode()


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([], [("dkim.missing", Level.ERROR)]),
        ([f"v=DKIM1; k=rsa; p={RSA_2048}"], [("dkim.ok", Level.OK)]),
        ([f"p={RSA_2048[:60]} {RSA_2048[60:]}"], [("dkim.ok", Level.OK)]),
        ([f"v=DKIM1; k=ed25519; p={ED}"], [("dkim.ok", Level.OK)]),
        ([f"v=DKIM1; t=y; p={RSA_2048}"], [("dkim.testing", Level.INFO), ("dkim.ok", Level.OK)]),
        ([f"v=DKIM1; p={RSA_1024}"], [("dkim.short", Level.WARN)]),
        (["v=DKIM1; p="], [("dkim.revoked", Level.WARN)]),
        (["v=DKIM1; k=rsa; p=AAAA"], [("dkim.syntax", Level.ERROR)]),
        (["v=DKIM1; k=rsa"], [("dkim.syntax", Level.ERROR)]),
        ([f"v=DKIM2; p={RSA_2048}"], [("dkim.syntax", Level.ERROR)]),
        ([f"k=rsa; v=DKIM1; p={RSA_2048}"], [("dkim.syntax", Level.ERROR)]),
        ([f"v=DKIM1; k=ed25519; p={RSA_2048}"], [("dkim.syntax", Level.ERROR)]),
        (["v=DKIM1; p=a", "v=DKIM1; p=b"], [("dkim.many", Level.ERROR)]),
        (["garbage"], [("dkim.syntax", Level.ERROR)]),
    ],
)
def test_dkim(records: list[str], expected: list[tuple[str, Level]]) -> None:
    assert [(one.id, one.level) for one in judge_dkim("example.test", "s1", records)] == expected


def test_selectors_are_asked_for() -> None:
    zone: Zone = {
        "example.test": {"MX": ["0 ."]},
        "s1._domainkey.example.test": {"TXT": [f'"v=DKIM1; k=ed25519; p={ED}"']},
    }
    found = ask(zone, dkim=("s1", "s2"))
    assert [one for one in ids(found.findings) if one.startswith("dkim")] == ["dkim.ok", "dkim.missing"]
    with pytest.raises(InquiryError):
        ask(zone, dkim=("a b",))


# --- DMARC


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("v=DMARC1; p=reject; rua=mailto:a@example.test", ["dmarc.ok"]),
        ("v=DMARC1;p=none;rua=mailto:a@example.test!10m", ["dmarc.none", "dmarc.ok"]),
        ("v=DMARC1; p=quarantine", ["dmarc.no-reports", "dmarc.ok"]),
        ("v=DMARC1; p=deny", ["dmarc.syntax"]),
        ("v=DMARC1; p=none; p=reject", ["dmarc.syntax"]),
        ("v=DMARC1; sp=none", ["dmarc.syntax"]),
        ("v=DMARC1; p=reject; adkim=x", ["dmarc.syntax"]),
        ("v=DMARC1; p=reject; rua=a@example.test", ["dmarc.syntax"]),
        ("v=DMARC1; p=reject; rua=mailto:nobody", ["dmarc.syntax"]),
    ],
)
def test_dmarc(text: str, expected: list[str]) -> None:
    assert ids(judge_dmarc("example.test", "example.test", text)) == expected


def test_the_tree_walk() -> None:
    assert list(walk("a.example.test")) == ["a.example.test", "example.test", "test"]
    deep = ".".join("abcdefghij") + ".example.test"
    assert list(walk(deep))[:2] == [deep, "f.g.h.i.j.example.test"]
    assert len(list(walk(deep))) == 8


def dmarc(zone: Zone, domain: str = "example.test", faults: dict[str, Fault] | None = None) -> list[Finding]:
    async def run() -> list[Finding]:
        async with DnsStub(zone, faults or {}) as stub:
            return await examine_dmarc(Resolver([stub.address], timeouts=Timeouts(0.2, 0.6, 1)), domain)

    return asyncio.run(run())


def test_dmarc_is_found_above_and_asks_for_consent() -> None:
    zone: Zone = {
        "_dmarc.example.test": {"TXT": ['"v=DMARC1; p=none; sp=reject; rua=mailto:a@other.test,mailto:b@agreed.test"']}
    }
    zone["example.test._report._dmarc.agreed.test"] = {"TXT": ['"v=DMARC1"']}
    found = dmarc(zone, "shop.example.test")
    assert ids(found) == ["dmarc.inherited", "dmarc.reports-refused"]
    assert found[0].facts["policy"] == "reject"
    assert found[1].records == ('example.test._report._dmarc.other.test. TXT "v=DMARC1;"',)


def test_dmarc_missing_many_failed() -> None:
    (missing,) = dmarc({})
    assert missing.id == "dmarc.missing"
    assert missing.records == ('_dmarc.example.test. TXT "v=DMARC1; p=none; rua=mailto:dmarc-reports@example.test"',)
    two = {"TXT": ['"v=DMARC1; p=none"', '"v=DMARC1; p=reject"', '"v=DMARC10; p=reject"']}
    assert ids(dmarc({"_dmarc.example.test": two})) == ["dmarc.many"]
    assert ids(dmarc({}, faults={"_dmarc.example.test": Fault(rcode="SERVFAIL")})) == ["dmarc.failed"]
    assert read_dmarc("v=DMARC1; p=none; rua=mailto:a@b.example,mailto:c@b.example").reports == ("b.example",)


# --- PTR


@pytest.mark.parametrize(
    ("zone", "name", "expected"),
    [
        ({"9.9.9.9.in-addr.arpa": {"PTR": ["mx.example.test."]}, "mx.example.test": {"A": ["9.9.9.9"]}}, "mx.example.test", "name.ptr-ok"),
        ({"9.9.9.9.in-addr.arpa": {"PTR": ["h9.isp.test."]}, "h9.isp.test": {"A": ["9.9.9.9"]}}, "mx.example.test", "name.ptr-differs"),
        ({"9.9.9.9.in-addr.arpa": {"PTR": ["mx.example.test."]}, "mx.example.test": {"A": ["9.9.9.8"]}}, "mx.example.test", "name.ptr-unconfirmed"),
        ({}, "mx.example.test", "name.ptr-none"),
    ],
)  # fmt: skip
def test_ptr(zone: Zone, name: str, expected: str) -> None:
    async def run() -> Finding:
        async with DnsStub(zone) as stub:
            return await examine_ptr(Resolver([stub.address]), "9.9.9.9", name)

    assert asyncio.run(run()).id == expected


def test_another_name_of_somebodys_mx_is_told_without_alarm() -> None:
    zone: Zone = {"9.9.9.9.in-addr.arpa": {"PTR": ["h9.isp.test."]}, "h9.isp.test": {"A": ["9.9.9.9"]}}

    async def run(level: Level | None) -> Finding:
        async with DnsStub(zone) as stub:
            return await examine_ptr(Resolver([stub.address]), "9.9.9.9", "mx.example.test", level=level)

    assert asyncio.run(run(None)).level is Level.WARN
    assert asyncio.run(run(Level.INFO)).level is Level.INFO


def test_ptr_of_what_is_not_public_and_of_silence() -> None:
    async def run(address: str) -> Finding:
        async with DnsStub({}, {"9.9.9.9.in-addr.arpa": Fault(rcode="SERVFAIL")}) as stub:
            return await examine_ptr(Resolver([stub.address], timeouts=Timeouts(0.2, 0.5, 1)), address, "")

    assert asyncio.run(run("10.1.2.3")).id == "name.ptr.skipped"
    assert asyncio.run(run("9.9.9.9")).id == "name.ptr-failed"


# --- what was named


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Example.Test.", ("example.test", 0)),
        ("kana@example.test", ("example.test", 0)),
        ("mx.example.test:587", ("mx.example.test", 587)),
        ("192.0.2.1", ("192.0.2.1", 0)),
        ("[2001:DB8::1]:25", ("2001:db8::1", 25)),
        ("2001:db8::1", ("2001:db8::1", 0)),
        ("münchen.example", ("xn--mnchen-3ya.example", 0)),
    ],
)
def test_targets(text: str, expected: tuple[str, int]) -> None:
    named = read_target(text)
    assert (named.host, named.port) == expected


@pytest.mark.parametrize(
    "text", ["", "a b", "x:0", "x:99999", "[nonsense]", "x\x00y", "-", "a..b", "[1.2.3.4", "\u202ea"]
)
def test_what_is_no_target(text: str) -> None:
    with pytest.raises(TargetError):
        read_target(text)
