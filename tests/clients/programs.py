"""The real clients, one function each: what is to be delivered goes in, what the client says it sent comes out.

The message in hand is octets with CRLF. A client that sends a file gets that file; one that writes headers of its own
gives back its own record of what it wrote, so that the comparison is between what it sent and what we kept.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import smtplib
import ssl
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import aiosmtplib

from tests import peers

Security = Literal["plain", "starttls", "tls"]

SENDER = "ann@client.example"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message on one way."""

    host: str
    port: int
    security: Security
    account: tuple[str, str] | None
    ca: Path
    recipient: str
    message: bytes
    folder: Path

    @property
    def crlf_file(self) -> Path:
        """The message as it is."""
        return self._file("message.crlf", self.message)

    @property
    def lf_file(self) -> Path:
        """The message as Unix programs keep text."""
        return self._file("message.lf", self.message.replace(b"\r\n", b"\n"))

    @property
    def open_lf_file(self) -> Path:
        """The same, for programs that add the last line end by themselves."""
        return self._file("message.open", self.message.replace(b"\r\n", b"\n").removesuffix(b"\n"))

    def _file(self, name: str, octets: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(octets)
        return path

    @property
    def context(self) -> ssl.SSLContext:
        """For clients in Python."""
        return ssl.create_default_context(cafile=str(self.ca))

    def run(
        self, command: list[str], *, stdin: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program to its end in a home of its own, and insist on its success."""
        home = {"HOME": str(self.folder), "LC_ALL": "C.UTF-8", "MAILRC": "/dev/null", **(environment or {})}
        with (stdin or Path(os.devnull)).open("rb") as given:
            done = subprocess.run(
                command, stdin=given, capture_output=True, timeout=60, env={**os.environ, **home}, cwd=self.folder
            )
        assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-2000:])
        return done


def curl(delivery: Delivery) -> bytes:
    """Sends the file as it is, dots doubled."""
    scheme = "smtps" if delivery.security == "tls" else "smtp"
    command = [peers.program("curl"), "--silent", "--show-error", "--url"]
    command += [f"{scheme}://{delivery.host}:{delivery.port}/client.example", "--cacert", str(delivery.ca)]
    command += ["--mail-from", SENDER, "--mail-rcpt", delivery.recipient, "--upload-file", str(delivery.crlf_file)]
    if delivery.security == "starttls":
        command += ["--ssl-reqd"]
    if delivery.account:
        command += ["--user", ":".join(delivery.account)]
    delivery.run(command)
    return delivery.message


def swaks(delivery: Delivery) -> bytes:
    """Turns the LF of its file into CRLF; a dot alone at the very end it takes for the end itself."""
    command = [peers.program("swaks"), "--server", delivery.host, "--port", str(delivery.port), "--silent", "2"]
    command += ["--from", SENDER, "--to", delivery.recipient, "--helo", "client.example"]
    command += ["--data", f"@{delivery.open_lf_file}"]
    if delivery.security != "plain":
        command += ["--tls" if delivery.security == "starttls" else "--tls-on-connect"]
        command += ["--tls-verify", "--tls-ca-path", str(delivery.ca)]
    if delivery.account:
        user, password = delivery.account
        command += ["--auth", "PLAIN", "--auth-user", user, "--auth-password", password]
    delivery.run(command)
    return delivery.message


def msmtp(delivery: Delivery) -> bytes:
    """Adds no header when it is told so."""
    command = [peers.program("msmtp"), "--file=/dev/null", f"--host={delivery.host}", f"--port={delivery.port}"]
    command += [f"--from={SENDER}", "--domain=client.example"]
    command += [f"--set-{header}-header=off" for header in ("from", "date", "msgid")]
    command += ["--remove-bcc-headers=off", "--undisclosed-recipients=off"]
    if delivery.security != "plain":
        on = "on" if delivery.security == "starttls" else "off"
        command += ["--tls=on", f"--tls-starttls={on}", f"--tls-trust-file={delivery.ca}"]
    if delivery.account:
        user, password = delivery.account
        command += ["--auth=plain", f"--user={user}", f"--passwordeval=echo {password}"]
    delivery.run([*command, "--", delivery.recipient], stdin=delivery.lf_file)
    return delivery.message


def smtplib_client(delivery: Delivery) -> bytes:
    """Of the standard library."""
    client: smtplib.SMTP
    if delivery.security == "tls":
        client = smtplib.SMTP_SSL(delivery.host, delivery.port, "client.example", context=delivery.context)
    else:
        client = smtplib.SMTP(delivery.host, delivery.port, "client.example")
    with client:
        if delivery.security == "starttls":
            client.starttls(context=delivery.context)
        if delivery.account:
            client.login(*delivery.account)
        client.sendmail(SENDER, [delivery.recipient], delivery.message, ["BODY=8BITMIME"])
    return delivery.message


def aiosmtplib_client(delivery: Delivery) -> bytes:
    """The asyncio client that is used most."""
    user, password = delivery.account or (None, None)
    sending = aiosmtplib.send(
        delivery.message,
        sender=SENDER,
        recipients=[delivery.recipient],
        hostname=delivery.host,
        port=delivery.port,
        use_tls=delivery.security == "tls",
        start_tls=delivery.security == "starttls",
        username=user,
        password=password,
        tls_context=delivery.context if delivery.security != "plain" else None,
    )
    asyncio.run(sending)
    return delivery.message


_NODEMAILER = """
const given = JSON.parse(process.argv[1]);
const transport = require("nodemailer").createTransport(given.transport);
const raw = require("fs").readFileSync(given.file);
transport.sendMail({envelope: given.envelope, raw}, (fault) => {
    if (fault) { console.error(fault); process.exit(1); }
    transport.close();
});
"""


def nodemailer(delivery: Delivery) -> bytes:
    """Node's usual client, given the message raw."""
    transport: dict[str, object] = {
        "host": delivery.host,
        "port": delivery.port,
        "name": "client.example",
        "secure": delivery.security == "tls",
        "requireTLS": delivery.security == "starttls",
        "ignoreTLS": delivery.security == "plain",
    }
    if delivery.account:
        transport["auth"] = dict(zip(("user", "pass"), delivery.account, strict=True))
    given = {
        "transport": transport,
        "envelope": {"from": SENDER, "to": [delivery.recipient]},
        "file": str(delivery.crlf_file),
    }
    environment = {"NODE_PATH": str(peers.nodemailer_dir()), "NODE_EXTRA_CA_CERTS": str(delivery.ca)}
    delivery.run([peers.program("node"), "-e", _NODEMAILER, json.dumps(given)], environment=environment)
    return delivery.message


def s_nail(delivery: Delivery) -> bytes:
    """Writes headers and encodes the body; what it sent is what it recorded, in the mbox format."""
    record = delivery.folder / "record"
    user, password = delivery.account or ("", "")
    login = f"{quote(user)}:{quote(password)}@" if delivery.account else ""
    scheme = "smtps" if delivery.security == "tls" else "smtp"
    settings = {
        "v15-compat": "y",
        "mta": f"{scheme}://{login}{delivery.host}:{delivery.port}",
        "smtp-auth": "plain" if delivery.account else "none",
        "from": SENDER,
        "hostname": "client.example",
        "record": str(record),
        "DEAD": os.devnull,
        "mime-encoding": "8bit",
        "tls-ca-file": str(delivery.ca),
        "tls-ca-no-defaults": "yes",
        "tls-verify": "strict",
        "sendcharsets": "utf-8",
    }
    if delivery.security == "starttls":
        settings["smtp-use-starttls"] = "yes"
    command = [peers.program("s-nail"), "-:/"]
    for key, value in settings.items():
        command += ["-S", f"{key}={value}"]
    command += ["-S", "sendwait", "-s", "from s-nail", delivery.recipient]
    body = delivery.folder / "body"
    body.write_bytes(delivery.message.partition(b"\r\n\r\n")[2].replace(b"\r\n", b"\n"))
    delivery.run(command, stdin=body)
    return _of_mbox(record.read_bytes())


def _of_mbox(record: bytes) -> bytes:
    """The only message of an mbox, without the From line before and the empty line behind."""
    _, _, message = record.partition(b"\n")
    return re.sub(rb"(?m)^>(>*From )", rb"\1", message.removesuffix(b"\n")).replace(b"\n", b"\r\n")


_GIT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    **{
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "Ann"), ("EMAIL", SENDER))
    },
}


