"""What holds whatever a log holds: counts add up, memory is bounded, stamps are moments, nothing crashes."""

from __future__ import annotations

import random
import re
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroad.diagnosis import logs_reasons
from postroad.diagnosis.logs import explain_log, format_of
from postroad.diagnosis.logs_digest import Digest, Wanted
from postroad.diagnosis.logs_documents import Describing
from postroad.diagnosis.logs_event import MAX_LINE, Event, Stamps, reply_of, verb
from postroad.diagnosis.logs_groups import Groups
from postroad.diagnosis.logs_reading import FORMATS, LogLines, readers, sieve
from postroad.diagnosis.logs_reasons import Reasons
from postroad.replies.catalogue import catalogue
from postroad.replies.classify import classify
from tests.diagnosis.log_corpus import LOGS, NAMES, REFERENCE, events_of

LINE = (
    "Nov 24 12:00:01 mx postfix/smtp[1]: 4XyZ: to=<{to}>, relay=mx.{domain}[192.0.2.5]:25, delay=1, delays=0/0/0/1, "
    "dsn=5.1.1, status=bounced (host mx.{domain}[192.0.2.5] said: {reply} (in reply to RCPT TO command))\n"
)


def line(to: str = "kana@example.net", reply: str = "550 5.1.1 User unknown") -> bytes:
    return LINE.format(to=to, domain=to.rpartition("@")[2], reply=reply).encode()


def groups_of(document: dict[str, Any]) -> dict[tuple[str, str, str], int]:
    return {(one["destination"], one["outcome"], one["reason"]["id"]): one["count"] for one in document["groups"]}


# ── counts ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", NAMES)
def test_every_event_is_counted_once(name: str) -> None:
    _, found = events_of(name)
    document = explain_log((LOGS / f"{name}.log").read_bytes(), limit=2, now=REFERENCE)
    assert document["events"] == len(found) == sum(document["outcomes"].values())
    assert {name: count for name, count in document["outcomes"].items() if count} == Counter(
        one.outcome for one in found
    )
    told = sum(one["count"] for one in (*document["groups"], *document["rest"]))
    assert told == sum(one.outcome != "delivered" for one in found)
    assert len(document["groups"]) <= 2
    assert sum(one["count"] for one in document["reasons"]) == told


def test_groups_have_counts_moments_and_the_newest_example() -> None:
    log = b"".join(
        line("a@example.net").replace(b"12:00:01", stamp) for stamp in (b"12:00:05", b"12:00:01", b"12:00:09")
    )
    [group] = explain_log(log, now=REFERENCE)["groups"]
    assert (group["count"], group["destination"], group["reason"]["id"]) == (3, "example.net", "user-unknown")
    first, last = (datetime.fromisoformat(group[name]) for name in ("first", "last"))
    assert (last - first).total_seconds() == 8
    assert group["example"]["at"] == group["last"]
    assert group["code"]["code"] == 550
    assert group["enhanced"]["code"] == "5.1.1"
    assert group["temporary"] is False


def test_deliveries_to_a_destination_are_told_beside_its_failures() -> None:
    sent = line().replace(b"dsn=5.1.1, status=bounced (host", b"dsn=2.0.0, status=sent (250 host")
    [group] = explain_log(sent * 5 + line())["groups"]
    assert (group["count"], group["delivered"]) == (1, 5)


def test_too_many_groups_go_to_the_rest_and_none_is_lost() -> None:
    groups, reasons = Groups(most=10), Reasons(catalogue())
    for number in range(1000):
        event = Event("failed", float(number + 1), "", f"d{number}.example", reply="550 5.1.1 User unknown")
        for one in (event, event._replace(destination="big.example")):
            groups.add(one, reasons.find(one))
    top, rest = groups.top(3)
    assert top[0].destination == "big.example"
    assert top[0].count == 1000
    assert not top[0].partial
    assert sum(one.count for one in top) + sum(one.count for one in rest) == 2000
    assert all(one.partial for one in top[1:])
    assert groups.outcomes() == {"failed": 2000}
    assert groups.span() == (1.0, 1000.0)


