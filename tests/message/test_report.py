"""A delivery report is read rightly by machines and by people, and holds its form whatever strangers wrote."""

from __future__ import annotations

import email
import email.policy
from typing import Any

import pytest
from flufl.bounce import all_failures
from hypothesis import given, settings
from hypothesis import strategies as st

from postroad.message.report import write
from postroad.message.report_facts import Kind, Original, OriginalAddress, Returned
from postroad.message.report_octets import base64, quoted_printable
from postroad.message.report_original import (
    MAX_HEADER,
    cut_header,
    field,
    languages_of,
    may_return_all,
    text_field,
    zone_minutes,
)
from postroad.replies import Reply
from tests.message.reports import HEADER, NOW, check_octets, read, refused, report, written

BOTH = ("en", "ja")
# The header of the report


def test_the_header_says_what_it_is() -> None:
    message = written().message
    assert message["from"] == "Mail Delivery System <postmaster@mail.example.net>"
    assert message["to"] == "kana@example.net"
    assert message["subject"] == "Not delivered: hanako@example.org"
    assert message["auto-submitted"] == "auto-replied"
    assert message["mime-version"] == "1.0"
    assert message["message-id"] == "<0-report.report@mail.example.net>"
    assert message["in-reply-to"] == message["references"] == "<first@example.net>"
    assert message["date"].datetime.timestamp() == NOW


@pytest.mark.parametrize(
    "field_line",
    [b"", b"Message-ID: nothing\r\n", b"Message-ID: <a b@c>\r\n", b"Message-ID: <a@b\xff>\r\n", b"Message-ID: <a>\r\n"],
)
def test_a_message_id_that_is_none_is_not_repeated(field_line: bytes) -> None:
    found = written(original=Original(field_line + b"Subject: x\r\n", None, Returned.HEADER))
    assert found.message["references"] is None
    assert found.message["in-reply-to"] is None


def test_several_recipients_share_the_subject() -> None:
    found = written(refused(), refused(address="a@example.org"), refused(address="b@example.org"))
    assert found.subject == "Not delivered: hanako@example.org and 2 more"
    assert written(languages=("ja",)).subject == "配信できませんでした: hanako@example.org"
    assert written(languages=BOTH).subject == (
        "Not delivered: hanako@example.org / 配信できませんでした: hanako@example.org"
    )


# For machines


def test_the_status_of_the_message() -> None:
    fields = written(envelope_id="QQ+314 159", hello="laptop.example.net", peer="[2001:db8::9]:4444").status[0]
    assert fields == {
        "original-envelope-id": "QQ+314 159",
        "reporting-mta": "dns; mail.example.net",
        "received-from-mta": "dns; laptop.example.net (2001:db8::9)",
        "arrival-date": "Tue, 24 Nov 2026 06:33:20 +0000",
        "x-postroad-message-id": "0-message",
    }


def test_fields_stand_in_the_order_of_the_grammar() -> None:
    one = refused(original=OriginalAddress("rfc822", "h@example.com"), retry_until=NOW + 60)
    blocks = written(one, kind=Kind.DELAYED, envelope_id="x", hello="h.example", deliver_by=NOW).status
    assert [*blocks[0]] == [
        *("original-envelope-id", "reporting-mta", "received-from-mta", "arrival-date", "deliver-by-date"),
        "x-postroad-message-id",
    ]
    assert [*blocks[1]] == [
        *("original-recipient", "final-recipient", "action", "status", "remote-mta", "diagnostic-code"),
        *("last-attempt-date", "will-retry-until"),
    ]


def test_no_envelope_id_was_given_so_none_is_told() -> None:
    """RFC 3461 section 6.3 (a) and (d)."""
    message, recipient = written().status
    assert "original-envelope-id" not in message
    assert "original-recipient" not in recipient