def git_send_email(delivery: Delivery) -> bytes:
    """Writes the headers, which it tells; the body is the patch as it is."""
    peers.program("git-send-email")
    command = [peers.program("git"), "send-email", f"--smtp-server={delivery.host}"]
    command += [f"--smtp-server-port={delivery.port}", "--smtp-domain=client.example", "--smtp-debug=1"]
    command += [
        f"--from=Ann <{SENDER}>",
        f"--to={delivery.recipient}",
        "--confirm=never",
        "--suppress-cc=all",
        "--quiet",
    ]
    command += ["--8bit-encoding=UTF-8", "--transfer-encoding=8bit", "--no-thread", "--no-validate", "--force"]
    if delivery.security != "plain":
        kind = "tls" if delivery.security == "starttls" else "ssl"
        command += [f"--smtp-encryption={kind}", f"--smtp-ssl-cert-path={delivery.ca}"]
    if delivery.account:
        user, password = delivery.account
        command += [f"--smtp-user={user}", f"--smtp-pass={password}", "--smtp-auth=PLAIN"]
    patch = delivery.folder / "0001-patch.eml"
    body = delivery.message.partition(b"\r\n\r\n")[2]
    headers = f"From: Ann <{SENDER}>\nSubject: [PATCH] from git\n\n"
    patch.write_bytes(headers.encode() + body.replace(b"\r\n", b"\n"))
    said = delivery.run([*command, str(patch)], environment=_GIT).stderr
    return _headers_of_net_smtp(said) + b"\r\n" + body


