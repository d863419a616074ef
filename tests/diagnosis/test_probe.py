"""The probe against the table of faulty servers: each is told apart, and nothing else is complained about."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterable

import pytest

import postroad.diagnosis
from postroad.diagnosis.diagnosing import Diagnosis, Progress, diagnose
from postroad.diagnosis.envelope_steps import auth_in_clear
from postroad.diagnosis.findings import Finding, Level
from postroad.diagnosis.telling import Teller
from postroad.diagnosis.watching import Waits
from postroad.net.resolver import Resolver, Timeouts
from tests.diagnosis.certificates import HOST, trusted
from tests.diagnosis.faulty_servers import TABLE, Faulty, Talk, full_backlog, says, serving
from tests.dns_stub import DnsStub, Fault

QUICK = Waits(connect=1.5, greeting=30, answer=30, tls_trial=10, quit=2, total=60.0, slow=60)
TELLER = Teller("en")
ZONE = {HOST: {"A": ["127.0.0.1"]}}


async def look(port: int, row: Faulty = Faulty("", ""), **more: object) -> Diagnosis:
    async with DnsStub(ZONE) as stub:
        wishes = {
            "role": row.role,
            "port": port,
            "implicit_tls": row.implicit,
            "rcpt": row.rcpt,
            "probe_relay": row.relay,
            "hello": "me.example.test",
            "host_only": True,
            "tls_ca": trusted(),
            "waits": row.waits,
            "resolver": Resolver([stub.address]),
            **more,
        }
        return await diagnose(HOST, **wishes)  # type: ignore[arg-type]


def grave(findings: Iterable[Finding]) -> list[Finding]:
    return [one for one in findings if one.level >= Level.WARN]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_each_fault_is_told_apart(row: Faulty) -> None:
    async def run() -> Diagnosis:
        async with serving(row.serve) as port:
            return await look(port, row)

    diagnosis = asyncio.run(run())
    findings = diagnosis.all_findings
    told = {one.id: one for one in findings}
    assert row.expect in told, [(one.id, one.seen) for one in findings]
    one = told[row.expect]
    assert one.level.label == row.level
    assert row.says in one.seen
    others = {each.id for each in grave(findings)} - {row.expect}
    assert others == set(row.also)
    for each in map(TELLER.told, findings):
        assert "?" not in "".join(command.partition("   # ")[0] for command in each.next), each.next
        assert "?" not in each.verdict


def test_dropped_packets() -> None:
    async def run() -> Diagnosis:
        with full_backlog() as port:
            return await look(port, waits=QUICK)

    (one,) = grave(asyncio.run(run()).all_findings)
    assert one.id == "connect.timeout"
    assert one.waited is not None


@pytest.mark.parametrize("implicit", [False, True])
def test_a_good_server_is_clean(implicit: bool) -> None:
    inside = Talk().inside.replace(b"250 DSN", b"250-DSN\r\n250 AUTH PLAIN")
    good = Talk(implicit=implicit, inside=inside if implicit else Talk().inside)

    async def run() -> Diagnosis:
        async with serving(good) as port:
            role = "submission" if implicit else "mx"
            return await look(port, Faulty("", "", implicit=implicit, role=role, relay=not implicit))

    diagnosis = asyncio.run(run())
    assert grave(diagnosis.all_findings) == []
    ids = [one.id for one in diagnosis.all_findings]
    assert {"connect.ok", "greeting.ok", "ehlo.inside" if not implicit else "ehlo.ok", "tls.ok", "cert.ok"} <= set(ids)
    assert ("relay.ok" in ids) is not implicit


def test_few_connections_and_no_data() -> None:
    """A stranger's server hears what is needed, QUIT at the end, and never DATA or a recipient that was not asked for."""
    heard: list[bytes] = []
    connections = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        writer.write(b"220 mx.example.test ESMTP\r\n")
        while line := await reader.readline():
            heard.append(line)
            writer.write(b"221 bye\r\n" if line.startswith(b"QUIT") else b"250 mx.example.test\r\n")

    async def run() -> None:
        async with serving(handler) as port:
            await look(port)

    asyncio.run(run())
    assert connections == 1
    assert heard == [b"EHLO me.example.test\r\n", b"QUIT\r\n"]


@pytest.mark.parametrize(("role", "tls", "most"), [("mx", "good", 1), ("mx", "self-signed", 2)])
def test_connections_are_counted(role: str, tls: str, most: int) -> None:
    count = 0
    good = Talk(tls=tls)

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        await good(reader, writer)

    async def run() -> None:
        async with serving(handler) as port:
            await look(port)

    asyncio.run(run())
    assert count == most


