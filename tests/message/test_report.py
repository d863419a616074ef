"""A delivery report is read rightly by machines and by people, and holds its form whatever strangers wrote."""

from __future__ import annotations

import email
import email.policy
import re
import string
import tomllib
from pathlib import Path
from typing import Any

import pytest
from flufl.bounce import all_failures
from hypothesis import given, settings
from hypothesis import strategies as st

import postroad.replies
from postroad.message.report import write
from postroad.message.report_facts import Kind, Original, OriginalAddress, Returned
from postroad.message.report_octets import base64, cleansed, header_text, quoted_printable, text_part
from postroad.message.report_original import (
    MAX_HEADER,
    cut_header,
    field,
    languages_of,
    may_return_all,
    text_field,
    zone_minutes,
)
from postroad.message.report_wrapping import WIDTH, width, wrap
from postroad.replies import Reply
from postroad.replies.catalogue import catalogue
from tests.message.reports import HEADER, NOW, REFUSED, check_octets, read, refused, report, written

LOCALES = Path(postroad.replies.__file__).parent / "locales"
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
            assert all_failures(email.message_from_bytes(octets)) == expected


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
        ("Accept-Language: ja; q=0.000, de", ()),
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


# For people


def test_what_happened_who_must_act_and_what_to_do() -> None:
    text = written().text
    for sentence in (
        "Your message was not delivered to the recipient named here.",
        "To: hanako@example.org",
        "Subject: Meeting on Friday",
        "Accepted: 2026-11-24 15:33 (+0900)",
        "Unknown recipient: The server has no mailbox for this address.",
        "You: the following steps are for you.",
        "1. Look for a typing error",
        "mx.example.org [192.0.2.1]:25 said this (in answer to RCPT).",
        "> 550 5.1.1 <hanako@example.org>: User unknown",
        "Your message is attached.",
        "0-message",
    ):
        assert sentence in " ".join(text.split()), sentence


def test_the_same_in_japanese() -> None:
    text = "".join(written(languages=("ja",)).text.split())
    for sentence in (
        "お送りになったメールは、次の宛先に届けられませんでした。",
        "宛先:hanako@example.org",
        "受付日時:2026年11月24日15:33(+0900)",
        "宛先が不明:サーバーに、このアドレスのメールボックスがありません。",
        "あなたです。次の手順をご覧ください。",
        "mx.example.org[192.0.2.1]:25からの応答です(RCPTに対して)。",
        ">5505.1.1<hanako@example.org>:Userunknown",
    ):
        assert sentence in text, sentence


def test_both_languages_stand_one_after_the_other() -> None:
    found = written(languages=BOTH)
    assert found.text.index("Your message") < found.text.index("=" * WIDTH) < found.text.index("お送りに")
    assert next(found.message.iter_parts())["content-language"] == "en, ja"


def test_a_language_without_sentences_speaks_english() -> None:
    assert catalogue().report_language("de") == catalogue().report_language("tlh") == "en"
    assert written(languages=("de",)).text == written(languages=("en",)).text


@pytest.mark.parametrize("language", BOTH)
def test_no_line_is_wider_than_the_page(language: str) -> None:
    for reply in (REFUSED, Reply(452, "満杯" * 100, "4.2.2"), Reply(455, "not now " * 30, "4.5.4"), Reply(554, "no")):
        for kind in Kind:
            one = refused(
                reply=reply, expired=kind is Kind.FAILED, uncertain=True, parameter="NOTIFY" * (kind is Kind.DELAYED)
            )
            for line in written(one, kind=kind, languages=(language,)).text.split("\n"):
                assert width(line) <= WIDTH + 2, line  # a closing mark may hang over


def test_equal_answers_are_said_once() -> None:
    text = written(
        refused(), refused(address="taro@example.org"), refused(address="x@example.org", reply=Reply(554, "no"))
    ).text
    assert text.count("What happened") == 2
    assert text.count("User unknown") == 1
    assert text.index("taro@example.org") < text.index("User unknown") < text.index("x@example.org")


def test_expired_is_told_apart_from_the_last_reason() -> None:
    one = refused(reply=Reply(452, "mailbox full", "4.2.2"), status="5.4.7", expired=True)
    text = " ".join(written(one).text.split())
    assert "It was tried for 5 hours without success, and the time is over. The last reason was this:" in text
    assert "Mailbox full:" in text
    assert "You, if the message still matters" in text
    assert "Wait." not in text


def test_a_delay_asks_for_nothing() -> None:
    one = refused(reply=Reply(450, "greylisted", "4.7.1"), status="4.7.1", retry_until=NOW + 86_400)
    text = " ".join(written(one, kind=Kind.DELAYED).text.split())
    assert "Nobody at present." in text
    assert "We keep trying until 2026-11-25 20:33 (+0900)." in text
    assert "Greylisted" in text
    no_end = written(refused(reply=Reply(450, "no", "4.7.1")), kind=Kind.DELAYED).text
    assert "If it fails in the end" in no_end


def test_a_lasting_455_names_the_parameter_and_whom_to_ask() -> None:
    one = refused(reply=Reply(455, "not now", "4.5.4"), status="4.5.4", parameter="SMTPUTF8")
    for language in BOTH:
        text = "".join(written(one, kind=Kind.DELAYED, languages=(language,)).text.split())
        assert "SMTPUTF8" in text
        assert "postmaster@example.org" in text


@pytest.mark.parametrize(
    ("reply", "who"),
    [
        (Reply(550, "no such user", "5.1.1"), "You: the following"),
        (Reply(554, "blocked using zen.spamhaus.org", "5.7.1"), "The administrator of the mail system that sent"),
        (Reply(501, "syntax error", "5.5.4"), "Whoever looks after the program"),
        (Reply(550, "delivery program failed: mailer error", "5.3.0"), "on the recipient's side"),
    ],
)
def test_who_has_to_act(reply: Reply, who: str) -> None:
    assert who in " ".join(written(refused(reply=reply)).text.split())


