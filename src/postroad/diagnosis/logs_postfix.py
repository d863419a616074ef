"""Lines of Postfix: deliveries of smtp(8), lmtp(8), local(8) and the like, refusals of smtpd(8), postscreen(8), cleanup(8).

Format by Postfix's ``log_adhoc`` and ``smtpd_check`` (``to=<…>, relay=…, delay=…, dsn=…, status=… (…)``).
"""

from __future__ import annotations

from typing import Final

from postroad.diagnosis.logs_event import (
    DEFERRED,
    DELIVERED,
    FAILED,
    MAX_FIELD,
    REFUSED,
    Event,
    Stamps,
    domain_of,
    is_reply,
    reply_of,
    verb,
    without_port,
)

_OUTCOMES: Final = {
    "sent": DELIVERED,
    "deferred": DEFERRED,
    "bounced": FAILED,
    "expired": FAILED,
    "SOFTBOUNCE": DEFERRED,
}
#: What Postfix was doing when a connection ended -> the verb.
_WHILE: Final = (
    ("receiving the initial server greeting", "CONNECT"),
    ("performing the", "EHLO"),
    ("sending MAIL", "MAIL"),
    ("sending RCPT", "RCPT"),
    ("sending DATA", "DATA"),
    ("sending message body", "CONTENT"),
    ("sending end of data", "CONTENT"),
)
_TLS: Final = ("TLS is required", "Cannot start TLS", "Server certificate", "TLS handshake", "host name mismatch")
#: What header_checks(5) and body_checks(5) looked at.
_OF_CONTENT: Final = ("header ", "body ", "mime-header ", "nested-header ")
_LOGIN: Final = "SASL authentication failed; server "
_SUSPENDED: Final = "delivery temporarily suspended: "


class PostfixReader:
    """See ``Reader``."""

    name: str = "postfix"
    marks: tuple[bytes, ...] = (b" status=", b"reject: ")

    def knows(self, line: bytes) -> bool:
        """By the name of a daemon with its process, or by the fields of a delivery."""
        head = line[:160]
        if b"postfix" in head and (b"]: " in head or b" - - " in head):
            return True
        return b"]: NOQUEUE: " in head or (b", dsn=" in line and b", status=" in line)

    def read(self, line: str, stamps: Stamps) -> Event | None:
        """See ``Reader``."""
        begin = line.find(": to=<")
        if begin < 0:
            return _refusal(line, stamps) if "reject: " in line else _expiry(line, stamps)
        end = line.find(">, relay=", begin)
        status = line.find(", dsn=", end)
        state = line.find(", status=", status)
        if end < 0 or status < 0 or state < 0:
            return None
        word, _, text = line[state + 9 :].partition(" ")
        outcome = _OUTCOMES.get(word)
        if outcome is None:  # a probe of verify(8) is no mail
            return None
        text = text.removeprefix("(").removesuffix(")")
        to = line[begin + 6 : end].partition(">, orig_to=<")[0][:MAX_FIELD]
        relay = line[end + 9 : line.find(",", end + 9)]
        host = "" if relay == "none" else without_port(relay)
        command = ""
        reply = text if outcome is DELIVERED and is_reply(text) else ""
        if outcome is not DELIVERED:
            host, command, reply, text = _said(text, host)
        at = line.find("delay=", end)
        return Event(
            outcome,
            stamps.read(line),
            to,
            domain_of(to),
            host,
            command,
            reply,
            "" if reply else text,
            line[status + 6 : state],
            line[:begin].rpartition(" ")[2],
            line[at + 6 : line.find(",", at)],
        )