def test_who_refused_is_not_told_what_helps_the_refused() -> None:
    refusal = (
        b"Nov 24 12:00:01 mx postfix/smtpd[1]: NOQUEUE: reject: RCPT from x[192.0.2.9]: 554 5.7.1 Service unavailable; "
        b"Client host [192.0.2.9] blocked using zen.spamhaus.org; from=<a@b.example> to=<kana@ours.example> proto=ESMTP\n"
    )
    (group,) = explain_log(refusal, now=REFERENCE)["groups"]
    assert (group["outcome"], group["reason"]["id"], group["actor"]["id"]) == ("refused", "blocked", "sender")
    assert (group["remedy"]["id"], group["remedy"]["text"][:22]) == ("none", "This server refused it")


def test_filters() -> None:
    early, late = line("a@one.example"), line("b@two.example").replace(b"Nov 24", b"Nov 25")
    assert set(groups_of(explain_log(early + late, destination="TWO", now=REFERENCE))) == {
        ("two.example", "failed", "user-unknown")
    }
    moment = explain_log(late, now=REFERENCE)["groups"][0]["first"]
    since = datetime.fromisoformat(moment).timestamp()
    assert explain_log(early + late, since=since, now=REFERENCE)["events"] == 1
    assert explain_log(early + late, since=since + 1, now=REFERENCE)["events"] == 0


def test_a_format_that_is_named_is_taken_and_an_unknown_one_is_refused() -> None:
    assert explain_log(line(), format="exim")["events"] == 0
    assert explain_log(line(), format="postfix")["events"] == 1
    with pytest.raises(ValueError, match="sendmail"):
        explain_log(line(), format="sendmail")


def test_several_formats_in_one_log_are_all_read() -> None:
    mixed = b"".join((LOGS / f"{name}-{kind}.log").read_bytes() for name, kind in _ONE_EACH)
    document = explain_log([mixed], now=REFERENCE)
    assert set(document["formats"]) == set(FORMATS)
    assert document["events"] == sum(len(events_of(f"{name}-{kind}")[1]) for name, kind in _ONE_EACH)


_ONE_EACH = (("postfix", "recorded"), ("exim", "recorded"), ("opensmtpd", "new"), ("postroad", "json"))


@pytest.mark.parametrize("name", NAMES)
def test_the_format_is_told(name: str) -> None:
    assert format_of((LOGS / f"{name}.log").read_bytes()) == name.partition("-")[0]


def test_other_text_is_no_log() -> None:
    for text in (b"", b"550 5.1.1 User unknown\n", b"From: ann@example.com\n\nrejected \n", b"\0" * 5000, b"{}\n" * 50):
        assert format_of(text) == ""
        assert explain_log(text)["formats"] == []


# ── stamps ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-24T12:00:01.123456+09:00 x", "2026-11-24T03:00:01.123456+00:00"),
        ("2026-11-24T12:00:01Z x", "2026-11-24T12:00:01+00:00"),
        ("2026-11-24 12:00:01.5 +0900 x", "2026-11-24T03:00:01.500000+00:00"),
        ("<22>1 2026-11-24T12:00:01Z x", "2026-11-24T12:00:01+00:00"),
        ("1795521601.500000 mx x", "2026-11-24T12:00:01.500000+00:00"),
        ("mail-1  | 2026-11-24T12:00:01Z x", "2026-11-24T12:00:01+00:00"),
    ],
)
def test_stamps_with_a_zone(text: str, moment: str) -> None:
    assert datetime.fromtimestamp(Stamps(REFERENCE).read(text), UTC) == datetime.fromisoformat(moment)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Nov 24 12:00:01 mx", (2026, 11, 24)),
        ("<22>Nov  4 12:00:01 mx", (2026, 11, 4)),
        ("Dec 31 12:00:01 mx", (2025, 12, 31)),  # it would be to come
        ("Feb 29 12:00:01 mx", (2024, 2, 29)),
        ("Nov 24 2019 12:00:01 mx", (2019, 11, 24)),
        ("2019 Nov 24 12:00:01 mx", (2019, 11, 24)),
    ],
)
def test_stamps_without_a_year_are_of_the_past(text: str, moment: tuple[int, int, int]) -> None:
    found = datetime.fromtimestamp(Stamps(REFERENCE).read(text))  # noqa: DTZ006 (so are the stamps)
    assert (found.year, found.month, found.day, found.hour) == (*moment, 12)


