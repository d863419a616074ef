"""Mail through Postroad to real servers and back: Postfix and Exim by SMTP, Dovecot by LMTP, with TLS, by MX records.

What they refuse comes back to the sender as our report; what Postfix itself gives up comes back as Postfix's bounce,
and ``postroad explain`` says what it means.
"""

from __future__ import annotations

import subprocess
import sys
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest
import trustme

from tests import peers
from tests.server_process import ServerProcess, until
from tests.service.conftest import Serve
from tests.service.names import NameServer
from tools.mail_servers import Dovecot, Exim, MailServer, Postfix, free_port

pytestmark = pytest.mark.privileged("overlay")

BODY = (
    "From: Kana <kana@ours.example>\r\nDate: Tue, 24 Nov 2026 09:00:00 +0900\r\nMessage-ID: <1@ours.example>\r\n"
    "Subject: =?utf-8?Q?=E9=83=B5=E4=BE=BF?=\r\n\r\n.a dot, and \u90f5\u4fbf\r\n"
).encode()


def config(mail: Path, port: int, more: str) -> str:
    return f"""
hostname = "mail.ours.example"
[mx]
listen = ["127.0.0.1:{port}"]
trusted_networks = ["127.0.0.0/8"]
[[domain]]
name = "ours.example"
deliver = "maildir:{mail}/{{user}}"
[retry]
schedule = ["1s"]
{more}
"""


def submit(server: ServerProcess, *recipients: str, body: bytes = BODY) -> str:
    """Send from kana@ours.example; gives the id of the message."""
    with server.wire("mx") as wire:
        assert wire.ask("MAIL FROM:<kana@ours.example> RET=HDRS ENVID=order+3D7 BODY=8BITMIME")[0] == 250
        for recipient in recipients:
            assert wire.ask(f"RCPT TO:{recipient}")[0] == 250
        assert wire.ask("DATA")[0] == 354
        wire.send((b"\r\n" + body).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n")
        code, (line, *_) = wire.reply()
        assert code == 250
        return line.split()[-1]


def inbox(mail: Path) -> list[bytes]:
    """What came back to kana@ours.example."""
    return [file.read_bytes() for file in sorted(mail.glob("kana/new/*"))]


def status_of(report: Message) -> list[Message]:
    """The groups of fields of a report's machine part: the message's, then each recipient's."""
    (part,) = (part for part in report.walk() if part.get_content_type() == "message/delivery-status")
    groups = part.get_payload()
    assert isinstance(groups, list)
    return groups


def unstuffed(arrived: bytes) -> bytes:
    """Content as a mailbox keeps it, with LF, as it was sent."""
    return arrived[arrived.index(b"From: Kana") :].replace(b"\r\n", b"\n")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o755)
    issued = trustme.CA().issue_cert("mx.postfix.example")
    cert, key = folder / "cert.pem", folder / "key.pem"
    issued.private_key_and_cert_chain_pem.write_to_path(str(key))
    issued.cert_chain_pems[0].write_to_path(str(cert))
    return cert, key


