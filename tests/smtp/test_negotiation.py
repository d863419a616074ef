"""Negotiations about several parameters, several recipients, full transactions, limits and memory."""

from __future__ import annotations

import pytest

from postroad.address import Mailbox
from postroad.envelope import Step
from postroad.replies import Reply
from postroad.smtp.mail_transaction import Answer, Stage
from postroad.smtp.negotiation import ContentNeeds, Form, Negotiation, Settled, Verdict, Wanted
from postroad.smtp.peer_limits import PeerLimits
from postroad.smtp.states import Verb
from tests.smtp.negotiation_host import ALL, BINARY, EIGHT_BIT, SIGNED, Host, Judge, given, refuses, talk, wanted

NOT_NOW = Reply(455, "not now")
NEVER = Reply(555, "never heard of it")
TAKEN = Reply(250, "taken")


def verdicts(negotiation: Negotiation) -> list[Verdict]:
    return [negotiation.settled[number].verdict for number in sorted(negotiation.settled)]


def meet(message: Wanted, judge: Judge = lambda line: None, announced: dict[str, str] = ALL, **more: object):  # type: ignore[no-untyped-def]
    negotiation, host = Negotiation(message, announced, **more), Host(judge)  # type: ignore[arg-type]
    talk(negotiation, host)
    return negotiation, host


# --- the rungs together


def test_the_whole_ladder_of_a_mail_that_is_refused_for_ever() -> None:
    message = wanted("RET=HDRS ENVID=q BY=60;N MT-PRIORITY=2 AUTH=<> BODY=8BITMIME", size=9, needs=EIGHT_BIT)
    negotiation, host = meet(message, refuses(NOT_NOW, at="MAIL"), BINARY, chunking=True)
    everything = "MAIL RET=HDRS ENVID=q BY=60;N MT-PRIORITY=2 AUTH=<> SIZE=9 BODY=8BITMIME"
    assert host.saw == [
        everything,
        "(5 s later)",
        everything,
        "MAIL RET=HDRS ENVID=q BY=60;N BODY=8BITMIME",
        "MAIL BODY=8BITMIME",
        "MAIL",  # and 7-bit
        "MAIL",  # one command at a time
        "MAIL",  # DATA
    ]
    assert [(step.action, step.parameters) for step in negotiation.steps] == [
        ("again", ()),
        ("omit", ("MT-PRIORITY", "AUTH", "SIZE")),
        ("omit", ("RET", "ENVID", "BY")),
        ("seven-bit", ("BODY",)),
        ("no-pipelining", ()),
        ("data", ()),
    ]
    assert negotiation.settled[0].verdict is Verdict.RETRY
    assert negotiation.settled[0].note == (
        "MAIL with RET, ENVID, BY, MT-PRIORITY, AUTH, SIZE, BODY was refused, and without MT-PRIORITY, AUTH, SIZE, RET, "
        "ENVID, BY, BODY too; ask the host's postmaster"
    )
    assert negotiation.learnt == set()  # they are not to blame


def test_data_in_place_of_bdat_is_the_last_rung() -> None:
    plans = []
    negotiation = Negotiation(wanted("", {"bob": "NOTIFY=NEVER"}), BINARY, chunking=True)
    host = Host(refuses(NOT_NOW, at="RCPT"))
    while (plan := negotiation.next_plan()) is not None:
        plans.append((plan.bdat, plan.pipelining, len(plan.recipients[0][1])))
        negotiation.hear(plan, host.play(plan))
    assert plans == [(True, True, 1), (True, True, 1), (True, True, 0), (True, False, 0), (False, False, 0)]
    assert [step.action for step in negotiation.steps] == ["again", "omit", "no-pipelining", "data"]


@pytest.mark.parametrize("needs", [ContentNeeds(binary=True), ContentNeeds()])
def test_binary_content_never_goes_by_data(needs: ContentNeeds) -> None:
    message = wanted("BODY=BINARYMIME", {"bob": "NOTIFY=NEVER"}, needs=needs)
    negotiation = Negotiation(message, BINARY)
    host = Host(refuses(NOT_NOW, at="RCPT"))
    for plan in talk(negotiation, host):
        assert plan.bdat and plan.form is Form.AS_IS and str(plan.parameters) == "BODY=BINARYMIME"
    assert [step.action for step in negotiation.steps] == ["again", "omit", "no-pipelining"]