def _said(text: str, host: str) -> tuple[str, str, str, str]:
    """Host, verb, reply and text of what stands in the brackets."""
    text = text.removeprefix(_SUSPENDED)
    if text.startswith("host "):
        name, said, reply = text[5:].partition(" said: ")
        if said:
            reply, _, words = reply.rpartition(" (in reply to ") if " (in reply to " in reply else (reply, "", "")
            return name[:MAX_FIELD], verb(words), reply_of(reply), ""
        name, said, reply = text[5:].partition(" refused to talk to me: ")
        if said:
            return name[:MAX_FIELD], "CONNECT", reply_of(reply), ""
    if text.startswith(_LOGIN):
        name, said, reply = text[len(_LOGIN) :].partition(" said: ")
        if said:
            return name[:MAX_FIELD], "AUTH", reply_of(reply), ""
    if text.startswith("connect to "):
        name = text[11:].partition(": ")[0]
        return without_port(name), "CONNECT", "", text
    if text.startswith(("lost connection with ", "conversation with ")):
        doing = text.partition(" while ")[2]
        return host, next((known for words, known in _WHILE if doing.startswith(words)), ""), "", text
    return host, "STARTTLS" if text.startswith(_TLS) else "", "", text


def _expiry(line: str, stamps: Stamps) -> Event | None:
    """qmgr(8) gives up: the recipients stand in other lines."""
    place = line.find(", status=expired")
    begin = line.find(": from=<")
    if place < 0 or begin < 0:
        return None
    message = line[:begin].rpartition(" ")[2]
    return Event(FAILED, stamps.read(line), "", "", text=line[place + 9 :], message=message, expired=True)


def _refusal(line: str, stamps: Stamps) -> Event | None:
    """``NOQUEUE: reject: RCPT from unknown[192.0.2.9]: 450 4.7.1 …; from=<…> to=<…> proto=ESMTP helo=<…>``"""
    said = line[line.find("reject: ") + 8 :]
    if said.startswith(_OF_CONTENT):
        return _content_refusal(line, said, stamps)
    stage, _, rest = said.partition(" from ")
    client, found, rest = rest.partition("]: " if "]: " in rest else ": ")
    command = verb(stage)
    if not found or not command:
        return None
    client = f"{client}]" if "[" in client else client
    port = client.find("]:")
    reply, _, about = rest.partition("; from=<")
    if not about:
        reply, _, about = rest.partition("; proto=")
    place = about.find("to=<")
    to = about[place + 4 :].partition(">")[0][:MAX_FIELD] if place >= 0 else ""
    status = reply[4:].partition(" ")[0] if is_reply(reply) else reply.partition(" ")[0]
    status = status if status[:1] in "245" and status.count(".") == 2 else ""
    heard = reply if is_reply(reply) else ""
    message = line[: line.find("reject: ")].removesuffix("milter-").removesuffix(": ").rpartition(" ")[2]
    host = (client[: port + 1] if port >= 0 else client)[:MAX_FIELD]
    text = "" if heard else reply.removeprefix(status).lstrip()
    message = "" if message == "NOQUEUE" else message
    return Event(REFUSED, stamps.read(line), to, domain_of(to), host, command, heard, text, status, message)


def _content_refusal(line: str, said: str, stamps: Stamps) -> Event | None:
    """cleanup(8): ``reject: header Subject: … from mx.example[192.0.2.9]; from=<…> to=<…> proto=… helo=<…>: 5.7.1 text``

    What the header holds is a stranger's, so the marks behind it are sought from the end.
    """
    content, found, about = said.rpartition("; from=<")
    if not found:
        return None
    client = content.rpartition(" from ")[2]
    place = about.find("> to=<")
    to = about[place + 6 :].partition(">")[0][:MAX_FIELD] if place >= 0 else ""
    text = about.partition(">: ")[2] if ">: " in about else about.rpartition(": ")[2]
    status = text.partition(" ")[0] if text[:1] in "45" and text.partition(" ")[0].count(".") == 2 else ""
    message = line[: line.find("reject: ")].removesuffix(": ").rpartition(" ")[2]
    text = text.removeprefix(status).lstrip()
    return Event(
        REFUSED, stamps.read(line), to, domain_of(to), client[:MAX_FIELD], "CONTENT", "", text, status, message
    )
