"""A real `postroad serve` between real neighbours: what the web house is looked at with.

People and programs send (swaks, msmtp, curl, smtplib), Postfix accepts, defers and refuses, a scripted host says what no
real one can be made to say (455, bidi controls), another is dead. Nothing here knows the inside of the server.
"""

from __future__ import annotations

import smtplib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import argon2
import trustme

from tests.clients.programs import Delivery, Security, curl, msmtp, swaks
from tests.server_process import ServerProcess, until
from tests.service.names import NameServer
from tests.service.sink import Sink, Whims
from tools.mail_servers import Postfix

OPERATOR, VIEWER, SENDING = "operator@ours.example", "viewer@ours.example", "ann@client.example"
PASSWORD = "correct horse 9"

#: What hostile peers write wherever they may.
SCRIPT = "<img src=x onerror=window.pwned=1>"
BIDI = "\u202egnp.exe\u202c"
GREY = "450 4.2.0 Greylisted, see you in five minutes"
LATER = "451 4.7.1 Too much mail from you at once, slow down"
HOSTILE = f"550 5.7.1 {SCRIPT} we do not want this"
UNABLE = "455 4.5.4 Server unable to accommodate parameters"

_POSTFIX = f"""
virtual_mailbox_domains = good.example, later.example, no.example, client.example
virtual_mailbox_maps = inline:{{ {{ kana@good.example = kana/ }}, {{ ann@client.example = bob/ }} }}
smtpd_recipient_restrictions = check_recipient_access inline:{{ {{ kana@later.example = {GREY} }}, {{ bob@later.example = {LATER} }}, {{ later.example = {GREY} }}, {{ kana@no.example = {HOSTILE} }} }}, reject_unauth_destination
"""

#: Host -> its loopback address; all listen on one port, as the world listens on 25.
_HOSTS = {
    "good.example": "127.0.0.1",
    "client.example": "127.0.0.1",
    "later.example": "127.0.0.1",
    "no.example": "127.0.0.1",
    "parameters.example": "127.0.0.3",
    "words.example": "127.0.0.4",
    "dead.example": "127.0.0.9",
}

HTML = f"""\
From: "{SCRIPT}" <evil@client.example>
To: kana@ours.example
Subject: {SCRIPT} look
Message-ID: <evil@client.example>
MIME-Version: 1.0
Content-Type: text/html; charset=utf-8

<html><head><meta http-equiv="refresh" content="0; url=TRAP/refresh"><base href="TRAP/"><link rel="stylesheet" href="TRAP/style.css">
<style>@import "TRAP/import.css"; body {{ background: url(TRAP/background.png) }}</style>
<script>parent.pwned = window.pwned = 1; fetch("TRAP/fetch")</script></head>
<body onload="top.pwned = 1"><h1>Dear customer</h1><img src="TRAP/pixel.gif" onerror="top.pwned = 1"><img src=x onerror="top.pwned = 1">
<a id="js" href="javascript:top.pwned=1">press</a> <a href="TRAP/away" target="_top" ping="TRAP/ping">away</a>
<form action="TRAP/form" method="post"><input name="a" value="1"><button formaction="javascript:top.pwned=1">go</button></form>
<svg onload="top.pwned=1"><script>top.pwned=1</script><image href="TRAP/svg.png"/><a href="javascript:top.pwned=1"><text y="9">x</text></a></svg>
<iframe src="TRAP/frame" srcdoc="<script>top.pwned=1</script>"></iframe><object data="TRAP/object"></object><embed src="TRAP/embed">
<video src="TRAP/video" poster="TRAP/poster" autoplay></video><p style="background: url('TRAP/inline.png')">text</p></body></html>
"""


#: To whom the first mails go.
SENT = (
    "kana@good.example", "kana@later.example", "bob@later.example", "kana@no.example", "kana@parameters.example",
    "unable@words.example", "bidi@words.example", "gone@words.example", "kana@dead.example", "user0@later.example",
    "kana@ours.example", "html@ours.example",
)  # fmt: skip


@dataclass
class Flow:
    """All of it, running; ``ids`` are the messages that were sent at the start, by what became of them."""

    server: ServerProcess
    postfix: Postfix
    words: Sink
    folder: Path
    ca: Path
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def base(self) -> str:
        """The address of the pages."""
        host, port = self.server.web
        return f"http://{host}:{port}"

    def _delivery(self, recipient: str, message: bytes, security: Security, listener: str) -> Delivery:
        host, port = self.server.address(listener)
        account = None if listener == "mx" else (SENDING, PASSWORD)
        return Delivery(host, port, security, account, self.ca, recipient, message, self.folder)

    def by_swaks(self, recipient: str, subject: str, body: str = "Hello") -> None:
        """Submit it as an app of ours would: port 587, STARTTLS, AUTH."""
        swaks(self._delivery(recipient, mail(recipient, subject, body), "starttls", "submission"))

    def by_msmtp(self, recipient: str, subject: str, body: str = "Hello") -> None:
        """Submit it by port 465."""
        msmtp(self._delivery(recipient, mail(recipient, subject, body), "tls", "submissions"))

    def by_curl(self, recipient: str, subject: str, body: str = "Hello") -> None:
        """As a stranger's server, to a mailbox of ours."""
        curl(self._delivery(recipient, mail(recipient, subject, body), "plain", "mx"))

    def by_smtplib(
        self, recipients: str | Sequence[str], content: bytes, sender: str = SENDING, hello: str = "client.example"
    ) -> None:
        """Submit these octets."""
        host, port = self.server.address("submission")
        with smtplib.SMTP(host, port, hello) as client:
            client.login(SENDING, PASSWORD)
            client.sendmail(sender, recipients, content, ["BODY=8BITMIME"])

    def why(self, id: str) -> Any:
        """All that the API tells of one message."""
        return self.server.get(f"/queue/{id}/why")

    def tries(self, id: str) -> int:
        """How often its first recipient was tried so far."""
        return int(self.why(id)["recipients"][0]["attempts"])

    @property
    def session(self) -> str:
        """An SMTP session in which we refused something."""
        return str(self.server.get("/sessions")["sessions"][0]["id"])

    def accepted(self, recipient: str) -> str:
        """The id of the newest message to this recipient, waited for."""

        def look() -> str:
            found = [line["message"] for line in self.server.log("accepted") if recipient in line["to"]]
            return found[-1] if found else ""

        return until(look, f"mail to {recipient}")