@pytest.mark.parametrize(
    ("body", "needs", "saw", "action"),
    [
        (
            "BODY=BINARYMIME",
            ContentNeeds(binary=True),
            ["MAIL BODY=BINARYMIME", "BDAT", "MAIL", "DATA", ". 7-bit"],
            "seven-bit",
        ),
        ("BODY=BINARYMIME", EIGHT_BIT, ["MAIL BODY=BINARYMIME", "BDAT", "MAIL", "DATA", ". 7-bit"], "seven-bit"),
        ("BODY=BINARYMIME", ContentNeeds(), ["MAIL BODY=BINARYMIME", "BDAT", "MAIL", "DATA", "."], "data"),
        ("", ContentNeeds(), ["MAIL", "BDAT", "MAIL", "DATA", "."], "data"),
    ],
)
def test_a_host_that_announced_chunking_and_knows_no_bdat(
    body: str, needs: ContentNeeds, saw: list[str], action: str
) -> None:
    """A proxy announces, and what stands behind it takes the content."""
    no = Reply(502, "what is that", "5.5.1")
    judge: Judge = lambda line: no if line == "BDAT" else None  # noqa: E731
    negotiation, host = meet(wanted(body, needs=needs), judge, BINARY, chunking=True)
    assert [line for line in host.saw if not line.startswith("RCPT")] == saw
    assert verdicts(negotiation) == [Verdict.DELIVERED]
    assert [(step.action, step.command, step.reply) for step in negotiation.steps] == [(action, "BDAT", no)]


def test_binary_content_that_cannot_be_made_7_bit_fails_where_no_bdat_is_known() -> None:
    needs = ContentNeeds(binary=True, recodable=False)
    judge: Judge = lambda line: Reply(502, "what is that", "5.5.1") if line == "BDAT" else None  # noqa: E731
    negotiation, host = meet(wanted("BODY=BINARYMIME", needs=needs), judge, BINARY)
    assert (verdicts(negotiation), host.transactions) == ([Verdict.FAILED], 1)


def test_a_host_that_took_the_mail_on_the_second_rung_is_known_to_refuse_what_fell_there() -> None:
    negotiation, _ = meet(wanted("RET=HDRS ENVID=q", size=9), refuses(NEVER, "ENVID"))
    assert verdicts(negotiation) == [Verdict.DELIVERED]
    assert negotiation.settled[0].dropped == ("RET", "ENVID", "SIZE")
    assert negotiation.learnt == {"RET", "ENVID"}


def test_a_455_and_then_a_5yz_and_the_other_way_round() -> None:
    replies = iter([NOT_NOW, NEVER, NOT_NOW])
    negotiation, host = meet(wanted("RET=HDRS", size=9), lambda line: next(replies, None) if "MAIL" in line else None)
    assert [line for line in host.saw if "MAIL" in line or "later" in line] == [
        "MAIL RET=HDRS SIZE=9",
        "(5 s later)",
        "MAIL RET=HDRS SIZE=9",
        "MAIL RET=HDRS",
        "MAIL",
    ]
    assert verdicts(negotiation) == [Verdict.DELIVERED]
    replies = iter([NEVER, NOT_NOW, NOT_NOW])
    negotiation, host = meet(wanted("RET=HDRS", size=9), lambda line: next(replies, None) if "MAIL" in line else None)
    assert [line for line in host.saw if "MAIL" in line or "later" in line] == [
        "MAIL RET=HDRS SIZE=9",
        "MAIL RET=HDRS",
        "(5 s later)",
        "MAIL RET=HDRS",
        "MAIL",
    ]


@pytest.mark.parametrize(("asked", "waited"), [(5.0, 5.0), (0.0, 0.0), (100.0, 30.0), (-1.0, 0.0)])
def test_nobody_waits_longer_than_half_a_minute(asked: float, waited: float) -> None:
    negotiation = Negotiation(wanted("RET=HDRS"), ALL, again_after=asked)
    plan = negotiation.next_plan()
    assert plan is not None and plan.wait == 0.0
    negotiation.hear(plan, [Answer(Stage.MAIL, NOT_NOW)])
    plan = negotiation.next_plan()
    assert plan is not None and plan.wait == waited
    assert negotiation.steps == [Step("again", "MAIL", NOT_NOW, waited=waited)]


# --- several recipients


def test_what_falls_for_one_stays_for_another() -> None:
    message = wanted("", {"bob": "NOTIFY=SUCCESS", "eve": "NOTIFY=SUCCESS", "joe": ""})
    negotiation, host = meet(message, lambda line: NEVER if line == "RCPT eve NOTIFY=SUCCESS" else None)
    assert host.saw == [
        "MAIL",
        "RCPT bob NOTIFY=SUCCESS",
        "RCPT eve NOTIFY=SUCCESS",
        "RCPT joe",
        "DATA",
        ".",
        "MAIL",
        "RCPT eve",
        "DATA",
        ".",
    ]
    assert [negotiation.settled[number].relayed for number in range(3)] == [False, True, False]
    assert negotiation.steps == [Step("omit", "RCPT", NEVER, ("NOTIFY",), (1,))]
    assert negotiation.learnt == set()  # it takes NOTIFY, only not for everybody