_NET_SMTP = rb"(?m)^Net::SMTP(?:::_SSL)?=GLOB\(0x[0-9a-f]+\)>>> ?(.*)$"


def _headers_of_net_smtp(said: bytes) -> bytes:
    """The header lines behind DATA, as Net::SMTP shows them (it passes over empty lines, so the body cannot be read)."""
    sent = [line.rstrip(b"\r") for line in re.findall(_NET_SMTP, said)]
    lines = itertools.takewhile(re.compile(rb"[A-Z][A-Za-z-]+: |[ \t]").match, sent[sent.index(b"DATA") + 1 :])
    return b"".join(line + b"\r\n" for line in lines)


def smtp_source(delivery: Delivery) -> bytes:
    """Postfix's load generator with a file: CRLF behind each line, dots doubled, and an empty line behind them all."""
    source = peers.smtp_source()
    command = [*source.argv, "-M", "client.example", "-f", SENDER, "-t", delivery.recipient, "-m", "1"]
    command += ["-F", str(delivery.lf_file), f"{delivery.host}:{delivery.port}"]
    delivery.run(command, environment=source.env)
    return delivery.message + b"\r\n"


CLIENTS: dict[str, Callable[[Delivery], bytes]] = {
    "curl": curl,
    "swaks": swaks,
    "msmtp": msmtp,
    "smtplib": smtplib_client,
    "aiosmtplib": aiosmtplib_client,
    "nodemailer": nodemailer,
    "s-nail": s_nail,
    "git-send-email": git_send_email,
    "smtp-source": smtp_source,
}
#: Clients that speak neither TLS nor AUTH.
PLAIN_ONLY = frozenset(("smtp-source",))