def test_a_name_that_is_not_fully_qualified_is_not_of_the_dns() -> None:
    """RFC 3461 section 6.3 (b)."""
    assert written(hostname="box").status[0]["reporting-mta"] == "x-local-hostname; box"


@pytest.mark.parametrize(
    ("host", "literal"),
    [
        ("192.0.2.1:25", "[192.0.2.1]"),
        ("192.0.2.1 [192.0.2.1]:25", "[192.0.2.1]"),
        ("[192.0.2.1]:25", "[192.0.2.1]"),
        ("[2001:db8::1]:25", "[IPv6:2001:db8::1]"),
        ("[IPv6:2001:db8::1] [2001:db8::1]:25", "[IPv6:2001:db8::1]"),
        ("2001:db8::1", "[IPv6:2001:db8::1]"),
    ],
)
def test_an_address_is_a_literal_of_the_type_dns(host: str, literal: str) -> None:
    """RFC 3464 section 2.1.2, RFC 5321 section 4.1.3."""
    assert written(refused(host=host)).status[1]["remote-mta"] == f"dns; {literal}"


def test_our_own_name_may_be_an_address() -> None:
    assert written(hostname="[IPv6:2001:db8::1]").status[0]["reporting-mta"] == "dns; [IPv6:2001:db8::1]"
    assert written(hostname="[192.0.2.1]").status[0]["reporting-mta"] == "dns; [192.0.2.1]"


@pytest.mark.parametrize("hello", ["a b", "[no", "evil\r\nAction: delivered", "名前.example", ""])
def test_a_hello_that_is_no_name_is_not_repeated(hello: str) -> None:
    assert "received-from-mta" not in written(hello=hello, peer="192.0.2.1:1").status[0]


@pytest.mark.parametrize("kind", Kind)
def test_the_status_of_a_recipient(kind: Kind) -> None:
    one = refused(original=OriginalAddress("rfc822", "h+1@example.com"), retry_until=NOW + 60, dropped=("NOTIFY",))
    fields = written(one, kind=kind).status[1]
    expected = {
        "original-recipient": "rfc822; h+1@example.com",
        "final-recipient": "rfc822; hanako@example.org",
        "action": kind.value,
        "status": "5.1.1",
        "remote-mta": "dns; mx.example.org",
        "diagnostic-code": "smtp; 550 5.1.1 <hanako@example.org>: User unknown",
        "last-attempt-date": "Tue, 24 Nov 2026 11:33:19 +0000",
        "x-postroad-omitted-parameters": "NOTIFY",
    }
    if kind is Kind.DELAYED:  # RFC 3464 section 2.3.9
        expected["will-retry-until"] = "Tue, 24 Nov 2026 11:34:20 +0000"
    assert fields == expected


def test_our_own_decision_names_no_other_host() -> None:
    fields = written(refused(own=True, host="")).status[1]
    assert "remote-mta" not in fields
    assert fields["diagnostic-code"].startswith("smtp; 550 5.1.1")


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("mx.example.org [192.0.2.1]:25", "dns; mx.example.org"),
        ("mx.example.org:2525", "dns; mx.example.org"),
        ("[192.0.2.1]:25", "dns; [192.0.2.1]"),
        ("[IPv6:2001:db8::1]:25", "dns; [IPv6:2001:db8::1]"),
        ("/run/dovecot/lmtp", "x-local-hostname; /run/dovecot/lmtp"),
    ],
)
def test_the_other_host_by_its_name(host: str, name: str) -> None:
    assert written(refused(host=host)).status[1]["remote-mta"] == name


def test_a_fault_without_reply_is_noted() -> None:
    fields = written(refused(reply=None, note="no answer within 30 s: \u202eえ\r\nX: y")).status[1]
    assert fields["diagnostic-code"] == "X-Postroad; no answer within 30 s: ??  X: y"