def mail(recipient: str, subject: str, body: str = "Hello") -> bytes:
    """A plain mail."""
    lines = (
        f"From: Ann <{SENDING}>",
        f"To: {recipient}",
        f"Subject: {subject}",
        "Date: Tue, 24 Nov 2026 09:00:00 +0900",
    )
    more = (
        f"Message-ID: <{abs(hash((recipient, subject)))}@client.example>",
        "Content-Type: text/plain; charset=utf-8",
    )
    return "\r\n".join((*lines, *more, "", body, "")).encode()


def _config(names: NameServer, port: int, tls: Path, mail_folder: Path) -> str:
    hashed = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    roles: Mapping[str, str] = {OPERATOR: "operator", VIEWER: "viewer", SENDING: ""}
    users = "".join(
        f'[[user]]\nname = "{name}"\npassword_hash = "{hashed}"\n' + (f'role = "{role}"\n' if role else "")
        for name, role in roles.items()
    )
    return f"""
hostname = "mail.ours.example"
[tls]
cert = "{tls / "server.pem"}"
key = "{tls / "server.key"}"
[mx]
listen = ["127.0.0.1:0"]
[submission]
listen = ["127.0.0.1:0"]
[submissions]
listen = ["127.0.0.1:0"]
[web]
listen = ["127.0.0.1:0"]
[[domain]]
name = "ours.example"
deliver = "hold"
[[domain]]
name = "boxes.example"
deliver = "maildir:{mail_folder}/{{user}}"
{users}
[outbound]
resolver = ["{names.address}"]
allow_networks = ["127.0.0.0/8"]
port = {port}
[retry]
schedule = ["30m", "1h"]
[limits]
messages_per_minute = 0
min_free = "1MiB"
"""


def _certificate(folder: Path) -> None:
    ca = trustme.CA()
    issued = ca.issue_cert("localhost", "127.0.0.1", "mail.ours.example")
    ca.cert_pem.write_to_path(folder / "ca.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "server.pem")
    issued.private_key_pem.write_to_path(folder / "server.key")
    (folder / "server.key").chmod(0o600)


def _said(address: str) -> str:
    """What the host of words.example says to a recipient."""
    match address.partition("@")[0]:
        case "bidi":
            return f"450 4.3.0 {BIDI} \x1b[31mcoloured\x1b[0m {SCRIPT}"
        case "unable":
            return UNABLE
        case "gone":
            return f"550 5.1.1 {SCRIPT}<script>window.pwned=1</script>"
        case _:
            return ""


@contextmanager
def flowing(folder: Path) -> Iterator[Flow]:
    """All of it, with mail in every state."""
    _certificate(folder)
    with ExitStack() as ending:
        postfix = ending.enter_context(Postfix(settings=_POSTFIX))
        port = postfix.port
        unable = Whims(1, {"PARAMETERS": [(1.0, UNABLE)]})
        ending.enter_context(Sink(port=port, host="127.0.0.3", whims=unable))
        words = ending.enter_context(Sink(_said, port=port, host="127.0.0.4"))
        zone = {name: {"MX": [f"10 mx.{name}."]} for name in _HOSTS}
        zone |= {f"mx.{name}": {"A": [address]} for name, address in _HOSTS.items()}
        names = ending.enter_context(NameServer(zone))
        server = ServerProcess(folder, _config(names, port, folder, folder / "mail"))
        ending.enter_context(server)
        flow = Flow(server, postfix, words, folder, folder / "ca.pem")
        _begin(flow)
        yield flow


def _begin(flow: Flow) -> None:
    """One mail of each kind, all sent by real clients, none of them still being tried at the end."""
    for recipient in ("kana@parameters.example", "unable@words.example", "bidi@words.example", "gone@words.example"):
        flow.by_smtplib(recipient, mail(recipient, f"{SCRIPT} {BIDI} to {recipient}"))
    flow.by_swaks("kana@good.example", "It arrives")
    flow.by_swaks("kana@later.example", "ご注文 on its way")
    flow.by_msmtp("bob@later.example", "The second one waits, too")
    flow.by_msmtp("kana@no.example", "Nobody wants this")
    flow.by_curl("kana@ours.example", "For us")
    flow.by_smtplib("kana@dead.example", mail("kana@dead.example", "Nobody is there"), hello=SCRIPT)
    flow.by_smtplib([f"user{n}@later.example" for n in range(5)], mail("all@later.example", "To five at once"))
    flow.by_smtplib("html@ours.example", HTML.replace("\n", "\r\n").encode(), sender='"<b>x"@client.example')
    with flow.server.wire("mx") as wire:
        assert wire.ask("MAIL FROM:<a@client.example>")[0] == 250
        assert wire.ask("RCPT TO:<a@elsewhere.example>")[0] == 550
    flow.ids = {recipient: flow.accepted(recipient) for recipient in SENT}
    until(lambda: all(flow.tries(flow.ids[one]) for one in SENT if not one.endswith("ours.example")), "all were tried")