def test_a_455_for_one_waits_until_the_others_have_theirs() -> None:
    message = wanted("", {f"r{number}": "NOTIFY=NEVER" for number in range(4)})
    negotiation, host = meet(
        message,
        lambda line: NOT_NOW if line.startswith("RCPT r1 NOTIFY") else None,
        announced={**ALL, "LIMITS": "RCPTMAX=2"},
    )
    assert [line for line in host.saw if line.startswith(("RCPT", "("))] == [
        "RCPT r0 NOTIFY=NEVER",
        "RCPT r1 NOTIFY=NEVER",
        "RCPT r2 NOTIFY=NEVER",
        "RCPT r3 NOTIFY=NEVER",
        "(5 s later)",
        "RCPT r1 NOTIFY=NEVER",
        "RCPT r1",
    ]
    assert verdicts(negotiation) == [Verdict.DELIVERED] * 4


def test_those_who_wait_wait_together_and_once() -> None:
    message = wanted("", dict.fromkeys(("a", "b"), "NOTIFY=NEVER") | dict.fromkeys(("c", "d"), "ORCPT=rfc822;x"))
    _, host = meet(message, refuses(NOT_NOW, "NOTIFY", "ORCPT", times=4))
    assert [line for line in host.saw if line.startswith(("MAIL", "("))] == ["MAIL", "(5 s later)", "MAIL"]


def test_a_refusal_of_mail_is_everybodys() -> None:
    """Also of those who would have come in the next transaction."""
    message = wanted("RET=HDRS", [f"r{number}" for number in range(250)])
    negotiation, host = meet(message, refuses(NEVER, at="MAIL"))
    assert host.saw == ["MAIL RET=HDRS", "MAIL"]
    assert verdicts(negotiation) == [Verdict.FAILED] * 250
    assert negotiation.steps == [Step("omit", "MAIL", NEVER, ("RET",))]
    negotiation, host = meet(message, refuses(Reply(451, "busy", "4.3.2"), at="MAIL"))
    assert host.saw == ["MAIL RET=HDRS"]
    assert verdicts(negotiation) == [Verdict.NEXT_HOST] * 250


def test_a_refusal_of_rcpt_is_one_recipients() -> None:
    message = wanted("RET=HDRS", ["a", "b", "c", "d"])
    replies = {"RCPT b": Reply(550, "who?", "5.1.1"), "RCPT c": Reply(450, "grey", "4.7.1"), "RCPT d": Reply(555, "x")}
    negotiation, host = meet(message, replies.get)
    assert host.transactions == 1
    assert verdicts(negotiation) == [Verdict.DELIVERED, Verdict.FAILED, Verdict.RETRY, Verdict.FAILED]
    assert [negotiation.settled[number].stage for number in range(4)] == ["CONTENT", "RCPT", "RCPT", "RCPT"]


def test_one_recipient_a_transaction_when_455_lasts() -> None:
    """A host that takes DSN for one recipient a transaction only."""
    message = wanted("RET=HDRS", ["a", "b", "c"])

    class OneByOne(Host):
        def play(self, plan):  # type: ignore[no-untyped-def]
            self._judge = refuses(NOT_NOW, at="MAIL") if len(plan.numbers) > 1 else lambda line: None
            return super().play(plan)

    negotiation, host = Negotiation(message, ALL), OneByOne()
    talk(negotiation, host)
    assert verdicts(negotiation) == [Verdict.DELIVERED] * 3
    assert [step.action for step in negotiation.steps] == ["again", "omit", "one-recipient"]
    assert [line for line in host.saw if line.startswith("RCPT")] == ["RCPT a", "RCPT b", "RCPT c"]


def test_ascii_recipients_go_without_the_smtputf8_that_one_other_needs() -> None:
    people = {
        0: (Mailbox("bob", "example.com"), given("", Verb.RCPT)),
        1: (Mailbox("花", "例え.jp"), given("", Verb.RCPT)),
    }
    message = Wanted(Mailbox("kana", "example.net"), given("SMTPUTF8", Verb.MAIL), people)
    negotiation, host = meet(message, refuses(NEVER, "SMTPUTF8"))
    assert verdicts(negotiation) == [Verdict.DELIVERED, Verdict.FAILED]
    assert host.taken == [(0, "MAIL", "RCPT bob")]
    assert "SMTPUTF8" in negotiation.settled[1].note
    negotiation, host = meet(message, announced={})
    assert verdicts(negotiation) == [Verdict.DELIVERED, Verdict.FAILED]
    assert str(negotiation.settled[1].reply).startswith("553 5.6.7")
    negotiation, host = meet(message, refused=frozenset({"SMTPUTF8"}))
    assert host.taken == [(0, "MAIL", "RCPT bob"), (1, "MAIL SMTPUTF8", "RCPT 花")]
    assert negotiation.steps == [Step("omit", "MAIL", None, ("SMTPUTF8",), (0,))]