@pytest.mark.parametrize(
    ("zone", "faults", "expected"),
    [
        ({}, {}, "name.not-found"),
        ({HOST: {"TXT": ['"x"']}}, {}, "name.no-address"),
        ({}, {HOST: Fault(rcode="SERVFAIL")}, "name.dns-failed"),
    ],
)
def test_names_that_lead_nowhere(
    zone: dict[str, dict[str, list[str]]], faults: dict[str, Fault], expected: str
) -> None:
    async def run() -> Diagnosis:
        async with DnsStub(zone, faults) as stub:
            resolver = Resolver([stub.address], timeouts=Timeouts(0.2, 0.5, 1))
            return await diagnose(HOST, resolver=resolver, waits=QUICK, host_only=True)

    diagnosis = asyncio.run(run())
    assert [one.id for one in diagnosis.findings] == [expected]
    assert diagnosis.hosts == ()
    assert diagnosis.level is Level.ERROR


def test_an_address_that_is_not_to_be_dialled() -> None:
    async def run() -> Diagnosis:
        return await look(25, objection=lambda address: "a loopback address")

    diagnosis = asyncio.run(run())
    assert [one.id for one in diagnosis.findings] == ["name.not-dialled"]
    assert diagnosis.hosts == ()


def test_secrets_stay_in_tls_and_out_of_the_transcript() -> None:
    inside = Talk().inside.replace(b"250 DSN", b"250-DSN\r\n250 AUTH PLAIN")

    async def run(talk: Talk) -> Diagnosis:
        async with serving(talk) as port:
            return await look(port, Faulty("", "", role="submission"), user="kana", password="Sesame-opens")

    accepted = asyncio.run(run(Talk(inside=inside)))
    assert "auth.accepted" in [one.id for one in accepted.all_findings]
    assert "Sesame" not in accepted.transcript
    assert "AG" not in accepted.transcript
    refused = asyncio.run(run(Talk(inside=inside, auth=b"535 5.7.8 no\r\n")))
    assert "auth.refused" in [one.id for one in refused.all_findings]
    clear = asyncio.run(run(Talk(ehlo=inside, inside=inside)))
    assert "auth.not-tried" in [one.id for one in clear.all_findings]
    assert "AUTH PLAIN" not in clear.transcript.replace("250-AUTH PLAIN", "").replace("250 AUTH PLAIN", "")


def test_both_versions_of_ip_are_looked_at() -> None:
    async def run() -> Diagnosis:
        zone = {HOST: {"A": ["127.0.0.1"], "AAAA": ["::1"]}}
        async with serving(Talk()) as port, serving(says(b"554 no\r\n", 0), "::1", port), DnsStub(zone) as stub:
            return await look(port, resolver=Resolver([stub.address]))

    found = asyncio.run(run())
    told = {one.place.endpoint.address: [each.id for each in grave(one.findings)] for one in found.hosts}
    assert told == {"127.0.0.1": [], "::1": ["greeting.554"]}
    assert [one.source for one in found.hosts] == list(told)


def test_a_password_in_clear_is_a_matter_of_who_is_on_the_way() -> None:
    assert auth_in_clear("PLAIN", "9.9.9.9", lacks_tls=False).level is Level.WARN
    assert auth_in_clear("PLAIN", "127.0.0.1", lacks_tls=False).level is Level.INFO
    assert auth_in_clear("PLAIN", "::1", lacks_tls=True).level is Level.ERROR


def test_progress_is_told() -> None:
    told: list[Progress] = []

    async def run() -> Diagnosis:
        async with serving(Talk()) as port:
            return await look(port, listener=told.append)

    diagnosis = asyncio.run(run())
    steps = [one.step for one in told if one.finding is None]
    assert steps[:4] == ["dns", "hosts", "connect", "greeting"]
    assert steps[-1] == "done"
    assert [one.finding for one in told if one.finding is not None] == list(diagnosis.all_findings)


def test_the_public_names() -> None:
    """Nothing heavy is imported before a name is used; what is no name is told as Python does."""
    code = "import sys, postroad.diagnosis as d; assert 'asyncio' not in sys.modules; d.diagnose; assert 'asyncio' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert postroad.diagnosis.diagnose is diagnose
    assert {"diagnose", "diagnose_sync", "Diagnosis"} <= set(dir(postroad.diagnosis))
    with pytest.raises(AttributeError):
        _ = postroad.diagnosis.nothing
