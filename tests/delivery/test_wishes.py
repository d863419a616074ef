"""What the spool keeps as text, read back as a request to the next hop."""

from __future__ import annotations

import pytest

from postroad.delivery.wishes import wanted_from
from postroad.envelope import MessageId, Origin, Recipient, RecipientState, StoredMessage
from postroad.smtp.negotiation import ContentNeeds, Verdict

NEEDS = ContentNeeds(eight_bit=True)


def stored(sender: str, parameters: str, *recipients: tuple[str, str], at: float = 1000.0) -> StoredMessage:
    people = tuple(
        Recipient(number + 3, path, "example.com", text, RecipientState.QUEUED, 0, 0.0, None, "")
        for number, (path, text) in enumerate(recipients)
    )
    return StoredMessage(MessageId("0-1"), 1, sender, parameters, at, 77, Origin(), people)


def test_paths_parameters_size_and_needs() -> None:
    message = stored(
        "kana@example.net",
        "BODY=8BITMIME RET=HDRS ENVID=q+2B1",
        ("bob@example.com", "NOTIFY=NEVER"),
        ("eve@example.com", ""),
    )
    wanted, failed = wanted_from(message, NEEDS)
    assert failed == []
    assert str(wanted.reverse_path) == "kana@example.net"
    assert str(wanted.parameters) == "BODY=8BITMIME RET=HDRS ENVID=q+2B1"
    assert {number: (str(path), str(given)) for number, (path, given) in wanted.recipients.items()} == {
        3: ("bob@example.com", "NOTIFY=NEVER"),
        4: ("eve@example.com", ""),
    }
    assert wanted.size == 77 and wanted.needs is NEEDS


def test_the_null_reverse_path() -> None:
    wanted, failed = wanted_from(stored("", "", ("bob@example.com", "")), NEEDS)
    assert wanted.reverse_path is None and failed == [] and len(wanted.recipients) == 1


def test_what_was_honoured_here_or_is_nobodys_business_stays_behind() -> None:
    parameters = "SIZE=5 HOLDFOR=60 AUTH=<> RET=FULL HOLDUNTIL=2030-01-01T00:00:00Z REQUIRETLS SMTPUTF8 MT-PRIORITY=-3"
    wanted, _ = wanted_from(stored("kana@example.net", parameters, ("bob@example.com", "")), NEEDS)
    assert str(wanted.parameters) == "RET=FULL REQUIRETLS SMTPUTF8 MT-PRIORITY=-3"


@pytest.mark.parametrize(
    ("given", "now", "remains"),
    [
        ("BY=100;R", None, "BY=100;R"),
        ("BY=100;R", 1000.9, "BY=100;R"),
        ("BY=100;RT", 1099.0, "BY=1;RT"),
        ("BY=100;N", 1150.0, "BY=-50;N"),
        ("BY=100;N", 900.0, "BY=100;N"),
        ("BY=-999999990;N", 1050.0, "BY=-999999999;N"),
    ],
)
def test_the_time_of_by_runs(given: str, now: float | None, remains: str) -> None:
    wanted, failed = wanted_from(stored("kana@example.net", given, ("bob@example.com", "")), NEEDS, now)
    assert failed == [] and str(wanted.parameters) == remains


def test_a_time_that_is_over_fails() -> None:
    wanted, failed = wanted_from(stored("kana@example.net", "BY=100;R", ("bob@example.com", "")), NEEDS, 1100.0)
    assert not wanted.recipients
    assert [(one.number, one.verdict, str(one.reply)[:9]) for one in failed] == [(3, Verdict.FAILED, "554 5.4.7")]


def test_a_recipient_that_cannot_be_read_fails_alone() -> None:
    message = stored(
        "kana@example.net", "", ("bob@example.com", ""), ("no path\r\n", ""), ("eve@example.com", "NOTIFY=OFTEN")
    )
    wanted, failed = wanted_from(message, NEEDS)
    assert list(wanted.recipients) == [3]
    assert [(one.number, one.verdict, str(one.reply)[:9], one.note) for one in failed] == [
        (4, Verdict.FAILED, "553 5.1.3", r"stored was 'no path\r\n'"),
        (5, Verdict.FAILED, "501 5.5.4", "stored was 'NOTIFY=OFTEN'"),
    ]


@pytest.mark.parametrize(
    ("sender", "parameters", "reply"),
    [
        ("nobody", "", "553 5.1.7"),
        ("a@b>x", "", "553 5.1.7"),
        ("kana@example.net", "XFOO=1", "501 5.5.4"),
        ("kana@example.net", "RET=SOME", "501 5.5.4"),
    ],
)
def test_a_message_that_cannot_be_read_fails_for_everybody(sender: str, parameters: str, reply: str) -> None:
    wanted, failed = wanted_from(stored(sender, parameters, ("a@example.com", ""), ("b@example.com", "")), NEEDS)
    assert not wanted.recipients
    assert [(one.number, one.verdict, str(one.reply)[:9], one.stage) for one in failed] == [
        (3, Verdict.FAILED, reply, ""),
        (4, Verdict.FAILED, reply, ""),
    ]


def test_orcpt_beyond_ascii_goes_in_the_form_that_every_host_reads() -> None:
    """RFC 6533 section 3."""
    message = stored("kana@example.net", "SMTPUTF8", ("bob@example.com", "ORCPT=utf-8;花@例え.jp NOTIFY=NEVER"))
    wanted, _ = wanted_from(message, NEEDS)
    assert str(wanted.recipients[3][1]) == r"ORCPT=utf-8;\x{82B1}@\x{4F8B}\x{3048}.jp NOTIFY=NEVER"