def test_smtputf8_is_added_where_an_address_needs_it() -> None:
    people = {0: (Mailbox("花", "例え.jp"), given("", Verb.RCPT))}
    _, host = meet(Wanted(None, recipients=people))
    assert host.saw[0] == "MAIL <> SMTPUTF8"


def test_a_domain_beyond_ascii_goes_as_a_labels_where_smtputf8_is_missing() -> None:
    """RFC 6531 section 3.2: in that form it is no internationalized address; a local part has no such form."""
    people = {
        0: (Mailbox("hana", "例え.jp"), given("", Verb.RCPT)),
        1: (Mailbox("花", "例え.jp"), given("", Verb.RCPT)),
    }
    negotiation = Negotiation(Wanted(Mailbox("kana", "例え.jp"), given("SMTPUTF8", Verb.MAIL), people), {})
    plan = negotiation.next_plan()
    assert plan is not None
    assert (str(plan.reverse_path), [str(path) for path, _ in plan.recipients]) == (
        "kana@xn--r8jz45g.jp",
        ["hana@xn--r8jz45g.jp"],
    )
    assert str(negotiation.settled[1].reply).startswith("553 5.6.7")
    plan = Negotiation(Wanted(None, given("", Verb.MAIL), people), {"SMTPUTF8": ""}).next_plan()
    assert plan is not None
    assert [str(path) for path, _ in plan.recipients] == ["hana@例え.jp", "花@例え.jp"]


# --- full transactions


@pytest.mark.parametrize(
    "reply", [Reply(452, "x"), Reply(452, "x", "4.5.3"), Reply(455, "x", "4.5.3"), Reply(552, "x")]
)
def test_the_rest_follows_at_once(reply: Reply) -> None:
    message = wanted("", [f"r{number}" for number in range(5)])

    class Room(Host):
        def play(self, plan):  # type: ignore[no-untyped-def]
            full = {f"RCPT {path.local_part}" for path, _ in plan.recipients[2:]}
            self._judge = lambda line: reply if line in full else None
            return super().play(plan)

    negotiation, host = Negotiation(message, ALL), Room()
    talk(negotiation, host)
    assert verdicts(negotiation) == [Verdict.DELIVERED] * 5
    assert [line for line in host.saw if "later" in line] == []
    assert [n for n, _, _ in host.taken] == [0, 1, 2, 3, 4]
    # what the host takes at once is learnt from the first transaction
    assert [line for line in host.saw if line.startswith("RCPT")] == [
        "RCPT r0", "RCPT r1", "RCPT r2", "RCPT r3", "RCPT r4", "RCPT r2", "RCPT r3", "RCPT r4",
    ]  # fmt: skip
    assert negotiation.steps == [Step("split", "RCPT", reply, recipients=(2, 3, 4))]


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (Reply(452, "x", "4.5.3"), Verdict.RETRY),
        (Reply(452, "x"), Verdict.RETRY),
        (Reply(455, "x", "4.5.3"), Verdict.RETRY),
        (Reply(552, "x"), Verdict.FAILED),
        (Reply(552, "x", "5.5.3"), Verdict.FAILED),
    ],
)
def test_when_nobody_is_taken_the_code_says_what_it_is(reply: Reply, verdict: Verdict) -> None:
    negotiation, host = meet(wanted("", ["a", "b"]), refuses(reply, at="RCPT"))
    assert verdicts(negotiation) == [verdict] * 2
    assert host.saw == ["MAIL", "RCPT a", "RCPT b"]


@pytest.mark.parametrize(("reply", "verdict"), [(Reply(452, "x"), Verdict.RETRY), (Reply(552, "x"), Verdict.FAILED)])
def test_a_full_mailbox_between_others_is_no_full_transaction(reply: Reply, verdict: Verdict) -> None:
    negotiation, host = meet(wanted("", ["a", "b", "c"]), {"RCPT b": reply}.get)
    assert verdicts(negotiation) == [Verdict.DELIVERED, verdict, Verdict.DELIVERED]
    assert host.transactions == 1


@pytest.mark.parametrize(("reply", "verdict"), [(Reply(452, "x"), Verdict.RETRY), (Reply(552, "x"), Verdict.FAILED)])
def test_a_full_mailbox_at_the_end_is_asked_once_more(reply: Reply, verdict: Verdict) -> None:
    negotiation, host = meet(wanted("", ["a", "b"]), {"RCPT b": reply}.get)
    assert verdicts(negotiation) == [Verdict.DELIVERED, verdict]
    assert host.transactions == 2


