"""Who is told what: exactly as RFC 3461 says for every NOTIFY and every outcome, and never in a circle."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroad.address import parse_mailbox
from postroad.delivery.notify import Notifier
from postroad.envelope import (
    NewRecipient,
    Outcome,
    Result,
    Step,
)
from postroad.errors import AddressSyntaxError
from postroad.replies import Reply
from postroad.replies.catalogue import catalogue
from postroad.smtp import undeliverable
from tests.delivery.fixtures import START, HandClock
from tests.delivery.told import BUSY, REFUSED, Post, actions, delivered, failed, late
from tests.message.reports import read

# NOTIFY and every outcome

NOTIFY: dict[str, set[str] | None] = {
    "": None,
    "NEVER": set(),
    **{
        ",".join(words): set(words)
        for count in (1, 2, 3)
        for words in itertools.combinations(("SUCCESS", "FAILURE", "DELAY"), count)
    },
}

#: Outcome -> (result, how it went, the report, the keyword that asks for it, whether it comes unasked).
OUTCOMES: dict[str, tuple[Result, dict[str, Any], str, str, bool]] = {
    "refused for good": (failed(), {}, "failed", "FAILURE", True),
    "given up in time": (failed(reply=BUSY, expired=True), {}, "failed", "FAILURE", True),
    "refused by an LMTP server": (failed(), {"route": "lmtp:/run/lmtp"}, "failed", "FAILURE", True),
    "late": (late(), {}, "delayed", "DELAY", True),
    "to a host without DSN": (delivered(relayed=True), {}, "relayed", "SUCCESS", False),
    "into a maildir": (Result(0, Outcome.DELIVERED), {"route": "maildir:/mail/{user}", "host": ""}, "delivered", "SUCCESS", False),
    "to an LMTP server without DSN": (delivered(relayed=True), {"route": "lmtp:/run/lmtp"}, "delivered", "SUCCESS", False),
    "to a host with DSN": (delivered(), {}, "", "", False),
    "to an LMTP server with DSN": (delivered(), {"route": "lmtp:/run/lmtp"}, "", "", False),
    "deferred": (Result(0, Outcome.DEFERRED, BUSY, next_due=START), {}, "", "", False),
    "held": (Result(0, Outcome.HELD, REFUSED), {}, "", "", False),
}  # fmt: skip


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("notify", NOTIFY)
def test_notify_is_obeyed(notify: str, outcome: str) -> None:
    """RFC 3461 sections 5.2.2 (b) to (f), 5.2.3, 5.2.5 and 5.2.6."""
    result, how, action, keyword, unasked = OUTCOMES[outcome]
    post = Post(("hanako@example.org", f"NOTIFY={notify}" if notify else ""))
    wanted = NOTIFY[notify]
    due = bool(action) and (unasked if wanted is None else keyword in wanted)
    assert actions(post.told(result, **how)) == ([action] if due else [])
    assert post.reads == due


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("notify", NOTIFY)
def test_the_null_reverse_path_is_never_written_to(notify: str, outcome: str) -> None:
    result, how, *_ = OUTCOMES[outcome]
    recipient = ("hanako@example.org", f"NOTIFY={notify}" if notify else "")
    assert Post(recipient, sender="", double_bounce="drop").told(result, **how) == []
    for draft, _ in Post(recipient, sender="").told(result, **how):
        assert draft.recipients == (NewRecipient("postmaster@mail.example.net", "mail.example.net", "NOTIFY=NEVER"),)
        assert draft.reverse_path == ""
        assert result.outcome is Outcome.FAILED
        assert notify != "NEVER"


def test_only_those_who_asked_are_named() -> None:
    """RFC 3461 section 5.2.8."""
    post = Post(
        ("a@example.org", "NOTIFY=NEVER"),
        ("b@example.org", ""),
        ("c@example.org", "NOTIFY=DELAY"),
        ("d@example.org", "NOTIFY=FAILURE"),
    )
    found = post.report(failed(0), failed(1), failed(2), failed(3))
    assert [one["final-recipient"] for one in found.status[1:]] == ["rfc822; b@example.org", "rfc822; d@example.org"]
    assert b"a@example.org" not in found.octets
    assert b"c@example.org" not in found.octets


def test_one_report_for_each_kind() -> None:
    post = Post(*((f"u{number}@example.org", "NOTIFY=SUCCESS,FAILURE,DELAY") for number in range(6)))
    told = post.told(late(0), failed(1), delivered(2, relayed=True), failed(3), late(4), delivered(5))
    assert actions(told) == ["failed", "delayed", "relayed"]
    assert [len(read(octets).status) - 1 for _, octets in told] == [2, 2, 1]
    assert len({draft.id for draft, _ in told}) == 3
    assert post.reads == 1


def test_the_envelope_of_a_report() -> None:
    """RFC 3461 section 6.1: from the null reverse-path to the sender, without RET and NOTIFY but NEVER."""
    ((draft, _),) = Post(sender="Kana@Example.NET").told(failed())
    assert draft.reverse_path == ""
    assert draft.recipients == (NewRecipient("Kana@Example.NET", "example.net"),)
    assert draft.parameters == ""
    assert draft.received_at == START
    assert draft.id == "0-report1"


def test_a_report_to_an_address_of_utf8_asks_for_smtputf8() -> None:
    post = Post(("花子@例え.jp", ""), sender="佳奈@例え.jp", parameters="SMTPUTF8")
    ((draft, octets),) = post.told(failed())
    assert draft.parameters == "BODY=8BITMIME SMTPUTF8"
    assert draft.recipients[0].destination == "xn--r8jz45g.jp"
    assert read(octets, utf8=True).status[1]["final-recipient"] == "utf-8; 花子@例え.jp"


# No circles


def test_the_postmaster_hears_of_what_has_no_return_address() -> None:
    found = Post(sender="", postmaster="admin@example.com").report(failed())
    assert found.message["to"] == "admin@example.com"
    assert found.subject.startswith("A mail without return address was not delivered: hanako@example.org / ")
    assert "Most likely it is a report about another mail." in found.text.replace("\n", " ")
    assert found.returned is not None
    assert found.returned.get_content_type() == "text/rfc822-headers"


@pytest.mark.parametrize("path", ["postmaster@mail.example.net", "Postmaster@MAIL.example.net", "POSTMASTER"])
def test_of_a_postmaster_who_cannot_be_reached_nobody_hears(path: str) -> None:
    assert Post((path, ""), sender="").told(failed()) == []


def test_reports_of_reports_come_to_an_end() -> None:
    """Whatever fails, at most two reports follow from one message."""
    waiting: list[tuple[str, tuple[NewRecipient, ...]]] = [
        ("kana@example.net", (NewRecipient("h@example.org", "example.org"),))
    ]
    made = 0
    while waiting:
        sender, recipients = waiting.pop()
        post = Post(*((one.forward_path, one.parameters) for one in recipients), sender=sender)
        for draft, _ in post.told(*(failed(number) for number in range(len(recipients)))):
            made += 1
            waiting.append((draft.reverse_path, draft.recipients))
    assert made == 2


@pytest.mark.parametrize("sender", ["", "no-address", "a@b@c", "x@y\r\nRCPT TO:<z@z>", "<a@example.net>"])
def test_a_return_address_that_is_none_counts_as_null(sender: str) -> None:
    ((draft, _),) = Post(sender=sender).told(failed())
    assert draft.recipients[0].forward_path == "postmaster@mail.example.net"


def test_a_postmaster_that_is_no_address_is_refused() -> None:
    with pytest.raises(AddressSyntaxError):
        Notifier("mail.example.net", HandClock(), postmaster="nobody")


# What is told


def test_the_parameters_come_back_decoded() -> None:
    post = Post(
        ("a@example.org", "ORCPT=rfc822;b+2Bc@example.com"), parameters="SIZE=5 ENVID=QQ+2B314 BODY=8BITMIME FOO=1"
    )
    message, recipient = post.report(failed()).status
    assert message["original-envelope-id"] == "QQ+314"
    assert recipient["original-recipient"] == "rfc822; b+c@example.com"
    assert message["received-from-mta"] == "dns; laptop.example.net (192.0.2.9)"


def test_parameters_that_cannot_be_read_cost_nobody_his_report() -> None:
    post = Post(("a@example.org", "NOTIFY=SOMETIMES ORCPT=;"), parameters="RET=MAYBE ENVID=")
    assert actions(post.told(failed())) == ["failed"]


@pytest.mark.parametrize(
    ("result", "status"),
    [
        (failed(), "5.1.1"),
        (failed(reply=Reply(550, "no")), "5.0.0"),
        (failed(reply=Reply(450, "no", "4.2.1")), "5.2.1"),
        (failed(reply=BUSY, expired=True), "5.4.7"),
        (failed(reply=None, expired=True), "5.4.7"),
        (failed(reply=None, stage="CONNECT"), "5.4.1"),
        (failed(reply=None, stage="CONTENT"), "5.4.2"),
        (late(), "4.3.0"),
        (late(reply=Reply(451, "no")), "4.0.0"),
        (late(reply=Reply(550, "no", "5.7.1")), "4.7.1"),
        (late(reply=None, stage="CONNECT"), "4.4.1"),
        (late(reply=None, stage=""), "4.0.0"),
    ],
)
def test_the_status(result: Result, status: str) -> None:
    assert Post().report(result).status[1]["status"] == status


def test_expired_keeps_the_last_answer() -> None:
    found = Post().report(failed(reply=BUSY, expired=True))
    assert found.status[1]["diagnostic-code"] == "smtp; 451 4.3.0 Come back"
    assert "the time is over" in found.text


def test_who_is_given_up_without_an_attempt_has_the_answer_of_the_one_before() -> None:
    post = Post(last=BUSY)
    found = post.report(failed(reply=BUSY, expired=True, note="refused for now at RCPT", stage=""), route="", host="")
    assert found.status[1]["diagnostic-code"] == "smtp; 451 4.3.0 Come back"
    assert "last-attempt-date" not in found.status[1]
    assert "remote-mta" not in found.status[1]
    assert "The other server had answered as follows." in found.text.replace("\n  ", " ")
    assert "refused for now at RCPT" not in found.text


def test_the_operator_gave_it_up() -> None:
    found = Post(last=BUSY).report(failed(reply=BUSY, note="no longer wanted", stage=""), route="", host="")
    text = " ".join(found.text.split())
    assert "The administrator of this mail system gave the message up. An earlier attempt had met this:" in text
    assert "> no longer wanted" in text
    bare = " ".join(Post().report(failed(reply=None, note="spam", stage=""), route="", host="").text.split())
    assert "gave the message up." in bare
    assert "earlier attempt" not in bare
    assert "could not be reached" not in bare


def test_a_late_message_that_sleeps_is_told_of_with_its_last_answer() -> None:
    text = " ".join(Post(last=BUSY).report(late(stage=""), route="", host="").text.split())
    assert "It has been tried for 5 hours so far. The latest reason is this:" in text
    assert "administrator of this mail system gave" not in text


def test_what_we_found_out_ourselves_is_not_put_into_the_mouth_of_others() -> None:
    found = Post().report(failed(reply=undeliverable.HEADER_NEEDS_UTF8, stage="MAIL"))
    assert "this mail system found it out by itself" in " ".join(found.text.split())
    routing = Post().report(failed(reply=undeliverable.NULL_MX, stage=""), host="").status[1]
    assert "remote-mta" not in routing
    assert routing["diagnostic-code"].startswith("smtp; 556 5.1.10")


def test_a_maildir_that_cannot_be_written_keeps_its_path_to_itself() -> None:
    result = late(reply=None, note="not stored in /home/hanako/mail: No space left", stage="")
    found = Post().report(result, route="maildir:/home/{user}/mail", host="")
    assert b"/home" not in found.octets
    assert found.status[1]["status"] == "4.3.0"
    assert "could not be written into the mailbox" in " ".join(found.text.split())


@pytest.mark.parametrize(
    ("mail", "request_"),
    [
        ("HOLDFOR=7200", "for;7200"),
        ("HOLDUNTIL=2099-01-01T09:00:00Z", "until;2099-01-01T09:00:00Z"),
        ("SIZE=9", None),
        ("HOLDFOR=soon", None),
    ],
)
def test_a_request_to_hold_the_message_is_repeated(mail: str, request_: str | None) -> None:
    """RFC 4865 section 5.1.2."""
    fields = Post(parameters=mail).report(failed()).status[0]
    assert fields.get("future-release-request") == request_ and "arrival-date" in fields


def test_the_time_that_the_sender_had_it_held_is_not_time_for_which_it_was_tried() -> None:
    """The message came five hours ago and might leave two hours ago."""
    expired = failed(reply=BUSY, expired=True)
    assert "tried for 2 hours without" in Post(parameters="HOLDFOR=10800").report(expired).text
    assert "tried for 5 hours without" in Post().report(expired).text


def test_a_delay_tells_how_long_we_try() -> None:
    found = Post(retry_until=lambda message, recipient: START + 86_400).report(late())
    assert found.status[1]["will-retry-until"] == "Tue, 13 Jan 1970 13:46:40 +0000"
    assert "will-retry-until" not in Post().report(late()).status[1]
    assert "will-retry-until" not in Post(retry_until=lambda *_: START).report(failed()).status[1]


@pytest.mark.parametrize(
    ("mail", "rcpt", "text", "steps", "named"),
    [
        ("SMTPUTF8", "", "no", (), "SMTPUTF8"),
        ("SIZE=9 REQUIRETLS", "NOTIFY=DELAY", "no", (Step("omit", "MAIL", BUSY, ("SIZE", "NOTIFY")),), "REQUIRETLS"),
        ("SIZE=9 BODY=8BITMIME", "", "BODY=8BITMIME is not possible just now", (), "BODY"),
        ("SIZE=9", "", "no", (Step("omit", "MAIL", BUSY, ("SIZE",)),), "SIZE"),
    ],
)
def test_a_lasting_455_names_the_parameter_and_the_postmaster(
    mail: str, rcpt: str, text: str, steps: tuple[Step, ...], named: str
) -> None:
    post = Post(("hanako@example.org", rcpt), parameters=mail)
    found = post.report(late(reply=Reply(455, text, "4.5.4"), stage="MAIL"), steps=steps)
    assert f"the request {named} at present" in " ".join(found.text.split())
    assert "postmaster@example.org" in found.text


@pytest.mark.parametrize("reply", [Reply(455, "too many recipients", "4.5.3"), BUSY])
def test_other_delays_name_no_parameter(reply: Reply) -> None:
    found = Post(parameters="SIZE=9").report(late(reply=reply, stage="MAIL"))
    assert "postmaster@example.org" not in found.text
    assert "SIZE" not in found.text


def test_a_455_to_rcpt_names_a_parameter_of_rcpt() -> None:
    post = Post(("hanako@example.org", "NOTIFY=DELAY"), parameters="SIZE=9")
    found = post.report(late(reply=Reply(455, "no", "4.5.4"), stage="RCPT"))
    assert "the request NOTIFY at present" in " ".join(found.text.split())


def test_what_the_ladder_left_out_is_told() -> None:
    post = Post(
        ("a@example.org", "NOTIFY=SUCCESS ORCPT=rfc822;a@example.org"),
        ("b@example.org", "NOTIFY=SUCCESS"),
        parameters="ENVID=1 SIZE=9",
        languages="en",
    )
    steps = (
        Step("omit", "MAIL", Reply(555, "unknown parameter", "5.5.4"), ("SIZE", "ENVID", "RET")),
        Step("omit", "RCPT", Reply(455, "not now", "4.5.4"), ("NOTIFY", "ORCPT"), recipients=(0,)),
    )
    told = post.told(delivered(0, relayed=True), delivered(1, relayed=True), steps=steps)
    found = read(told[0][1])
    assert [one["x-postroad-omitted-parameters"] for one in found.status[1:]] == ["ENVID, NOTIFY, ORCPT", "ENVID"]
    assert found.text.count("455 4.5.4 not now") == 1
    assert found.text.count("555 5.5.4 unknown parameter") == 1
    assert "SIZE" not in found.text


@pytest.mark.parametrize(("notify", "silenced"), [("SUCCESS", True), ("SUCCESS,FAILURE", False)])
def test_a_wish_for_silence_that_is_lost_is_told(notify: str, silenced: bool) -> None:
    found = Post(("a@example.org", f"NOTIFY={notify}")).report(delivered(relayed=True))
    assert ("You had asked for no report of a failure" in found.text) is silenced


# BY (RFC 2852)


@pytest.mark.parametrize(
    ("by", "notify", "relayed", "due"),
    [
        ("99999;N", "", True, True),  # 4.1.4.2
        ("99999;N", "NOTIFY=FAILURE", True, True),
        ("99999;N", "NOTIFY=NEVER", True, False),
        ("99999;N", "", False, False),
        ("60;N", "", True, False),  # the time was over before: the sender has been told of the delay
        ("99999;NT", "", False, True),  # 4.1.4
        ("99999;NT", "NOTIFY=NEVER", False, False),
    ],
)
def test_a_time_limit_has_reports_of_its_own(by: str, notify: str, relayed: bool, due: bool) -> None:
    post = Post(("a@example.org", notify), parameters=f"BY={by}")
    told = post.told(delivered(relayed=relayed))
    assert actions(told) == ["relayed"] * due
    for _, octets in told:
        found = read(octets)
        assert "deliver-by-date" in found.status[0]
        assert "since a time limit came with your message" in " ".join(found.text.split())
        assert (found.status[1].get("x-postroad-omitted-parameters") == "BY") is relayed


def test_a_message_that_is_late_by_its_own_limit() -> None:
    """RFC 2852 section 4.1.3."""
    assert Post(parameters="BY=60;N").report(late()).status[1]["status"] == "4.4.7"
    assert Post(parameters="BY=99999;N").report(late()).status[1]["status"] == "4.3.0"
    assert Post(parameters="BY=60;R").report(failed(reply=BUSY, expired=True)).status[1]["status"] == "5.4.7"


# Whatever strangers give

PARAMETERS = st.lists(
    st.sampled_from(["RET=FULL", "RET=HDRS", "ENVID=a+0D+0Ab", "ENVID=ok", "BY=1;NT", "SMTPUTF8", "=", "ENVID=" + "x" * 500,
                     "NOTIFY=SUCCESS,DELAY", "NOTIFY=FAILURE", "ORCPT=utf-8;\\x{0A}", "ORCPT=rfc822;a+0Ab", "ORCPT=x;" + "+41" * 160,
                     "ORCPT=utf-8;" + "例" * 400]),
    max_size=4,
).map(" ".join)  # fmt: skip
RESULTS = st.sampled_from(
    [failed(), late(), delivered(relayed=True), failed(reply=None, note="\r\n\r\nX: y\u202e", expired=True)]
)


@settings(max_examples=80)
@given(
    PARAMETERS, PARAMETERS, RESULTS, st.binary(max_size=300), st.sampled_from(["a@example.net", "", "é@example.net"])
)
def test_every_report_keeps_its_form(mail: str, rcpt: str, result: Result, content: bytes, sender: str) -> None:
    post = Post(("hanako@example.org", rcpt), parameters=mail, content=content, sender=sender)
    for draft, octets in post.told(result):
        assert draft.reverse_path == ""
        (new,) = draft.recipients
        assert new.destination == parse_mailbox(new.forward_path).destination
        assert len(octets) < 20_000
        if draft.parameters:
            assert not octets.isascii()
        else:
            assert read(octets).status[1]["final-recipient"] == "rfc822; hanako@example.org"


CAUSES = {name: reply for name, reply in vars(undeliverable).items() if isinstance(reply, Reply)}


def test_everything_that_we_can_find_out_has_its_words() -> None:
    words = catalogue().report_words("en")
    assert set(words["own"]) == set(words["own_do"]) == {name.lower() for name in CAUSES}


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize("name", CAUSES)
def test_what_we_found_out_ourselves_is_said_in_words_of_its_own(name: str, language: str) -> None:
    words = catalogue().report_words(language)
    reply = CAUSES[name]
    for result in (
        failed(reply=reply, expired=reply.is_transient),
        *([late(reply=reply)] if reply.is_transient else []),
    ):
        text = "".join(Post(languages=language).report(result).text.split())
        assert "".join(words["own"][name.lower()].split()) in text
        told = "".join(words["own_do"][name.lower()].split()) in text
        assert told is (result.outcome is Outcome.FAILED)
