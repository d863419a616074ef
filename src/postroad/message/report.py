"""Delivery reports (DSN) as octets: multipart/report (RFC 6522) of a text for people, fields for programs, the message.

The promise: whatever the message, its parameters and the peers' replies hold, the result is a well-formed message of
bounded size in 7-bit lines; only a report to an address that is not ASCII is UTF-8 (RFC 6533).
"""

from __future__ import annotations

from postroad.message.report_facts import Kind, Report, Returned
from postroad.message.report_octets import header_text, plain, text_part
from postroad.message.report_original import message_id, returned_part
from postroad.message.report_status import delivery_status
from postroad.message.report_words import subject, text
from postroad.message.trace import date_time

_WHAT = {Kind.FAILED: "Undelivered", Kind.DELAYED: "Delayed", Kind.DELIVERED: "Delivered", Kind.RELAYED: "Relayed"}


def write(report: Report) -> bytes:
    """The whole message: header, text, status, and what goes back of the original."""
    boundary = f"=_{plain(report.id, 60)}"
    parts = [_text(report), _status(report)]
    if report.original.returned is not Returned.NONE:
        parts.append(_returned(report))
    opening = b"--%s\r\n" % boundary.encode("ascii")
    body = b"".join(opening + part + b"\r\n" for part in parts)
    return _header(report, boundary) + b"\r\n" + body + b"--%s--\r\n" % boundary.encode("ascii")


def _header(report: Report, boundary: str) -> bytes:
    host = plain(report.hostname, 255)
    fields = [
        f"Date: {date_time(report.now)}\r\n",
        f"From: Mail Delivery System <{plain(report.postmaster, 320)}>\r\n",
        f"To: {''.join(c if c.isprintable() else '?' for c in report.to)}\r\n",
        header_text("Subject", subject(report)),
        f"Message-ID: <{plain(report.id, 60)}.report@{host}>\r\n",
    ]
    if reference := message_id(report.original.header):
        fields += [f"In-Reply-To: {reference}\r\n", f"References: {reference}\r\n"]
    fields += [
        "Auto-Submitted: auto-replied\r\n",  # RFC 3834 section 5: nothing may answer this automatically
        "MIME-Version: 1.0\r\n",
        f'Content-Type: multipart/report; report-type=delivery-status;\r\n boundary="{boundary}"\r\n',
    ]
    if report.utf8:
        fields.append("Content-Transfer-Encoding: 8bit\r\n")
    return "".join(fields).encode("utf-8", "replace")


def _part(description: str, kind: str, encoding: str, octets: bytes, more: str = "") -> bytes:
    head = f"Content-Description: {description}\r\nContent-Type: {kind}\r\n{more}"
    head += "" if encoding == "7bit" else f"Content-Transfer-Encoding: {encoding}\r\n"
    return head.encode("ascii") + b"\r\n" + octets


def _text(report: Report) -> bytes:
    charset, encoding, octets = text_part(text(report))
    language = f"Content-Language: {', '.join(report.languages)}\r\n"
    return _part("Notification", f"text/plain; charset={charset}", encoding, octets, language)


def _status(report: Report) -> bytes:
    octets = delivery_status(report)
    if octets.isascii():
        return _part("Delivery report", "message/delivery-status", "7bit", octets)
    return _part("Delivery report", "message/global-delivery-status", "8bit", octets)  # of a report.utf8 alone


def _returned(report: Report) -> bytes:
    kind, encoding, octets = returned_part(report.original, report.utf8)
    whole = report.original.returned is Returned.FULL
    what = f"{_WHAT[report.kind]} message" if whole else f"{_WHAT[report.kind]} message header"
    return _part(what, kind, encoding, octets)
