"""Records the logs of real mail servers into ``logs/``: ``python -m tests.diagnosis.record_logs [TREE]`` (as root).

Postfix and Exim come from `make peers`; TREE is where Debian's opensmtpd was unpacked (``dpkg -x``), if it is wanted.

A host of ours answers each RCPT by the recipient's local part, so that a log holds deliveries, deferrals and bounces
with the words of well-known hosts. The files it wrote are kept beside the expectations; it is run again only when a
new release of a server writes differently.
"""

from __future__ import annotations

import contextlib
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from smtplib import SMTP, SMTPResponseException

import pytest

from tools.mail_servers import USERS, Exim, MailServer, Postfix, free_port

LOGS = Path(__file__).parent / "logs"

#: Local part -> what RCPT is answered; ``data-…`` is answered at the end of the content.
ANSWERS = {
    "unknown": "550 5.1.1 <unknown@there.example>: Recipient address rejected: User unknown in virtual mailbox table",
    "full": "452 4.2.2 The recipient's inbox is out of storage space and inactive. For more information, go to nowhere",
    "grey": "450 4.2.0 <grey@there.example>: Recipient address rejected: Greylisted, see http://postgrey.example/",
    "blocked": "554 5.7.1 Service unavailable; Client host [192.0.2.9] blocked using zen.spamhaus.org",
    "slow": "421 4.7.28 Our system has detected an unusual rate of unsolicited mail. a1-20020a17-si123456 - gsmtp",
    "plain": "550 No such user here",
    "several": "550-5.7.26 Unauthenticated email from ours.example is not accepted due to\r\n550 5.7.26 domain's DMARC policy",
    "ret": "455 4.5.4 Command parameter not implemented just now",
}
AT_THE_END = {
    "data-big": "552 5.3.4 Message size exceeds fixed limit",
    "data-spam": "550 5.7.1 Message contains spam or virus",
    "data-later": "451 4.3.0 Try again later",
}


class _Host(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        """One session."""
        refused = ""
        self._say("220 mx.there.example ESMTP")
        while line := self.rfile.readline():
            verb = line[:4].upper().strip()
            part = line.partition(b"<")[2].partition(b"@")[0].decode()
            match verb:
                case b"EHLO":
                    self._say("250-mx.there.example\r\n250 ENHANCEDSTATUSCODES")
                case b"RCPT" if part == "gone":
                    return
                case b"RCPT":
                    refused = AT_THE_END.get(part, "")
                    self._say(ANSWERS.get(part, "250 2.1.5 Ok"))
                case b"DATA":
                    self._say("354 Go on")
                    while self.rfile.readline() not in (b".\r\n", b""):
                        pass
                    self._say(refused or "250 2.0.0 Ok: queued as 4XyZ12abc")
                case b"QUIT":
                    self._say("221 2.0.0 Bye")
                    return
                case _:
                    self._say("250 2.0.0 Ok")

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@contextlib.contextmanager
def host(greeting: str = "") -> Iterator[int]:
    """A host on loopback; with a ``greeting`` it says that and no more."""

    class Rude(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(f"{greeting}\r\n".encode())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Rude if greeting else _Host) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def send(port: int, *recipients: str) -> None:
    """One message each; refusals are what we are after."""
    for recipient in recipients:
        with contextlib.suppress(SMTPResponseException, OSError), SMTP("127.0.0.1", port, "ours.example") as client:
            client.sendmail("ann@ours.example", [recipient], b"Subject: x\r\n\r\nx\r\n")


def people(*more: str) -> list[str]:
    names = ("kana", *ANSWERS, *AT_THE_END, "gone")
    return [*(f"{name}@there.example" for name in names), *more]


def until(holds: Callable[[], bool], seconds: float = 25) -> None:
    """Wait; what is missing then is seen in the file."""
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.2)


def postfix() -> None:
    """Deliveries by way of transport maps; refusals of its own."""
    with host() as there, host("554 5.7.1 Go away") as rude, host("421 4.3.2 Too busy") as busy:
        routes = {
            "there.example": f"smtp:[127.0.0.1]:{there}",
            "rude.example": f"smtp:[127.0.0.1]:{rude}",
            "busy.example": f"smtp:[127.0.0.1]:{busy}",
            "closed.example": f"smtp:[127.0.0.1]:{free_port()}",
            "nowhere.example": "smtp:[mx.nowhere.invalid]",
        }
        table = ", ".join(f"{{ {name} = {route} }}" for name, route in routes.items())
        more = [f"kana@{name}" for name in routes if name != "there.example"]
        with Postfix(relay_to=there, settings=f"transport_maps = inline:{{ {table} }}\n") as server:
            send(server.port, *people(*more), "kana@postfix.example", "nobody@postfix.example")
            until(lambda: server.log().count(" status=") >= 25, 8)
            (LOGS / "postfix-recorded.log").write_text(server.log(), "utf-8")


