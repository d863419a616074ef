"""What people read in a report, in each language, and that it holds whatever strangers wrote."""

from __future__ import annotations

import re
import string
import tomllib
from pathlib import Path

import pytest

import postroad.replies
from postroad.message.report_facts import Kind, OriginalAddress, Returned
from postroad.message.report_wrapping import WIDTH, width
from postroad.replies import Reply
from postroad.replies.catalogue import catalogue
from tests.message.reports import NOW, REFUSED, refused, written

LOCALES = Path(postroad.replies.__file__).parent / "locales"
BOTH = ("en", "ja")


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
        "mx.example.org[192.0.2.1]:25からの応答です(対象:RCPT)。",
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


def test_a_reply_that_nobody_knows_is_not_explained() -> None:
    text = " ".join(written(refused(reply=Reply(599, "wibble"))).text.split())
    assert "The other server refused the message, for a reason that is not known here." in text
    assert "Most likely" not in text


def test_literals_of_the_catalogue_are_quoted_as_the_language_does() -> None:
    """RFC 5321 and the catalogue write them between backticks; a mail has no such marks."""
    reply = Reply(501, "syntax error")
    assert "`" not in written(refused(reply=reply)).text
    assert "二つの「@」" in "".join(written(refused(reply=reply), languages=("ja",)).text.split())


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


def test_one_minute_is_one() -> None:
    for seconds, words in ((61, "tried for 1 minute so far"), (125, "tried for 2 minutes so far")):
        assert words in " ".join(written(kind=Kind.DELAYED, arrived_at=NOW - seconds).text.split())


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
        for key in table if section not in ("own", "own_do") else ():
            assert key in composed | values or f'"{key}"' in source or f"{key}=" in source, (section, key)
