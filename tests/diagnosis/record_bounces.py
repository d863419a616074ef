"""Records what real Postfix and Exim, and our own Notifier, send back: ``python -m tests.diagnosis.record_bounces`` (as root).

The files it wrote are kept in ``bounces/`` beside their expectations, which are written by hand; it is run again only
when a new release writes differently.
"""

from __future__ import annotations

import sys
from pathlib import Path
from smtplib import SMTP

from postroad.envelope import Outcome, Result
from postroad.replies import Reply
from tests.delivery.told import BUSY, Post, delivered, failed, late
from tests.diagnosis import record_logs
from tools.mail_servers import Exim, MailServer, Postfix

BOUNCES = Path(__file__).parent / "bounces"
CONTENT = b"From: kana@ours.example\r\nSubject: recorded\r\nMessage-ID: <1@ours.example>\r\n\r\nHello\r\n"

LATER = ("full", "grey")
FOR_GOOD = ("unknown", "blocked", "plain", "several", "data-big", "data-spam")


def _send(server: MailServer, sender: str, name: str, *recipients: str, notify: str = "FAILURE") -> None:
    """One message, and the report of it."""
    before = len(server.mail)
    with SMTP("127.0.0.1", server.port, "ours.example") as client:
        client.sendmail(sender, list(recipients), CONTENT, rcpt_options=[f"NOTIFY={notify}"])
    record_logs.until(lambda: len(server.mail) > before, 20)
    new = max((file for file in server.work.glob("mail/*/new/*")), key=lambda file: file.stat().st_mtime_ns)
    if len(server.mail) > before:
        _write(type(server).__name__.strip("_").lower(), name, new.read_bytes().replace(b"\r\n", b"\n"))


def _write(program: str, name: str, octets: bytes) -> None:
    folder = BOUNCES / f"{program}-recorded"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.eml").write_bytes(octets)


def _to(*names: str) -> list[str]:
    return [f"{name}@there.example" for name in names]


def postfix() -> None:
    """Nothing waits in this one: a deferral comes back at once."""
    with record_logs.host() as there:
        routes = f"{{ there.example = smtp:[127.0.0.1]:{there} }}, {{ nowhere.example = smtp:[mx.nowhere.invalid] }}"
        closed = f"{{ closed.example = smtp:[127.0.0.1]:{record_logs.free_port()} }}"
        settings = f"transport_maps = inline:{{ {routes}, {closed} }}\nmaximal_queue_lifetime = 0\n"
        with Postfix(relay_to=there, settings=settings) as server:
            sender = f"kana@{Postfix.domain}"
            for name in (*FOR_GOOD, *LATER):
                _send(server, sender, name, *_to(name))
            _send(server, sender, "closed", "kana@closed.example")
            _send(server, sender, "two", *_to("unknown", "blocked", "kana"))
            _send(server, sender, "success", *_to("kana"), notify="SUCCESS")


def exim() -> None:
    with record_logs.host() as there, record_logs.host("554 5.7.1 Go away") as rude:
        with record_logs._Exim(there, rude, record_logs.free_port()) as server:
            sender = f"kana@{Exim.domain}"
            for name in FOR_GOOD:
                _send(server, sender, name, *_to(name))
            _send(server, sender, "rude", "kana@rude.example")
            _send(server, sender, "nowhere", "kana@nowhere.example")
            _send(server, sender, "two", *_to("unknown", "blocked"))


def ours() -> None:
    unknown = Reply(550, "<nobody@example.org>: User unknown", "5.1.1")
    full = Reply(452, "Mailbox full", "4.2.2")
    two = ("hanako@example.org", ""), ("taro@example.org", "")
    told = {
        "unknown": Post().told(failed(reply=unknown)),
        "unknown-ja": Post(languages="ja").told(failed(reply=unknown)),
        "both": Post(languages="both").told(failed(reply=unknown)),
        "expired": Post(last=full).told(failed(reply=full, expired=True)),
        "expired-busy": Post(last=BUSY).told(failed(reply=BUSY, expired=True)),
        "late": Post().told(late(reply=full)),
        "late-ja": Post(languages="ja").told(late()),
        "relayed": Post(("hanako@example.org", "NOTIFY=SUCCESS")).told(delivered(relayed=True)),
        "two": Post(*two).told(failed(0, unknown), failed(1, Reply(554, "5.7.1 Client host blocked using a list"))),
        "no-answer": Post().told(Result(0, Outcome.FAILED, None, stage="CONNECT", note="connection refused")),
    }
    for name, reports in told.items():
        for _, octets in reports:
            _write("postroad", name, octets)


def main() -> int:
    postfix()
    exim()
    ours()
    return 0


if __name__ == "__main__":
    sys.exit(main())