class _Exim(Exim):
    def __init__(self, there: int, rude: int, closed: int) -> None:
        super().__init__("log_selector = +all_parents +smtp_confirmation\n")
        self._ports = {"there": there, "rude": rude, "closed": closed}

    def command(self) -> list[str]:
        """With routes to other hosts."""
        command = super().command()
        file = self.work / "etc/exim4/exim4.conf"
        text = file.read_text()
        routers, transports = "", ""
        for name, port in self._ports.items():
            domains = f"{name}.example"
            routers += f"{name}:\n  driver = manualroute\n  domains = {domains}\n  transport = to_{name}\n"
            routers += "  route_list = * 127.0.0.1 byname\n  self = send\n"
            transports += f"to_{name}:\n  driver = smtp\n  port = {port}\n  allow_localhost\n  hosts_try_fastopen =\n"
        text = text.replace("begin transports\n", f"{routers}begin transports\n{transports}")
        ours = "there.example : rude.example : closed.example : nowhere.example"
        text = text.replace("rcpt:\n", f"rcpt:\n  accept domains = {ours}\n", 1)
        file.write_text(text)
        return command


def exim() -> None:
    with host() as there, host("554 5.7.1 Go away") as rude, _Exim(there, rude, free_port()) as server:
        more = ["kana@rude.example", "kana@closed.example", "kana@nowhere.example", "kana@exim.example"]
        send(server.port, *people(*more), "nobody@exim.example", "ann@elsewhere.example")
        until(lambda: server.log().count("Completed") >= 8, 15)
        (LOGS / "exim-recorded.log").write_text((server.work / "log/mainlog").read_text("utf-8", "replace"), "utf-8")


_OPENSMTPD = """listen on 127.0.0.1 port {port} hostname mx.ours.example
action "local" maildir "{work}/mail/%{{user.username}}"
action "mx" relay
match from any for domain nowhere.invalid action "mx"
match from any for domain opensmtpd.example action "local"
"""


class _OpenSmtpd(MailServer):
    program = "usr/sbin/smtpd"

    def __init__(self, routes: dict[str, int]) -> None:
        super().__init__()
        self._routes = routes

    def command(self) -> list[str]:
        """In the foreground, where its log has no stamps."""
        text = _OPENSMTPD.format(port=self.port, work=self.work)
        for domain, port in self._routes.items():
            text += f'action "{domain}" relay host smtp://127.0.0.1:{port}\n'
            text += f'match from any for domain {domain} action "{domain}"\n'
        (self.folder("etc") / "smtpd.conf").write_text(text)
        self.folder("mail", 0o777)
        folders = "mkdir -p /var/lib/opensmtpd/empty /var/spool/smtpd; chmod 711 /var/spool/smtpd"
        return ["sh", "-c", f"{folders}; exec /usr/sbin/smtpd -d -f /etc/smtpd.conf"]


def opensmtpd(tree: Path) -> None:
    """What syslog puts in front of each line is put there here."""
    users = {"opensmtpd": 911, "opensmtpq": 912, "kana": 913}
    with host() as there, host("554 5.7.1 Go away") as rude, pytest.MonkeyPatch.context() as patch:
        for name, number in users.items():
            patch.setitem(USERS, name, number)
        routes = {"there.example": there, "rude.example": rude, "closed.example": free_port()}
        _OpenSmtpd.tree = tree
        with _OpenSmtpd(routes) as server:
            local = ("kana@opensmtpd.example", "unknown@opensmtpd.example", "x@elsewhere.example")
            send(server.port, *people("kana@rude.example", "kana@closed.example", "kana@nowhere.invalid", *local))
            until(lambda: server.log().count(" result=") >= 25, 12)
            lines = server.log().rstrip().split("\n")
    stamp = time.strftime("%b %e %H:%M:%S")
    (LOGS / "opensmtpd-recorded.log").write_text("".join(f"{stamp} mx smtpd[501]: {line}\n" for line in lines), "utf-8")


def main() -> int:
    LOGS.mkdir(exist_ok=True)
    if sys.argv[1:]:
        opensmtpd(Path(sys.argv[1]))
        return 0
    postfix()
    exim()
    return 0


if __name__ == "__main__":
    sys.exit(main())