def test_a_reply_of_several_lines_is_transcribed() -> None:
    """RFC 3461 section 9.2: a blank before each line after the first."""
    octets = write(report(refused(reply=Reply(550, "mailbox unavailable\nuser has moved", "5.1.6"))))
    assert b"Diagnostic-Code: smtp; 550-5.1.6 mailbox unavailable\r\n 550 5.1.6 user has moved\r\n" in octets


def test_addresses_of_utf8_in_seven_bits() -> None:
    """RFC 6533 section 3: utf-8-addr-xtext in message/delivery-status."""
    one = refused(address="花子=x@例え.jp", original=OriginalAddress("utf-8", "\\x{82B1}子\\x{3D}x@例え.jp"))
    fields = written(one).status[1]
    assert fields["final-recipient"] == "utf-8; \\x{82B1}\\x{5B50}\\x{3D}x@\\x{4F8B}\\x{3048}.jp"
    assert fields["original-recipient"] == fields["final-recipient"]


def test_a_report_for_an_address_of_utf8_is_utf8() -> None:
    """RFC 6533 section 4.1: global-delivery-status, with addresses as they are."""
    one = refused(address="花子@例え.jp", original=OriginalAddress("utf-8", "\\x{82B1}\\x{5B50}@例え.jp"))
    header = "Subject: 会議\r\n".encode()
    found = written(one, to="佳奈@例え.jp", original=Original(header, b"x\r\n", Returned.FULL, utf8=True))
    assert "\r\nTo: 佳奈@例え.jp\r\n".encode() in found.octets
    assert found.status[1]["final-recipient"] == "utf-8; 花子@例え.jp"
    assert found.status[1]["original-recipient"] == "utf-8; 花子@例え.jp"
    assert found.returned is not None
    assert found.returned.get_content_type() == "message/global"
    assert "Subject: 会議".encode() in found.octets


def test_flufl_bounce_understands_it() -> None:
    several = (refused(), refused(address="taro@example.org"))
    for kind, expected in (
        (Kind.FAILED, (set(), {b"hanako@example.org", b"taro@example.org"})),
        (Kind.DELAYED, ({b"hanako@example.org", b"taro@example.org"}, set())),
        (Kind.DELIVERED, (set(), set())),
        (Kind.RELAYED, (set(), set())),
    ):
        for languages in (("en",), ("ja",), BOTH):
            octets = write(report(*several, kind=kind, languages=languages))
            assert tuple(map(set, all_failures(email.message_from_bytes(octets)))) == expected


def test_the_report_of_a_thousand_recipients_names_all_and_stays_small() -> None:
    reply = Reply(550, "\n".join("x" * 400 for _ in range(20)), "5.1.1")
    many = [refused(address=f"u{n}@example.org", reply=reply, note=str(n)) for n in range(1000)]
    found = written(*many, languages=BOTH)
    assert len(found.status) == 1001
    assert len(found.octets) < 600_000
    assert len(found.text) < 60_000
    assert "There were more kinds of answers" in found.text


# What goes back


def test_the_whole_message_or_its_header() -> None:
    found = written()
    assert found.octets.endswith(b"message/rfc822\r\n\r\n" + HEADER + b"\r\nHello\r\n\r\n--=_0-report--\r\n")
    for returned in (Returned.HEADER, Returned.LARGE, Returned.EIGHT_BIT, Returned.CUT):
        part = written(original=Original(HEADER, None, returned)).returned
        assert part is not None
        assert part.get_content_type() == "text/rfc822-headers"
        assert part.get_payload(decode=True) == HEADER
    assert written(original=Original()).returned is None


def test_a_header_of_eight_bits_is_encoded() -> None:
    header = "Subject: 会議\r\n".encode()
    part = written(original=Original(header, None, Returned.HEADER)).returned
    assert part is not None
    assert part["content-transfer-encoding"] == "quoted-printable"
    assert part.get_payload(decode=True) == header