def test_a_site_that_takes_no_message_to_so_many_gets_fewer() -> None:
    """RFC 5321 section 4.5.3.1.10: 452 to the recipients too many, then 503 to DATA."""
    message = wanted("", ["a", "b", "c", "d"])

    class Policy(Host):
        def play(self, plan):  # type: ignore[no-untyped-def]
            many = {f"RCPT {path.local_part}" for path, _ in plan.recipients[2:]}
            self._judge = lambda line: (
                Reply(452, "x") if line in many else Reply(503, "no") if many and line == "DATA" else None
            )
            return super().play(plan)

    negotiation, host = Negotiation(message, ALL), Policy()
    talk(negotiation, host)
    assert verdicts(negotiation) == [Verdict.DELIVERED] * 4
    assert host.transactions == 3
    assert negotiation.steps == [Step("split", "RCPT", Reply(452, "x"), recipients=(2, 3, 0, 1))]


def test_no_split_when_the_content_was_refused() -> None:
    replies = {"RCPT b": Reply(452, "x"), ".": Reply(554, "spam", "5.7.1")}
    negotiation, host = meet(wanted("", ["a", "b"]), replies.get)
    assert verdicts(negotiation) == [Verdict.FAILED, Verdict.RETRY]
    assert host.transactions == 1


@pytest.mark.parametrize("full", [Reply(552, "too many recipients"), Reply(550, "x", "5.5.3")])
@pytest.mark.parametrize("last", [Reply(451, "later"), Reply(554, "spam", "5.7.1"), Reply(421, "bye"), None])
def test_who_was_one_too_many_does_not_fail_with_the_others(full: Reply, last: Reply | None) -> None:
    """RFC 5321 section 4.5.3.1.10: a 552 in this case is temporary, whatever becomes of those who had room."""
    negotiation = Negotiation(wanted("", ["a", "b", "c"]), ALL)
    plan = negotiation.next_plan()
    assert plan is not None
    rest = Answer(Stage.CONTENT, last) if last is not None else Answer(Stage.CONNECTION, None, "lost")
    negotiation.hear(plan, [rest, Answer(Stage.RCPT, full), Answer(Stage.RCPT, full)])
    assert verdicts(negotiation)[1:] == [Verdict.RETRY] * 2
    assert negotiation.settled[2].reply == full


def test_no_split_without_adapting() -> None:
    negotiation, host = meet(wanted("", ["a", "b"]), {"RCPT b": Reply(452, "x")}.get, adapt=False)
    assert verdicts(negotiation) == [Verdict.DELIVERED, Verdict.RETRY]
    assert host.transactions == 1 and negotiation.steps == []


def test_one_taken_at_a_time_comes_to_an_end() -> None:
    message = wanted("", [f"r{number}" for number in range(90)])
    negotiation, host = Negotiation(message, ALL), Host(room=1)
    talk(negotiation, host)
    assert verdicts(negotiation) == [Verdict.DELIVERED] * 90
    assert len(host.saw) < 90 * 6


def test_who_is_one_too_many_for_ever_waits_for_another_time() -> None:
    message = wanted("", [f"r{number}" for number in range(20)])
    full = Reply(452, "x", "4.5.3")
    negotiation, host = meet(message, {"RCPT r0": full}.get, announced={**ALL, "LIMITS": "RCPTMAX=2"})
    assert verdicts(negotiation) == [Verdict.RETRY] + [Verdict.DELIVERED] * 19
    assert host.saw.count("RCPT r0") == 6


def test_a_host_that_never_agrees_is_left_soon() -> None:
    message = wanted("", {f"r{number}": "NOTIFY=NEVER" for number in range(100)})
    negotiation, host = meet(message, refuses(NOT_NOW, at="RCPT"))
    assert verdicts(negotiation) == [Verdict.RETRY] * 20 + [Verdict.RETRY_CHANGED] * 80
    assert host.transactions == 44
    assert negotiation.settled[99].note == (
        "RCPT with NOTIFY was refused, to be asked again without NOTIFY; the host refuses whatever is asked of it"
    )


# --- limits (RFC 9422)


