"""The client against Postfix, Exim and Dovecot: content by DATA and by BDAT, refusals, TLS with a verified name."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from postroad.net.connecting import Endpoint, Target
from postroad.net.smtp_client import Letter, SmtpClient
from postroad.net.tls import client_context
from postroad.net.use_tls import UseTls
from postroad.smtp.mail_transaction import Stage
from postroad.smtp.parameters import NOTHING_GIVEN
from tests import peers
from tests.delivery.fixtures import blocks, until
from tests.net.client_loopback import LOOPS, Run, letter, options, runner
from tools.mail_servers import Dovecot, Exim, MailServer, Postfix

pytestmark = pytest.mark.privileged("overlay")

HEADER = b"From: Kana <kana@example.net>\r\nDate: Tue, 24 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@example.net>\r\n"
SMALL = HEADER + b"Subject: small\r\n\r\n.dot\r\n..dots\r\nend"
LARGE = HEADER + b"Subject: large\r\n\r\n" + b".a line of some length that begins with a dot\r\n" * 20_000


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    return runner(request.param)


def content_of(arrived: bytes) -> bytes:
    """What was sent, out of what a mailbox keeps: LF, and fields of theirs before ours."""
    text = arrived.replace(b"\r\n", b"\n")
    return text[text.index(b"From: Kana") :]


def to(domain: str, *names: str, content: bytes, bdat: bool, pipelining: bool = True) -> Letter:
    pieces = [content[start : start + 50_000] for start in range(0, len(content), 50_000)]
    sent = letter(*names, content=blocks(*pieces), bdat=bdat, pipelining=pipelining)
    people = [(type(path)(path.local_part, domain), NOTHING_GIVEN) for path, _ in sent.recipients]
    return Letter(sent.reverse_path, people, sent.content, bdat=bdat, pipelining=pipelining)


async def check(server: MailServer, target: Target, domain: str) -> None:
    """Small and large, by DATA and by BDAT, in a group and one by one; a refused recipient beside a good one each."""
    client = await SmtpClient.connect(target, options())
    assert client.engine.offers("CHUNKING")
    manners = [(bdat, pipelining) for bdat in (False, True) for pipelining in (False, True)]
    for bdat, pipelining in manners:
        for content in (SMALL, LARGE):
            one = to(domain, "bob", "nobody", content=content, bdat=bdat, pipelining=pipelining)
            taken, refused = await client.deliver(one)
            assert taken.accepted
            assert refused.stage is Stage.RCPT
            assert refused.reply is not None
            assert refused.reply.is_permanent
            assert client.is_usable
    nobody = await client.deliver(to(domain, "nobody", content=SMALL, bdat=True))
    assert [answer.stage for answer in nobody] == [Stage.RCPT]
    await client.quit()
    await until(lambda: len(server.mail) == 2 * len(manners))
    arrived = sorted(content_of(mail).rstrip(b"\n") for mail in server.mail)
    sent = [content.replace(b"\r\n", b"\n").rstrip(b"\n") for content in (LARGE, SMALL)]
    assert arrived == sorted(sent * len(manners))


def test_postfix(run: Run) -> None:
    with peers.mail_server(Postfix)() as server:
        run(check(server, Target("127.0.0.1", server.port), Postfix.domain))


def test_exim(run: Run) -> None:
    with peers.mail_server(Exim)() as server:
        run(check(server, Target("127.0.0.1", server.port), Exim.domain))


@pytest.mark.parametrize("by", ["port", "socket"])
def test_dovecot(run: Run, by: str) -> None:
    server = peers.mail_server(Dovecot)()
    assert isinstance(server, Dovecot)
    with server:
        target = Target("127.0.0.1", server.port, lmtp=True)
        run(check(server, target if by == "port" else Target(path=str(server.socket), lmtp=True), "example.com"))


def test_postfix_with_a_verified_name(run: Run, tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("mx.postfix.example")
    for parent in (tmp_path, *tmp_path.parents[:3]):
        parent.chmod(0o755)
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued.private_key_and_cert_chain_pem.write_to_path(str(key))
    issued.cert_chain_pems[0].write_to_path(str(cert))
    verifying = client_context()
    authority.configure_trust(verifying)

    async def work(server: MailServer) -> None:
        endpoint = Endpoint(Target("mx.postfix.example", server.port), "127.0.0.1")
        client = await SmtpClient.connect_to([endpoint], options(tls=UseTls.VERIFIED, verifying=verifying))
        assert client.tls_info is not None
        assert client.tls_info.names == ("mx.postfix.example",)
        (answer,) = await client.deliver(to(Postfix.domain, "kana", content=LARGE, bdat=True))
        assert answer.accepted
        await client.quit()

    kind = peers.mail_server(Postfix)
    assert issubclass(kind, Postfix)
    with kind(certificate=(cert, key)) as server:
        run(work(server))