def test_a_log_that_is_followed_into_another_year() -> None:
    stamps = Stamps(REFERENCE)
    before = stamps.read("Jan 15 12:00:00 mx")
    stamps.renew(REFERENCE + 60 * 86_400)
    assert stamps.read("x") == 0.0
    assert stamps.read("Jan 15 12:00:00 mx") - before == pytest.approx(365 * 86_400, abs=3_600)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "Nov 99 99:99:99 mx",
        "Xyz 24 12:00:01 x",
        "2026-13-45T12:00:01Z",
        "9999-99-99 99:99:99 x",
        "Nov",
        "Xyz 24 2019 12:00:01 x",
    ],
)
def test_no_stamp_is_no_moment(text: str) -> None:
    assert Stamps(REFERENCE).read(text) == 0.0


def test_the_second_read_again_is_the_same() -> None:
    stamps = Stamps(REFERENCE)
    texts = ("Nov 24 12:00:01 a", "Nov 24 12:00:01 b", "x", "Nov 24 12:00:02 c", "Nov 24 12:00:01 d")
    assert [stamps.read(text) for text in texts] == [Stamps(REFERENCE).read(text) for text in texts]


# ── parts ───────────────────────────────────────────────────────────────────


def test_replies_of_several_lines_are_taken_apart_again() -> None:
    joined = "550-5.7.26 not accepted due to 550 5.7.26 domain's DMARC policy"
    assert reply_of(joined) == "550-5.7.26 not accepted due to\n550 5.7.26 domain's DMARC policy"
    assert reply_of("550 5.1.1 we said 550 before") == "550 5.1.1 we said 550 before"


@pytest.mark.parametrize(
    ("words", "known"),
    [
        ("RCPT TO command)", "RCPT"),
        ("end of DATA command", "CONTENT"),
        ("pipelined MAIL FROM:<>", "MAIL"),
        ("eggs", ""),
    ],
)
def test_verbs(words: str, known: str) -> None:
    assert verb(words) == known


def test_reasons_are_those_of_the_rules_however_they_are_remembered() -> None:
    """Texts that differ in names and numbers only share an answer; those that a rule tells apart do not."""
    reasons, rules = Reasons(catalogue()), catalogue().rules
    texts = [
        "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. (S3140)",
        "550 5.7.1 Unfortunately, messages from [192.0.2.2] weren't sent. (S3150)",
        "550 5.7.1 Unfortunately, messages from [192.0.2.2] weren't sent. (S9999)",
        "550 5.1.1 <a1@example.net> unknown user",
        "550 5.1.1 <b2@example.net> unknown user",
        "553 5.6.7 must declare SMTPUTF8 to send to 7@example.net",
        "553 5.6.7 must declare SMTPUTFX to send to 7@example.net",
        "451 4.7.1 a rp-001 slow",
        "451 4.7.1 a rx-001 slow",
    ]
    for text in texts * 2:
        event = Event("failed", 1.0, "kana@example.net", "example.net", reply=text)
        assert reasons.find(event) == classify(text, rules=rules), text


def test_rules_of_a_provider_are_asked_for_its_hosts() -> None:
    reasons = Reasons(catalogue())
    assert reasons.provider("gmail-smtp-in.l.google.com[192.0.2.1]") == "gmail"
    assert reasons.provider("mx.notgoogle.com[192.0.2.1]") == ""
    assert reasons.provider("") == ""


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_the_sieve_lets_through_what_has_a_mark(count: int) -> None:
    marks = tuple(b"m%d" % number for number in range(count))
    lines = [b"x m%d y" % number for number in range(7)]
    assert sieve(lines, marks) == lines[:count]


# ── bounds ──────────────────────────────────────────────────────────────────


def test_a_line_that_never_ends_is_read_up_to_the_bound() -> None:
    head = line().rstrip(b"\n").removesuffix(b"(in reply to RCPT TO command))")
    log = LogLines(Stamps(REFERENCE))
    blocks = [line(), head, *([b"x" * 50_000] * 40), b"\n" + line()]
    found = [event for block in blocks for event in log.feed(block)]
    found += log.finish()
    assert [one.to for one in found] == ["kana@example.net"] * 3
    assert all(len(one.reply) <= MAX_LINE for one in found)
    assert len(log._rest) <= MAX_LINE


def test_of_long_lines_no_more_is_kept_than_is_shown() -> None:
    groups = Groups()
    log = LogLines(Stamps(REFERENCE))
    reasons = Reasons(catalogue())
    for number in range(3):
        for event in log.feed(line(f"a@{number % 2}.example", "550 " + "x" * 5_000)):
            assert len(event.reply) > 5_000
            groups.add(event, reasons.find(event))
    assert [len(group.example.reply) for group in groups.top(5)[0]] == [1_000, 1_000]