@pytest.mark.parametrize(
    ("limits", "sizes"),
    [
        ("", [100, 100, 50]),
        ("RCPTMAX=60", [60, 60, 60, 60, 10]),
        ("RCPTMAX=200", [200, 50]),
        ("RCPTMAX=1", [1] * 250),
        ("RCPTMAX=0 MAILMAX=x", [100, 100, 50]),
        ("RCPTDOMAINMAX=1", [50] * 5),
        ("RCPTDOMAINMAX=2", [100, 100, 50]),
        ("RCPTMAX=30 RCPTDOMAINMAX=1", [30, 20] * 5),
    ],
)
def test_limits_are_obeyed(limits: str, sizes: list[int]) -> None:
    message = wanted("", [f"r{number}@d{number % 5}.example" for number in range(250)])
    negotiation, host = Negotiation(message, {**ALL, "LIMITS": limits}), Host()
    plans = talk(negotiation, host)
    assert sorted(len(plan.numbers) for plan in plans) == sorted(sizes)
    assert verdicts(negotiation) == [Verdict.DELIVERED] * 250


def test_mailmax_leaves_the_rest_to_another_session() -> None:
    message = wanted("", ["a", "b", "c"])
    negotiation, host = meet(message, limits=PeerLimits(mailmax=2, rcptmax=1))
    assert verdicts(negotiation) == [Verdict.DELIVERED, Verdict.DELIVERED, Verdict.NEXT_HOST]
    assert host.transactions == 2


# --- what was announced


@pytest.mark.parametrize(
    ("mail", "rcpt", "needs", "announced", "saw"),
    [
        ("RET=HDRS", "NOTIFY=SUCCESS", ContentNeeds(), "", "MAIL / RCPT bob / DATA / ."),
        ("RET=HDRS", "NOTIFY=SUCCESS", ContentNeeds(), "DSN", "MAIL RET=HDRS / RCPT bob NOTIFY=SUCCESS / DATA / ."),
        ("BODY=8BITMIME", "", ContentNeeds(), "", "MAIL / RCPT bob / DATA / ."),
        ("BODY=8BITMIME", "", EIGHT_BIT, "", "MAIL / RCPT bob / DATA / . 7-bit"),
        ("", "", EIGHT_BIT, "", "MAIL / RCPT bob / DATA / . 7-bit"),
        ("", "", EIGHT_BIT, "8BITMIME", "MAIL BODY=8BITMIME / RCPT bob / DATA / ."),
        ("BODY=7BIT", "", ContentNeeds(), "8BITMIME", "MAIL BODY=7BIT / RCPT bob / DATA / ."),
        ("BODY=BINARYMIME", "", ContentNeeds(), "", "MAIL / RCPT bob / DATA / ."),
        ("BODY=BINARYMIME", "", EIGHT_BIT, "8BITMIME", "MAIL BODY=8BITMIME / RCPT bob / DATA / ."),
        ("BODY=BINARYMIME", "", ContentNeeds(binary=True), "8BITMIME", "MAIL / RCPT bob / DATA / . 7-bit"),
        ("BODY=BINARYMIME", "", ContentNeeds(binary=True), "BINARYMIME", "MAIL / RCPT bob / DATA / . 7-bit"),
        (
            "BODY=BINARYMIME", "", ContentNeeds(binary=True), "BINARYMIME CHUNKING",
            "MAIL BODY=BINARYMIME / RCPT bob / BDAT / .",
        ),
        ("BY=60;N", "", ContentNeeds(), "", "MAIL / RCPT bob / DATA / ."),
        ("BY=60;N", "", ContentNeeds(), "DSN", "MAIL / RCPT bob NOTIFY=FAILURE,DELAY / DATA / ."),
        ("BY=60;N", "NOTIFY=SUCCESS", ContentNeeds(), "DSN", "MAIL / RCPT bob NOTIFY=SUCCESS,DELAY / DATA / ."),
        ("BY=60;N", "NOTIFY=NEVER", ContentNeeds(), "DSN", "MAIL / RCPT bob NOTIFY=NEVER / DATA / ."),
        ("SMTPUTF8", "", ContentNeeds(), "", "MAIL / RCPT bob / DATA / ."),
        ("SIZE=77", "", ContentNeeds(), "SIZE", "MAIL SIZE=77 / RCPT bob / DATA / ."),
        ("SIZE=77", "", ContentNeeds(), "", "MAIL / RCPT bob / DATA / ."),
    ],
)  # fmt: skip
def test_what_is_not_announced_is_not_said(mail: str, rcpt: str, needs: ContentNeeds, announced: str, saw: str) -> None:
    message = wanted(mail, {"bob": rcpt}, needs=needs)
    negotiation, host = meet(message, announced=dict.fromkeys(announced.split(), ""))
    assert " / ".join(host.saw) == saw
    assert verdicts(negotiation) == [Verdict.DELIVERED]
    recoded = [Step("seven-bit", "MAIL", None)] if "7-bit" in saw else []
    assert negotiation.steps == recoded


