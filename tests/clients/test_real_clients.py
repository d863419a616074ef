"""What real clients send is what we keep: plain, by STARTTLS and by TLS from the first octet, with and without AUTH."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.clients.conftest import ACCOUNT
from tests.clients.programs import CLIENTS, PLAIN_ONLY, Delivery, Security
from tests.server_process import ServerProcess

#: Everything that goes wrong easily: dots, octets above 127, spaces at ends, a line of the longest kind, empty lines last.
MESSAGE = (
    "From: Ann <ann@client.example>\r\n"
    "To: bob@example.com\r\n"
    "Subject: dots\r\n"
    "\tand a fold\r\n"
    "Date: Mon, 1 Jan 2024 00:00:00 +0000\r\n"
    "Message-ID: <1@client.example>\r\n"
    "MIME-Version: 1.0\r\n"
    "Content-Type: text/plain; charset=utf-8\r\n"
    "Content-Transfer-Encoding: 8bit\r\n"
    "\r\n"
    "first\r\n.\r\n..\r\n...\r\n.leading\r\n. \r\n"
    "Grüße, 日本語, \N{GRINNING FACE}\r\n" + "x" * 990 + "\r\n"
    "trailing  \r\n\t\r\nFrom here on\r\n-- \r\nAnn\r\n\r\n\r\n"
).encode()  # fmt: skip

WAYS: list[tuple[str, Security, bool]] = [
    (client, security, authenticated)
    for client, security, authenticated in itertools.product(CLIENTS, ("plain", "starttls", "tls"), (False, True))
    if client not in PLAIN_ONLY or (security == "plain" and not authenticated)
]


def listener_for(security: Security, authenticated: bool) -> str:
    """TLS from the first octet has a port of its own; who authenticates goes to submission, who does not to the open one."""
    if security == "tls":
        return "submissions"
    return "submission" if authenticated else "mx"


@pytest.mark.parametrize(
    ("client", "security", "authenticated"), WAYS, ids=[f"{c}-{s}{'-auth' if a else ''}" for c, s, a in WAYS]
)
def test_octets_arrive_as_they_were_sent(
    client: str,
    security: Security,
    authenticated: bool,
    server: ServerProcess,
    authority: tuple[Path, Path, Path],
    tmp_path: Path,
) -> None:
    recipient = f"{client}-{security}-{'known' if authenticated else 'stranger'}@example.com"
    port = server.address(listener_for(security, authenticated))[1]
    account = ACCOUNT if authenticated else None
    sent = CLIENTS[client](Delivery("localhost", port, security, account, authority[0], recipient, MESSAGE, tmp_path))
    kept = server.message_to(recipient)
    assert content_of(server.raw(kept["id"])) == sent
    assert kept["account"] == (ACCOUNT[0] if authenticated else "")
    assert kept["tls"].startswith("TLSv1.") is (security != "plain")
    assert kept["to"] == [recipient]


def test_a_wrong_password_is_told_to_the_client(
    server: ServerProcess, authority: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    port = server.address("submission")[1]
    wrong = (ACCOUNT[0], "wrong")
    for client in ("curl", "swaks", "msmtp"):
        delivery = Delivery("localhost", port, "starttls", wrong, authority[0], "none@example.com", MESSAGE, tmp_path)
        with pytest.raises(AssertionError, match=r"535|[Ll]ogin denied|authentication failed"):
            CLIENTS[client](delivery)
    assert not server.messages(to="none@example.com")


HEADER = b"From: <ann@client.example>\r\nTo: <bob@example.com>\r\nMIME-Version: 1.0\r\n"
ODD = {
    "no-body": HEADER,
    "long-lines": HEADER + b"\r\n" + (b"word " * 4_000 + b"\r\n") * 3,
    "only-dots": HEADER + b"\r\n" + b".\r\n" * 3_000 + b"end\r\n",
}
#: Who takes any octets for a message (swaks makes a body where there is none).
RAW = ["curl", "swaks", "msmtp", "smtplib", "aiosmtplib", "nodemailer", "smtp-source"]


@pytest.mark.parametrize(
    ("client", "content"), [(c, o) for c, o in itertools.product(RAW, ODD) if (c, o) != ("swaks", "no-body")]
)
def test_odd_content_arrives_as_it_was_sent(
    client: str, content: str, server: ServerProcess, authority: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    recipient = f"{client}-{content}@example.com"
    port = server.address("mx")[1]
    delivery = Delivery("localhost", port, "plain", None, authority[0], recipient, ODD[content], tmp_path)
    sent = CLIENTS[client](delivery)
    assert content_of(server.raw(server.message_to(recipient)["id"])) == sent


def content_of(kept: bytes) -> bytes:
    """A message without the trace field that we put in front of it."""
    lines = kept.split(b"\r\n")
    assert lines[0].startswith(b"Received: from ")
    end = next(number for number, line in enumerate(lines[1:], 1) if line[:1] not in (b" ", b"\t"))
    trace = b" ".join(lines[:end])
    assert b" by mail.example.com (Postroad) with " in trace
    return b"\r\n".join(lines[end:])