@pytest.mark.parametrize("body", [None, "こんにちは\r\n".encode()])
def test_a_message_of_smtputf8_for_an_ascii_address(body: bytes | None) -> None:
    """RFC 6533 section 4.5: the way back may not know SMTPUTF8, so all is encoded."""
    header = "Subject: 会議\r\n".encode()
    returned = Returned.HEADER if body is None else Returned.FULL
    found = written(original=Original(header, body, returned, utf8=True))
    kind = b"message/global-headers" if body is None else b"message/global"
    assert b"Content-Type: " + kind + b"\r\n" in found.octets
    assert (quoted_printable(header) if body is None else base64(header + b"\r\n" + body)) in found.octets


@pytest.mark.parametrize(
    ("body", "utf8", "may"),
    [
        (b"plain\r\n", False, True),
        ("é\r\n".encode(), False, False),
        ("é\r\n".encode(), True, True),
        (b"\x00\r\n", True, False),
        (b"bare\n", True, False),
        (b"bare\r\r\n", False, False),
        (b"x" * 999 + b"\r\n", True, False),
        (b"x" * 998 + b"\r\n", False, True),
    ],
)
def test_what_may_go_back_whole(body: bytes, utf8: bool, may: bool) -> None:
    assert may_return_all(Original(HEADER, body, Returned.FULL), utf8) is may


def test_a_long_header_is_cut_between_lines() -> None:
    header = b"X-Line: 1\r\n" * 10_000
    cut = cut_header(header)
    assert MAX_HEADER - 20 < len(cut) <= MAX_HEADER
    assert cut == header[: len(cut)]
    assert cut.endswith(b"1\r\n")
    assert len(cut_header(b"x" * 100_000)) == MAX_HEADER
    assert cut_header(HEADER) == HEADER


# What is read of the original


def test_fields_are_found_whole_and_only_as_fields() -> None:
    header = b"X-Subject: no\r\nTo: a\r\n subject: no\r\nsubject: one\r\n\ttwo\r\nSubject: three\r\n"
    assert field(header, "Subject") == "one\ttwo"
    assert field(header, "From") == ""
    assert field(b"Subject:x\r\n", "SUBJECT") == "x"
    assert (
        text_field(b"Subject: =?iso-2022-jp?B?GyRCMnE1RBsoQg==?=\r\n =?UTF-8?q?_=E3=81=AE?= x\r\n", "Subject")
        == "会議 の x"
    )


@pytest.mark.parametrize("word", ["=?nonsense?B?AAAA?=", "=?utf-8?B?A?=", "=?utf-8?X?A?=", "=?idna?Q?x?="])
def test_encoded_words_that_cannot_be_read_stay(word: str) -> None:
    assert text_field(f"Subject: {word}\r\n".encode(), "Subject") == word


def test_the_senders_zone() -> None:
    def zone(text: str) -> int:
        return zone_minutes(f"Date: Tue, 24 Nov 2026 11:00:00 {text}\r\n".encode())

    assert (zone("+0900"), zone("-0330 (NST)"), zone("GMT"), zone("+1999")) == (540, -210, 0, 0)


@pytest.mark.parametrize(
    ("header", "languages"),
    [
        ("Content-Language: ja", ("ja",)),
        ("Content-Language: de, ja-JP", ("ja",)),
        ("Content-Language: en-US", ("en",)),
        ("Accept-Language: fr, en;q=0.5, ja;q=0.8", ("ja", "en")),
        ("Accept-Language: ja;q=0, en;q=0.1", ("en",)),
        ("Accept-Language: ja; q=0.000, de", ("en",)),
        ("Content-Language: fr", ("en",)),
        ("Content-Language: ;,", ()),
        ("Content-Language: tlh\r\nAccept-Language: ja", ("ja",)),
        ("Subject: =?ISO-2022-JP?B?GyRCMnE1RBsoQg==?=", ("ja",)),
        ("Subject: =?utf-8?B?44GT44KT?=", ("ja",)),
        ("Content-Type: text/plain; charset=Shift_JIS", ("ja",)),
        ("Subject: hello", ()),
        ("", ()),
    ],
)
def test_the_senders_language(header: str, languages: tuple[str, ...]) -> None:
    assert languages_of(f"{header}\r\n".encode(), BOTH) == languages