@pytest.mark.parametrize(
    ("mail", "needs", "announced", "reply"),
    [
        ("BODY=8BITMIME", SIGNED, {}, "554 5.6.3"),
        ("", SIGNED, {}, "554 5.6.3"),
        ("BODY=BINARYMIME", ContentNeeds(binary=True, recodable=False), {"8BITMIME": ""}, "554 5.6.3"),
        ("SMTPUTF8", ContentNeeds(eight_bit=True, utf8_header=True), {"8BITMIME": ""}, "554 5.6.9"),
        ("REQUIRETLS", ContentNeeds(), {}, "550 5.7.30"),
        ("BY=60;R", ContentNeeds(), {}, "554 5.4.7"),
        ("BY=60;R", ContentNeeds(), {"DELIVERBY": "61"}, "554 5.4.7"),
        ("HOLDFOR=60", ContentNeeds(), {}, "555 5.5.4"),
    ],
)
def test_what_must_not_be_lost_fails_where_it_is_not_announced(
    mail: str, needs: ContentNeeds, announced: dict[str, str], reply: str
) -> None:
    negotiation, host = meet(wanted(mail, ["a", "b"], needs=needs), announced=announced)
    assert host.saw == []
    for number in (0, 1):
        settled = negotiation.settled[number]
        assert settled.verdict is Verdict.FAILED and settled.stage == ""
        assert str(settled.reply).startswith(reply)


@pytest.mark.parametrize(
    ("said", "size", "goes"), [("10", 11, False), ("10", 10, True), ("0", 11, True), ("", 11, True), ("1e1", 11, True)]
)
def test_a_host_that_says_how_much_it_takes_is_not_asked_for_more(said: str, size: int, goes: bool) -> None:
    negotiation, host = meet(wanted(size=size), announced={"SIZE": said})
    assert host.saw == ([f"MAIL SIZE={size}", "RCPT bob", "DATA", "."] if goes else [])
    if not goes:
        assert str(negotiation.settled[0].reply).startswith("552 5.3.4")
        assert negotiation.settled[0].note == "11 octets, 10 at most"


@pytest.mark.parametrize(("time", "notify"), [("60", " NOTIFY=FAILURE,DELAY"), ("0", ""), ("-5", "")])
def test_reports_of_delay_stand_in_for_a_time_that_is_not_over(time: str, notify: str) -> None:
    _, host = meet(wanted(f"BY={time};N"), announced={"DSN": ""})
    assert host.saw[:2] == ["MAIL", f"RCPT bob{notify}"]


@pytest.mark.parametrize("least", ["120", "120,X-OPTION", "120,A,B"])
def test_a_time_limit_that_the_host_does_not_promise(least: str) -> None:
    negotiation, host = meet(wanted("BY=60;R"), announced={"DELIVERBY": least})
    assert (verdicts(negotiation), host.saw) == ([Verdict.FAILED], [])


def test_a_time_limit_that_the_host_keeps() -> None:
    _, host = meet(wanted("BY=60;R"), announced={"DELIVERBY": "60"})
    assert host.saw[0] == "MAIL BY=60;R"


@pytest.mark.parametrize(
    ("rcpt", "mail", "lmtp", "relayed"),
    [
        ("NOTIFY=SUCCESS", "", False, True),
        ("NOTIFY=SUCCESS,DELAY", "", False, True),
        ("NOTIFY=FAILURE", "", False, False),
        ("NOTIFY=NEVER", "", False, False),
        ("", "", False, False),
        ("", "BY=60;N", False, True),
        ("NOTIFY=FAILURE", "BY=60;N", False, True),
        ("NOTIFY=NEVER", "BY=60;N", False, False),
        ("", "BY=0;N", False, False),  # late already: that was reported when it came to pass
        ("NOTIFY=SUCCESS", "BY=-60;N", False, True),
        ("NOTIFY=SUCCESS", "", True, True),
        ("", "BY=60;N", True, False),
    ],
)
def test_whose_report_falls_to_us_at_a_host_without_dsn(rcpt: str, mail: str, lmtp: bool, relayed: bool) -> None:
    message = wanted(mail, {"bob": rcpt})
    for refused, announced in ((frozenset[str](), {}), (frozenset({"NOTIFY", "BY"}), ALL)):
        negotiation, _ = meet(message, announced=announced, refused=refused, lmtp=lmtp)
        assert negotiation.settled[0].relayed is relayed
    negotiation, _ = meet(message, refuses(Reply(550, "no", "5.1.1"), at="RCPT"), announced={}, lmtp=lmtp)
    assert negotiation.settled[0].relayed is False


