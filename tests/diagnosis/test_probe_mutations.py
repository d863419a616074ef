"""Nothing that a host, a certificate or the DNS says makes the probe stumble: mutated octets through every reader.

`POSTROAD_MUTATIONS=100000` asks for more than the usual number.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterable

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from postroad.diagnosis import greeting
from postroad.diagnosis.certificate import findings as of_certificate
from postroad.diagnosis.diagnosing import diagnose
from postroad.diagnosis.dkim_record import judge_dkim
from postroad.diagnosis.dmarc_record import judge_dmarc
from postroad.diagnosis.findings import Finding
from postroad.diagnosis.looks import looks_like, other_protocol
from postroad.diagnosis.spf_record import is_spf, judge_spf
from postroad.diagnosis.targets import judge_mx, read_target
from postroad.diagnosis.telling import Teller
from postroad.diagnosis.watching import Waits
from postroad.errors import PostroadError
from postroad.net.resolver import MxRecord
from postroad.replies.reply import Reply, ReplySyntaxError
from tests.diagnosis.faulty_servers import EHLO, GREETING, Reader, Writer, say, serving

COUNT = int(os.environ.get("POSTROAD_MUTATIONS", "5000"))
SEEDS = (
    GREETING,
    EHLO + b"250 STARTTLS\r\n",
    b"554 5.7.1 no\r\n",
    b"421-4.3.2 a\r\n421 4.3.2 b\r\n",
    b"SSH-2.0-x\r\n",
    b"* OK IMAP\r\n",
    b"HTTP/1.1 400 Bad\r\n\r\n",
    b"\x15\x03\x01\x00\x02\x02\x28",
    "220 ホスト.example 準備完了\r\n".encode(),
    b"250-mx.example.test\r\n250-SIZE 99\r\n250-AUTH PLAIN\r\n250-XXXXXXXA\r\n250 LIMITS RCPTMAX=9\r\n",
)
RECORDS = (
    b"v=spf1 a mx:a.example include:_spf.b.example ip4:192.0.2.0/24 ip6:2001:db8::/32 -all",
    b"v=DKIM1; k=rsa; t=y; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA",
    b"v=DMARC1; p=none; sp=reject; rua=mailto:a@b.example!10m,mailto:c@d.example; ruf=mailto:e@f.example; fo=1",
)
TELLERS = (Teller("en"), Teller("ja"))


def mutated(rng: random.Random, seeds: tuple[bytes, ...]) -> bytes:
    octets = bytearray(rng.choice(seeds))
    for _ in range(rng.randrange(1, 6)):
        place = rng.randrange(len(octets) + 1)
        match rng.randrange(6):
            case 0:
                octets[place:place] = rng.randbytes(rng.randrange(1, 5))
            case 1:
                del octets[place : place + rng.randrange(1, 9)]
            case 2:
                octets[place : place + 1] = bytes((rng.randrange(256),))
            case 3:
                octets[place:place] = rng.choice((b"\r\n", b"\n", b"\0", b";", b"=", b" ", b"\x1b[2J", b"\xe2\x80\xae"))
            case 4:
                octets += octets[:place] * rng.randrange(1, 4)
            case 5:
                octets[place:place] = rng.choice(seeds)[: rng.randrange(1, 40)]
    return bytes(octets[:20_000])


def check(findings: Iterable[Finding]) -> int:
    """Every finding can be told, in every language, harmlessly."""
    count = 0
    for one in findings:
        for teller in TELLERS:
            told = teller.told(one)
            texts = (told.verdict, told.seen, told.means, told.said, told.disproof, told.do, *told.next)
            assert all(text.isprintable() for text in texts), one
            teller.finding(one)
        count += 1
    return count


def test_octets_of_hosts() -> None:
    rng = random.Random(5)
    told = 0
    for _ in range(COUNT):
        octets = mutated(rng, SEEDS)
        told += check((greeting.in_place_of_220(octets, rng.choice((len(octets), 70_000)), 0.1),))
        told += check((greeting.ended(octets, rng.random() < 0.5, 0.1),))
        looks_like(octets)
        try:
            reply = Reply.parse(octets)
        except (ReplySyntaxError, ValueError):
            continue
        greeting.extensions(reply)
        other_protocol(reply.text, reply.text)
        told += check(
            (
                *greeting.of_name(reply),
                *greeting.of_names(reply, reply),
                *greeting.of_extensions(reply, inside=rng.random() < 0.5),
                greeting.refused(reply, 0.1),
            )
        )
    assert told >= 2 * COUNT


def test_records() -> None:
    rng = random.Random(6)
    for _ in range(COUNT):
        octets = mutated(rng, RECORDS)
        text = octets.decode("ascii", "backslashreplace")
        is_spf(octets)
        check(judge_spf("example.test", [text]))
        check(judge_dkim("example.test", "s1", [text]))
        check(judge_dmarc("example.test", "example.test", text))
        check(judge_mx("example.test", [MxRecord(rng.randrange(9), text[:200]), MxRecord(1, "")]).findings)


def test_targets() -> None:
    rng = random.Random(7)
    seeds = (
        b"example.test",
        b"mx.example.test:25",
        b"[2001:db8::1]:587",
        b"kana@example.test",
        "例え.example".encode(),
    )
    for _ in range(COUNT):
        try:
            read_target(mutated(rng, seeds).decode("utf-8", "replace"))
        except PostroadError as fault:
            assert fault.message


def test_certificates() -> None:
    rng = random.Random(8)
    pem = trustme.CA().issue_cert("mx.example.test", "*.example.test", "192.0.2.1").cert_chain_pems[0].bytes()
    seeds = (x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER),)
    for _ in range(min(COUNT, 20_000)):
        check(
            of_certificate(
                mutated(rng, seeds), "mx.example.test", code=rng.choice((None, 18, 20)), message="x", strict=True
            )
        )


@pytest.mark.parametrize("seed", range(4))
def test_whole_sessions(seed: int) -> None:
    """A host that answers everything with mutated octets, TLS promises included."""
    rng = random.Random(100 + seed)
    answers = (EHLO + b"250 STARTTLS\r\n", b"250 2.1.0 Ok\r\n", b"220 go\r\n", b"550 5.1.1 no\r\n", b"421 bye\r\n")

    async def handler(reader: Reader, writer: Writer) -> None:
        await say(writer, rng.choice((GREETING, GREETING, mutated(rng, SEEDS))))
        for _ in range(8):
            if not await reader.read(4096):
                return
            whole = rng.choice(answers)
            await say(writer, whole if rng.random() < 0.7 else mutated(rng, (*answers, *SEEDS)))

    async def run() -> None:
        waits = Waits(connect=0.5, greeting=0.2, answer=0.2, tls_trial=0.1, quit=0.1, total=5)
        async with serving(handler) as port:
            for _ in range(3):
                batch = [
                    diagnose(
                        f"127.0.0.1:{port}",
                        waits=waits,
                        hello="me.example.test",
                        rcpt="kana@example.test",
                        probe_relay=True,
                        role=rng.choice(("mx", "submission", "lmtp")),
                        implicit_tls=rng.random() < 0.2,
                        user="kana",
                        password="Sesame-opens",
                    )
                    for _ in range(8)
                ]
                for found in await asyncio.gather(*batch):
                    assert check(found.all_findings)
                    assert "Sesame" not in found.transcript
                    TELLERS[0].document(found)

    asyncio.run(run())