def test_what_was_dropped_on_the_way_is_told() -> None:
    one = refused(
        reply=Reply(250, "ok", "2.0.0"), status="2.0.0", stage="CONTENT", dropped=("ENVID", "NOTIFY"),
        refusal=Reply(455, "not just now", "4.5.4"), silenced=True,
    )  # fmt: skip
    text = " ".join(written(one, kind=Kind.RELAYED).text.split())
    assert "sent on without them: ENVID, NOTIFY. > 455 4.5.4 not just now" in text
    assert "You had asked for no report of a failure." in text


def test_an_uncertain_message_may_have_arrived() -> None:
    for kind, words in ((Kind.FAILED, "ask before you send it again"), (Kind.DELAYED, "may get it twice")):
        assert words in " ".join(written(refused(uncertain=True, reply=None), kind=kind).text.split())


def test_the_words_of_strangers_are_only_quoted() -> None:
    evil = Reply(550, "a\u202eb\x1b[31m\x07\u2028c\ttab " + "y" * 5000 + "\n" * 50 + "last", "5.1.1")
    text = written(refused(reply=evil, host="h\r\n\r\nDear customer\x1b")).text
    assert not set(text) - {"\n"} - {c for c in text if c.isprintable()}
    assert all(line.startswith("  >") for line in text.split("\n") if "yyy" in line)
    assert "> […]" in text
    assert "\nDear" not in text
    assert len(text) < 4000


def test_the_sender_sees_the_address_that_was_written() -> None:
    assert (
        "other@example.com (hanako@example.org)"
        in written(refused(original=OriginalAddress("rfc822", "other@example.com"))).text
    )


# Words


def words_of(language: str) -> dict[str, dict[str, str]]:
    return tomllib.loads((LOCALES / language / "reports.toml").read_text(encoding="utf-8"))


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_the_languages_have_the_same_sentences() -> None:
    english, japanese = words_of("en"), words_of("ja")
    assert {k: set(v) for k, v in english.items()} == {k: set(v) for k, v in japanese.items()}
    for section, table in english.items():
        for key, text in table.items():
            other = japanese[section][key]
            assert placeholders(text) == placeholders(other), (section, key)
            if section not in ("labels", "time", "subject"):
                assert re.search(r"[\u3041-\u30ff\u4e00-\u9fff]", other) or other == text, (section, key)


def test_every_sentence_is_used() -> None:
    source = "".join(
        path.read_text(encoding="utf-8") for path in Path(postroad.__file__).parent.glob("message/report*.py")
    )
    composed = {
        f"{opening}_{many}"
        for opening in ("failed", "delayed", "delivered", "relayed", "double")
        for many in ("one", "many")
    }
    values = {kind.value for kind in Kind} | {returned.value for returned in Returned}
    for section, table in words_of("en").items():
        for key in table:
            assert key in composed | values or f'"{key}"' in source or f"{key}=" in source, (section, key)


# Octets


@given(st.binary(max_size=400))
def test_quoted_printable_comes_back(octets: bytes) -> None:
    encoded = quoted_printable(octets)
    check_lines(encoded, 76)
    assert (
        email.message_from_bytes(b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + encoded).get_payload(
            decode=True
        )
        == octets
    )


def check_lines(octets: bytes, limit: int) -> None:
    for line in octets.split(b"\r\n"):
        assert len(line) <= limit
        assert all(32 <= octet < 127 or octet == 9 for octet in line)


@given(st.binary(max_size=400))
def test_base64_comes_back(octets: bytes) -> None:
    check_lines(base64(octets), 76)
    assert (
        email.message_from_bytes(b"Content-Transfer-Encoding: base64\r\n\r\n" + base64(octets)).get_payload(decode=True)
        == octets
    )


@given(st.text(max_size=300))
def test_a_subject_comes_back_cleansed(text: str) -> None:
    wanted = " ".join(cleansed(text, 200).split(" "))
    line = header_text("Subject", cleansed(text, 200))
    assert line.endswith("\r\n")
    for one in line.removesuffix("\r\n").split("\r\n"):
        assert len(one) <= 998
        assert one.isascii()
        assert one.isprintable()
    message = email.message_from_string(line + "\r\n", policy=email.policy.default)
    assert str(message["subject"]).split() == wanted.split()


@given(st.text(max_size=300))
def test_a_text_comes_back(text: str) -> None:
    charset, encoding, octets = text_part(text)
    head = f"Content-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    found = email.message_from_bytes(head.encode() + octets).get_payload(decode=True)
    assert found == text.replace("\n", "\r\n").encode("utf-8", "replace")


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\n"), max_size=300), st.integers(10, 80))
def test_wrapping_loses_nothing_but_blanks(text: str, room: int) -> None:
    wrapped = wrap(text, "> ", room=room)
    assert all(line.startswith("> ") or line == ">" for line in wrapped.split("\n"))
    joined = "".join(line[2:] for line in wrapped.split("\n"))
    assert joined.replace(" ", "") == text.replace(" ", "")


def test_japanese_lines_break_where_they_may() -> None:
    text = "メールサーバーからの応答です。「こんにちは」と、書いてあります。" * 5
    lines = wrap(text, room=30).split("\n")
    assert len(lines) > 5
    for line in lines:
        assert line[0] not in "、。」ー"
        assert line[-1] not in "「"
        assert width(line) <= 32
    assert "メール\n" not in wrap("あ" * 13 + "メールボックス", room=30)


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