def test_mail_for_those_who_want_no_report_may_go_with_the_null_reverse_path() -> None:
    """RFC 3461 section 5.2.2 (d)."""
    message = wanted("", {"a": "NOTIFY=NEVER", "b": "NOTIFY=SUCCESS", "c": "NOTIFY=NEVER"})
    _, host = meet(message, announced={}, never_as_null=True)
    assert host.saw == ["MAIL <>", "RCPT a", "RCPT c", "DATA", ".", "MAIL", "RCPT b", "DATA", "."]
    _, host = meet(message, refuses(NEVER, "NOTIFY"), never_as_null=True)
    assert host.taken == [(0, "MAIL <>", "RCPT a"), (2, "MAIL <>", "RCPT c"), (1, "MAIL", "RCPT b")]
    _, host = meet(message, announced={})
    assert host.saw == ["MAIL", "RCPT a", "RCPT b", "RCPT c", "DATA", "."]


def test_a_parameter_that_cannot_be_written_fails_its_recipient_only() -> None:
    message = wanted("", {"a": "", "b": "ORCPT=utf-8;花@example"})
    negotiation, host = meet(message)
    assert host.taken == [(0, "MAIL", "RCPT a")]
    assert negotiation.settled[1].verdict is Verdict.FAILED
    assert "no parameter" in negotiation.settled[1].note


# --- when the conversation ends early


def test_answers_of_a_connection_that_ended() -> None:
    negotiation = Negotiation(wanted("", ["a", "b", "c", "d"]), ALL)
    plan = negotiation.next_plan()
    assert plan is not None
    negotiation.hear(
        plan,
        [
            Answer(Stage.CONTENT, TAKEN),
            Answer(Stage.CONTENT, None, "lost", uncertain=True),
            Answer(Stage.CONNECTION, None, "lost"),
            Answer(Stage.CONNECTION, Reply(421, "bye"), "421"),
        ],
    )
    assert verdicts(negotiation) == [Verdict.DELIVERED, Verdict.RETRY, Verdict.NEXT_HOST, Verdict.NEXT_HOST]
    assert [negotiation.settled[number].uncertain for number in range(4)] == [False, True, False, False]
    assert negotiation.settled[3].reply == Reply(421, "bye")
    assert negotiation.next_plan() is None


def test_giving_up_tells_who_was_on_the_ladder() -> None:
    negotiation = Negotiation(wanted("", {"a": "NOTIFY=NEVER", "b": ""}), {**ALL, "LIMITS": "RCPTMAX=1"})
    plan = negotiation.next_plan()
    assert plan is not None
    negotiation.hear(plan, [Answer(Stage.RCPT, NEVER)])
    negotiation.give_up("shutting down")
    assert negotiation.settled == {
        0: Settled(
            0, Verdict.RETRY_CHANGED, NEVER, "RCPT", "RCPT with NOTIFY was refused, to be asked again without NOTIFY; shutting down",
            dropped=("NOTIFY",),
        ),
        1: Settled(1, Verdict.RETRY, None, "CONNECTION", "shutting down"),
    }  # fmt: skip
    assert negotiation.next_plan() is None


BYE = Reply(421, "bye")


@pytest.mark.parametrize(
    "last", [None, Answer(Stage.MAIL, BYE), Answer(Stage.CONNECTION, BYE), Answer(Stage.CONNECTION, None)]
)
def test_a_host_that_ends_the_session_after_its_refusal_is_asked_without_it_next_time(last: Answer | None) -> None:
    message = wanted("RET=HDRS", {"a": "NOTIFY=NEVER"})
    first = Negotiation(message, ALL)
    plan = first.next_plan()
    assert plan is not None
    first.hear(plan, [Answer(Stage.MAIL, NEVER)])
    if last is None:
        first.give_up("the connection ended", Verdict.NEXT_HOST)
    else:
        plan = first.next_plan()
        assert plan is not None
        first.hear(plan, [last])
    assert verdicts(first) == [Verdict.NEXT_HOST if last is not None else Verdict.RETRY_CHANGED]
    assert first.learnt == {"RET"}
    _, host = meet(message, refused=frozenset(first.learnt))
    assert host.saw[:2] == ["MAIL", "RCPT a NOTIFY=NEVER"]


def test_what_may_be_said_to_no_host_fails() -> None:
    negotiation = Negotiation(wanted(), ALL)
    reply = Reply(550, "no", "5.5.2")
    negotiation.fail(reply, "a bare CR")
    assert negotiation.settled == {0: Settled(0, Verdict.FAILED, reply, "", "a bare CR")}


def test_seven_bit_content_goes_without_its_old_size() -> None:
    negotiation = Negotiation(wanted(size=9, needs=EIGHT_BIT), {"SIZE": ""})
    plan = negotiation.next_plan()
    assert plan is not None
    assert plan.form is Form.SEVEN_BIT and len(plan.parameters) == 0
