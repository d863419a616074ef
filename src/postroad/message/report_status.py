"""The part of a report that programs read: message/delivery-status (RFC 3464), global-delivery-status (RFC 6533).

Each field is one line, only the lines of a reply are continued; nothing of a peer can begin a line of its own.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address
from typing import Final

from postroad.address import parse_domain
from postroad.errors import AddressSyntaxError
from postroad.message.report_facts import Kind, Report, Reported
from postroad.message.report_octets import MAX_LINE, plain
from postroad.message.trace import date_time
from postroad.replies import Reply

#: Of a reply at most so many characters and lines are repeated; of all replies of a report so many characters.
_MAX_REPLY: Final = 1024
_MAX_REPLIES: Final = 65_536
_MAX_REPLY_LINES: Final = 20
_MAX_REPLY_LINE: Final = 500

_UNICODE: Final = re.compile(r"\\x\{([1-9A-F][0-9A-F]{1,5})\}")
_SPECIAL: Final = re.compile(r"[^!-*,-<>-\[\]-~]")
_PEER: Final = re.compile(r"\[?([0-9A-Fa-f:.]{2,45}?)\]?:[0-9]{1,5}\Z")


def delivery_status(report: Report) -> bytes:
    """The whole part; UTF-8 in a report that is sent with SMTPUTF8, else ASCII."""
    room = max(160, min(_MAX_REPLY, _MAX_REPLIES // max(1, len(report.recipients))))
    groups = [_of_message(report), *(_of_recipient(report, one, room) for one in report.recipients)]
    return "\r\n".join(map("".join, groups)).encode("utf-8", "replace")


def _field(name: str, value: str) -> str:
    line = f"{name}: {value}"
    if len(line) > MAX_LINE // 4:  # it may be too long in UTF-8
        line = line.encode("utf-8", "replace")[:MAX_LINE].decode("utf-8", "ignore")
    return line + "\r\n"


def _of_message(report: Report) -> list[str]:
    fields = [_field("Original-Envelope-Id", plain(report.envelope_id, 100))] if report.envelope_id else []
    # RFC 3461 section 6.3 (b): "dns" is for a fully-qualified name only.
    name = mta_name(report.hostname)
    kind = "dns" if "." in name or name.startswith("[") else "x-local-hostname"
    fields.append(_field("Reporting-MTA", f"{kind}; {name or plain(report.hostname, 255)}"))
    if received_from := _received_from(report.hello, report.peer):
        fields.append(_field("Received-From-MTA", received_from))
    fields.append(_field("Arrival-Date", date_time(report.arrived_at)))
    if report.deliver_by is not None:
        fields.append(_field("Deliver-By-Date", date_time(report.deliver_by)))
    if report.future_release:
        fields.append(_field("Future-Release-Request", plain(report.future_release, 60)))
    fields.append(_field("X-Postroad-Message-Id", plain(report.message_id, 80)))
    return fields


def _received_from(hello: str, peer: str) -> str:
    name, address = mta_name(hello) if " " not in hello else "", _PEER.match(peer)
    if not name:
        return ""
    return f"dns; {name} ({address[1]})" if address is not None else f"dns; {name}"


def mta_name(host: str) -> str:
    """The name that ``host`` (``mx.example.net [192.0.2.1]:25``) begins with; empty when it is none.

    An address is given as the literal that type ``dns`` wants (RFC 3464 section 2.1.2, RFC 5321 section 4.1.3).
    """
    word = host.partition(" ")[0]
    for candidate in (word, word.rpartition(":")[0]):
        if literal := _literal(candidate):
            return literal
        try:
            if candidate.isascii():
                return parse_domain(candidate)
        except AddressSyntaxError:
            continue
    return ""


def _literal(text: str) -> str:
    try:
        address = ip_address(text.strip("[]").removeprefix("IPv6:"))
    except ValueError:
        return ""
    return f"[IPv6:{address}]" if isinstance(address, IPv6Address) else f"[{address}]"


def _of_recipient(report: Report, one: Reported, room: int) -> list[str]:
    fields = []
    if one.original is not None:
        kind, address = one.original.address_type, one.original.address
        fields.append(_field("Original-Recipient", _typed(plain(kind, 40), address, report.utf8)))
    kind = "rfc822" if one.address.isascii() else "utf-8"
    fields.append(_field("Final-Recipient", _typed(kind, one.address, report.utf8)))
    fields += [_field("Action", report.kind.value), _field("Status", one.status)]
    remote = mta_name(one.host)
    if one.host and not one.own:
        fields.append(_field("Remote-MTA", f"dns; {remote}" if remote else f"x-local-hostname; {plain(one.host, 255)}"))
    if one.reply is not None:
        fields.append(_diagnostic(one.reply, room))
    elif one.note:
        fields.append(_field("Diagnostic-Code", f"X-Postroad; {plain(one.note, min(room, _MAX_REPLY_LINE))}"))
    if one.attempted_at is not None:
        fields.append(_field("Last-Attempt-Date", date_time(one.attempted_at)))
    if report.kind is Kind.DELAYED and one.retry_until is not None:
        fields.append(_field("Will-Retry-Until", date_time(one.retry_until)))
    if one.dropped:
        fields.append(_field("X-Postroad-Omitted-Parameters", plain(", ".join(one.dropped), 200)))
    return fields


def _typed(kind: str, address: str, utf8: bool) -> str:
    """``rfc822; a@b`` or ``utf-8; …``, whose characters outside ASCII are written as RFC 6533 section 3 says."""
    if kind.lower() != "utf-8":
        return f"{kind}; {plain(address, 500)}"
    if utf8:
        native = _UNICODE.sub(_character, address)
        return f"{kind}; {native if native.isprintable() else ''.join(c if c.isprintable() else '?' for c in native)}"
    return f"{kind}; {_xtext(address)}"


def _character(found: re.Match[str]) -> str:
    number = int(found[1], 16)  # strict: _UNICODE matched two to six hexadecimal digits
    return found[0] if number > 0x10FFFF or 0xD800 <= number <= 0xDFFF else chr(number)


def _xtext(address: str) -> str:
    """utf-8-addr-xtext; what is written so already stays."""
    written, at = [], 0
    for found in _UNICODE.finditer(address):
        written += [_SPECIAL.sub(_escaped, address[at : found.start()]), found[0]]
        at = found.end()
    return "".join([*written, _SPECIAL.sub(_escaped, address[at:])])


def _escaped(found: re.Match[str]) -> str:
    return f"\\x{{{ord(found[0]):02X}}}"


def _diagnostic(reply: Reply, room: int) -> str:
    """The reply as it was said, a line each, those after the first continued (RFC 3461 section 9.2)."""
    status = f"{reply.enhanced} " if reply.enhanced is not None else ""
    lines, left = [], room
    for text in reply.lines[:_MAX_REPLY_LINES]:
        if left <= 0:
            break
        lines.append(f"{status}{plain(text, max(4, min(left, _MAX_REPLY_LINE)))}".rstrip())
        left -= len(lines[-1])
    said = [f"{reply.code}{'-' if index < len(lines) - 1 else ' '}{line}" for index, line in enumerate(lines)]
    return "Diagnostic-Code: smtp; " + "\r\n ".join(said).rstrip() + "\r\n"