def test_memory_stays_flat_however_hostile_the_log_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line another destination, reply and host: what is kept is bounded."""

    def blocks(count: int) -> Iterator[bytes]:
        random_ = random.Random(1)
        for _ in range(count):
            words = ("".join(random_.choices("abcdefghij", k=12)) for _ in range(6))
            yield b"".join(line(f"a@{word}.example", f"550 {word} {word[::-1]}") for word in words)

    monkeypatch.setattr(logs_reasons, "_REMEMBERED", 100)
    digest = Digest(catalogue(), groups=Groups(most=100))
    digest.begin(REFERENCE)
    peaks = []
    tracemalloc.start()
    try:
        for _ in range(2):
            tracemalloc.reset_peak()
            for block in blocks(150):
                digest.read(block)
            peaks.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert digest.events == 1_800
    assert len(digest.groups._groups) <= 100
    assert peaks[1] < peaks[0] * 1.1 + 100_000


def test_both_languages_say_the_same_things() -> None:
    english, japanese = (catalogue().texts("logs", language) for language in ("en", "ja"))
    assert {name: set(part) for name, part in english.items()} == {name: set(part) for name, part in japanese.items()}
    for name, part in english.items():
        for key, text in part.items():
            fields = re.findall(r"\{[a-z]+\}", text), re.findall(r"\{[a-z]+\}", japanese[name][key])
            assert sorted(fields[0]) == sorted(fields[1]), key


# ── hostile input ───────────────────────────────────────────────────────────


def _mutated(octets: bytes, chance: random.Random) -> bytes:
    text = bytearray(octets)
    for _ in range(chance.randrange(1, 8)):
        place = chance.randrange(len(text) + 1)
        match chance.randrange(6):
            case 0:
                text[place : place + chance.randrange(1, 40)] = b""
            case 1:
                text[place:place] = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 20)))
            case 2:
                text[place:place] = chance.choice(_SPICES)
            case 3:
                other = chance.randrange(len(text) + 1)
                text[place:place] = text[other : other + chance.randrange(1, 200)]
            case 4:
                del text[place:]
            case _:
                text[place : place + 1] = chance.choice(
                    (b"\0", b"\r", b"\x1b[2J", b"\xff\xfe", b"\xe2\x80\xae", b'"', b"<")
                )
        text = text or bytearray(b"x")
    return bytes(text)


_SPICES = (
    b": to=<", b">, relay=", b", dsn=", b", status=", b" (in reply to ", b" said: ", b"reject: ", b" from ", b"]: ", b" R=",
    b" T=", b" H=x [1.2.3.4]", b" ** ", b" == ", b" => ", b"rejected RCPT <", b'{"logger":"postroad.x","event":"failed"',
    b"delivery evpid=1 ", b' result="Ok" stat="', b'"recipient":', b"\\n", b"999 ", b"550-", b'"' * 50, b"[" * 500,
    b"9" * 400, b'"seconds":1e999,', b"postfix/smtp[1]: ", b"; from=<", b"<22>1 ",
)  # fmt: skip


def test_nothing_crashes_on_mutated_lines() -> None:
    """2,500 lines of the corpus, each mutated; all of them are read by every reader, explained and shown."""
    chance = random.Random(20261124)
    lines = [line for name in NAMES for line in (LOGS / f"{name}.log").read_bytes().split(b"\n") if line]
    stamps, reasons, describing = Stamps(REFERENCE), Reasons(catalogue()), Describing(catalogue(), "ja")
    digest = Digest(catalogue(), Wanted())
    digest.begin(REFERENCE)
    read = 0
    for _ in range(2_500):
        octets = _mutated(chance.choice(lines), chance)
        digest.read(octets + b"\n")
        for reader in readers():
            reader.knows(octets)
            event = reader.read(octets[:MAX_LINE].decode("utf-8", "replace"), stamps)
            if event is not None:
                read += 1
                assert event.at >= 0
                assert describing.meaning(reasons.find(event), event)["reason"]["id"]
    whole = describing.whole(digest, 1_000)
    assert whole["events"] > 300  # most lines tell nothing of a recipient
    assert read > 300


@settings(deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=20), st.sampled_from(("", *FORMATS)))
def test_any_octets_are_read(blocks: list[bytes], kind: str) -> None:
    document = explain_log(blocks, format=kind, now=REFERENCE)
    assert document["octets"] == sum(map(len, blocks))
    assert document["lines"] <= document["octets"] + 1