@pytest.mark.parametrize("kind", [Postfix, Exim], ids=["postfix", "exim"])
def test_mail_arrives_and_what_is_refused_comes_back(
    kind: type[Postfix | Exim], serve: Serve, tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    peers.mail_server(kind)
    ours, mail = free_port(), tmp_path / "mail"
    there: MailServer = Exim() if kind is Exim else Postfix(certificate=certificate)
    with there:
        server = serve(config(mail, ours, f'[outbound]\nvia = "smtp:127.0.0.1:{there.port}"\n'))
        name = kind.domain
        id = submit(server, f"<kana@{name}> NOTIFY=NEVER", f"<nobody@{name}> NOTIFY=FAILURE ORCPT=rfc822;old@{name}")
        (arrived,) = until(lambda: there.mail, "the mail arrives", 30)
        (back,) = until(lambda: inbox(mail), "the report comes back", 30)
        assert unstuffed(arrived) == BODY.replace(b"\r\n", b"\n")
        report = message_from_bytes(back)
        assert report.get_content_type() == "multipart/report"
        message, recipient = status_of(report)
        assert message["Original-Envelope-Id"] == "order=7"
        assert recipient["Final-Recipient"] == f"rfc822; nobody@{name}"
        assert recipient["Original-Recipient"] == f"rfc822; old@{name}"
        assert recipient["Action"] == "failed"
        assert recipient["Status"].startswith("5.1.1" if kind is Postfix else "5.")
        assert recipient["Remote-MTA"] is not None
        assert recipient["Diagnostic-Code"].startswith("smtp; 550")
        why = server.cli("queue", "why", id, "--json").stdout
        assert "delivered" in why and "failed" in why
        if kind is Postfix:
            assert "TLSv1.3" in why
        assert server.stop() == 0


def test_postfix_reports_success_itself_since_it_offers_dsn(serve: Serve, tmp_path: Path) -> None:
    """RFC 3461 section 5.2.1: who hands on to a host with DSN leaves the report to it."""
    peers.mail_server(Postfix)
    ours, mail = free_port(), tmp_path / "mail"
    with Postfix(relay_to=ours) as there:
        server = serve(config(mail, ours, f'[outbound]\nvia = "smtp:127.0.0.1:{there.port}"\n'))
        submit(server, "<kana@postfix.example> NOTIFY=SUCCESS")
        (back,) = until(lambda: inbox(mail), "the report comes back", 30)
        message, recipient = status_of(message_from_bytes(back))
        assert message["Reporting-MTA"] == "dns; mx.postfix.example"
        assert recipient["Action"] == "delivered"


def test_a_bounce_of_postfix_is_explained(serve: Serve, tmp_path: Path) -> None:
    """Postfix accepts and gives up later, and its report comes back through us."""
    peers.mail_server(Postfix)
    ours, mail = free_port(), tmp_path / "mail"
    no_box = (
        "virtual_mailbox_maps = static:all/\ntransport_maps = inline:{ {postfix.example=error:5.1.1 No such user} }"
    )
    with Postfix(relay_to=ours, settings=no_box) as there:
        server = serve(config(mail, ours, f'[outbound]\nvia = "smtp:127.0.0.1:{there.port}"\n'))
        submit(server, "<ghost@postfix.example>")
        (back,) = until(lambda: inbox(mail), "the bounce comes back", 30)
    command = [sys.executable, "-m", "postroad", "explain", "--lang", "ja", "-"]
    explained = subprocess.run(command, input=back, capture_output=True, timeout=60, check=True).stdout.decode()
    assert "5.1.1" in explained
    assert "宛先" in explained


@pytest.mark.parametrize("by_socket", [False, True], ids=["tcp", "socket"])
def test_dovecot_takes_mail_by_lmtp_and_answers_for_each_recipient(
    by_socket: bool, serve: Serve, tmp_path: Path
) -> None:
    peers.mail_server(Dovecot)
    ours, mail = free_port(), tmp_path / "mail"
    with Dovecot() as there:
        way = f"lmtp:{there.socket}" if by_socket else f"lmtp:127.0.0.1:{there.port}"
        server = serve(config(mail, ours, f'[[domain]]\nname = "boxes.example"\ndeliver = "{way}"\n'))
        submit(server, "<kana@boxes.example>", "<bob@boxes.example>", "<nobody@boxes.example>")
        until(lambda: len(there.mail) == 2, "both mails arrive", 30)
        (back,) = until(lambda: inbox(mail), "the report comes back", 30)
        assert {unstuffed(one) for one in there.mail} == {BODY.replace(b"\r\n", b"\n")}
    _, recipient = status_of(message_from_bytes(back))
    assert recipient["Final-Recipient"] == "rfc822; nobody@boxes.example"
    assert recipient["Status"] == "5.1.1"


def test_the_mx_record_says_where_mail_goes(serve: Serve, tmp_path: Path) -> None:
    peers.mail_server(Postfix)
    ours, mail = free_port(), tmp_path / "mail"
    zone = {
        "postfix.example": {"MX": ["10 dead.postfix.example.", "20 mx.postfix.example."]},
        "dead.postfix.example": {"A": ["127.0.0.9"]},  # nobody listens there
        "mx.postfix.example": {"A": ["127.0.0.1"]},
        "nomail.example": {"MX": ["0 ."]},
    }
    with NameServer(zone) as names, Postfix() as there:
        outbound = f"""[outbound]
resolver = ["{names.address}"]
allow_networks = ["127.0.0.0/8"]
port = {there.port}
"""
        server = serve(config(mail, ours, outbound))
        submit(server, "<kana@postfix.example>")
        until(lambda: there.mail, "the mail arrives", 30)
        submit(server, "<a@nomail.example>", "<b@nosuch.example>")
        reports = until(lambda: len(inbox(mail)) == 2 and inbox(mail), "the reports come back", 30)
    found = {
        status_of(message_from_bytes(one))[1]["Final-Recipient"]: status_of(message_from_bytes(one))[1]["Status"]
        for one in reports
    }
    assert found == {"rfc822; a@nomail.example": "5.1.10", "rfc822; b@nosuch.example": "5.1.2"}


def test_loopback_is_not_dialled_unless_allowed(serve: Serve, tmp_path: Path) -> None:
    """A stranger's MX record must not lead us to our own back door."""
    peers.mail_server(Postfix)
    ours, mail = free_port(), tmp_path / "mail"
    zone = {"evil.example": {"MX": ["10 mx.evil.example."]}, "mx.evil.example": {"A": ["127.0.0.1"]}}
    with NameServer(zone) as names, Postfix() as there:
        server = serve(config(mail, ours, f'[outbound]\nresolver = ["{names.address}"]\nport = {there.port}\n'))
        submit(server, "<kana@evil.example>")
        (back,) = until(lambda: inbox(mail), "the report comes back", 30)
        assert "connect" not in there.log()[there.log().rfind("starting") :] or "evil.example" not in there.log()
    _, recipient = status_of(message_from_bytes(back))
    assert recipient["Action"] == "failed"
    assert recipient["Status"].startswith("5.")


def test_a_certificate_that_must_be_good_and_is_not(
    serve: Serve, tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    peers.mail_server(Postfix)
    ours, mail = free_port(), tmp_path / "mail"
    with Postfix(certificate=certificate) as there:
        outbound = f'[outbound]\nvia = "smtp:127.0.0.1:{there.port}"\ntls = "verify"\n'
        server = serve(config(mail, ours, outbound.replace("[outbound]", "[outbound]")))
        id = submit(server, "<kana@postfix.example>")
        why = until(
            lambda: (said := server.cli("queue", "why", id).stdout) and "certificate" in said and said, "why", 30
        )
        assert "verify" in why or "not accepted" in why
        assert there.mail == []