# Whatever strangers write

hostile = st.text(max_size=120) | st.sampled_from(
    ["a\r\nAction: delivered", "\r\n\r\n--=_0-report--\r\n", "x" * 3000, "\x00\x1b[2J", "\ud800", "例え\u202e", "=?utf-8?Q?=0A?=",
     "{0.__class__}", "%s", "\\x{0}", "a;b\"c(d)"]
)  # fmt: skip


@st.composite
def reports(draw: st.DrawFn) -> Any:
    def reply() -> Reply | None:
        if draw(st.booleans()):
            return None
        code = draw(st.sampled_from([250, 421, 450, 452, 455, 550, 554, 555, 599]))
        return Reply(code, draw(hostile), draw(st.sampled_from([None, f"{code // 100}.1.1", f"{code // 100}.999.1"])))

    recipients = [
        refused(
            address=draw(st.sampled_from(["a@example.org", '"a b"@example.org', "花子@例え.jp"]) | hostile),
            original=draw(st.none() | st.builds(OriginalAddress, st.sampled_from(["rfc822", "utf-8", "x;y"]), hostile)),
            reply=reply(), refusal=reply(), host=draw(hostile), stage=draw(hostile), note=draw(hostile),
            own=draw(st.booleans()), local=draw(st.booleans()), earlier=draw(st.booleans()), expired=draw(st.booleans()),
            uncertain=draw(st.booleans()), silenced=draw(st.booleans()), parameter=draw(st.sampled_from(["", "NOTIFY"])),
            dropped=draw(st.sampled_from([(), ("NOTIFY",)])), retry_until=draw(st.none() | st.floats(0, 1e10)),
        )
        for _ in range(draw(st.integers(1, 4)))
    ]  # fmt: skip
    header, body = (
        draw(st.binary(max_size=200) | hostile.map(lambda t: f"Subject: {t}\r\n".encode("utf-8", "replace"))),
        draw(st.none() | st.binary(max_size=200)),
    )
    original = Original(header, body, draw(st.sampled_from(Returned)), draw(st.booleans()), 100)
    if original.returned is Returned.FULL and (body is None or not may_return_all(original, False)):
        original = Original(header, None, Returned.EIGHT_BIT, original.utf8)
    return report(
        *recipients, kind=draw(st.sampled_from(Kind)), languages=draw(st.sampled_from([("en",), ("ja",), BOTH])),
        envelope_id=draw(hostile), hello=draw(hostile), peer=draw(hostile), original=original, double=draw(st.booleans()),
        deliver_by=draw(st.none() | st.floats(0, 1e10)), arrived_at=draw(st.floats(0, 1e10)),
    )  # fmt: skip


@settings(max_examples=80)
@given(reports())
def test_the_form_holds_whatever_strangers_write(made: Any) -> None:
    octets = write(made)
    check_octets(octets)
    found = read(octets)
    assert len(found.status) == 1 + len(made.recipients)
    for fields in found.status[1:]:
        assert fields["action"] == made.kind.value
        assert {"final-recipient", "status"} <= set(fields)
        assert set(fields) <= {
            *("original-recipient", "final-recipient", "action", "status", "remote-mta", "diagnostic-code"),
            *("last-attempt-date", "will-retry-until", "x-postroad-omitted-parameters"),
        }
    assert [name.lower() for name in found.message] in (
        ["date", "from", "to", "subject", "message-id", "auto-submitted", "mime-version", "content-type"],
        [
            "date",
            "from",
            "to",
            "subject",
            "message-id",
            "in-reply-to",
            "references",
            "auto-submitted",
            "mime-version",
            "content-type",
        ],
    )
    assert all(c.isprintable() or c == "\n" for c in found.text)
