"""Chaos: which command gets which answer, how often, and that a retry succeeds when the times are used up."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.address import Mailbox, parse_mailbox
from postroad.errors import NotFound, PostroadError
from postroad.inbox.chaos import MAX_RULES, STAGES, Chaos
from postroad.inbox.chaos_rules import ChaosRule, glob_matches, read_rule, reply_for
from postroad.policy.stages import Act, Policies, SessionFacts, Transaction, Verdict
from postroad.replies import Reply
from postroad.smtp.events import AuthGiven, HelloGiven, RecipientGiven, SenderGiven
from postroad.smtp.parameters import NOTHING_GIVEN
from postroad.smtp.states import Verb

FACTS = SessionFacts("s1", "dev", ("192.0.2.7", 4000), ("127.0.0.1", 1025))


def mailbox(text: str) -> Mailbox | None:
    return parse_mailbox(text) if text else None


def recipient(text: str) -> RecipientGiven:
    return RecipientGiven(parse_mailbox(text), NOTHING_GIVEN)


def ask(chaos: Chaos, at: str, *to: str, sender: str = "me@example.com") -> Verdict:
    """What the stage answers when these are the recipients (or the subject, before RCPT)."""
    if at == "connect":
        return chaos.on_connect(FACTS)
    if at == "hello":
        return chaos.on_hello(FACTS, HelloGiven(Verb.EHLO, to[0]))
    if at == "auth":
        return chaos.on_auth(FACTS, AuthGiven("PLAIN", "", to[0], "secret"))
    given_sender = SenderGiven(mailbox(sender), NOTHING_GIVEN)
    transaction = Transaction(given_sender, [recipient(text) for text in to])
    if at == "mail":
        return chaos.on_sender(FACTS, given_sender)
    if at == "rcpt":
        return chaos.on_recipient(FACTS, Transaction(given_sender, []), recipient(to[0]))
    return chaos.on_content(FACTS, transaction) if at == "data" else chaos.on_message(FACTS, transaction)


def test_it_is_a_policy_of_every_stage() -> None:
    policies = Policies.of(Chaos())
    assert all(getattr(policies, stage) for stage in Policies.__slots__)


def test_an_address_answers_its_code_with_no_setting() -> None:
    assert ask(Chaos(), "rcpt", "bob+455@example.com") == Reply(455, "Server unable to accommodate parameters", "4.5.4")
    assert ask(Chaos(), "rcpt", "bob@example.com") is None
    assert ask(Chaos(addresses=False), "rcpt", "bob+455@example.com") is None


@given(st.integers(0, 999))
def test_every_code_from_400_to_599_and_no_other(code: int) -> None:
    verdict = ask(Chaos(), "rcpt", f"bob+tag+{code:03}@example.com")
    if not 400 <= code <= 599:
        assert verdict is None
        return
    reply = verdict.reply if isinstance(verdict, Act) else verdict
    assert isinstance(reply, Reply)
    assert (reply.code, reply.enhanced is not None and reply.enhanced.severity) == (code, code // 100)
    assert (isinstance(verdict, Act) and verdict.close) == (code == 421)


@pytest.mark.parametrize(
    "local", ["455", "bob455", "+4555", "bob+455x", "bob+45", "bob+455.", "bob+nosuch-455", "bob+455x0"]
)
def test_other_tags_are_only_addresses(local: str) -> None:
    for at in ("rcpt", "data", "message"):
        assert ask(Chaos(), at, f'"{local}"@example.com') is None


def test_an_address_may_name_the_stage() -> None:
    chaos = Chaos()
    for at, address in (("data", "bob+data-451@x.example"), ("message", "bob+MESSAGE-552@x.example")):
        for other in ("rcpt", "data", "message"):
            verdict = ask(chaos, other, "eve@x.example", address) if other != "rcpt" else ask(chaos, other, address)
            assert (verdict is not None) == (other == at)
    assert ask(chaos, "rcpt", "bob+rcpt-450@x.example") == reply_for(450)
    assert ask(chaos, "mail", sender="bob+mail-452@x.example") == reply_for(452)
    assert ask(chaos, "mail", sender="bob+452@x.example") is None
    assert ask(chaos, "mail", sender="") is None


def test_an_address_may_fail_a_number_of_times() -> None:
    chaos = Chaos()
    answers = [ask(chaos, "rcpt", "bob+455x2@x.example") for _ in range(4)]
    assert answers == [reply_for(455), reply_for(455), None, None]
    assert ask(chaos, "rcpt", "eve+455x2@x.example") == reply_for(455)
    chaos.remove()
    assert ask(chaos, "rcpt", "bob+455x2@x.example") == reply_for(455)


def test_counted_addresses_are_bounded() -> None:
    chaos = Chaos()
    for number in range(1_500):
        ask(chaos, "rcpt", f"bob{number}+455x2@x.example")
    assert len(chaos._counted) == 1_000


def test_a_rule_refuses_so_many_times_and_then_a_retry_succeeds() -> None:
    chaos = Chaos([read_rule({"to": "*+455@*", "at": "rcpt", "reply": 455, "times": 2})])
    answers = [ask(chaos, "rcpt", "bob+455@example.com") for _ in range(3)]
    assert answers == [reply_for(455), reply_for(455), None]
    (state,) = chaos.list()
    assert (state.used, state.spent) == (2, True)


def test_the_first_rule_that_matches_wins_even_when_it_is_spent() -> None:
    chaos = Chaos(
        [
            read_rule({"to": "bob@*", "reply": 451, "times": 1}),
            read_rule({"to": "*@example.com", "reply": 550}),
        ]
    )
    assert ask(chaos, "rcpt", "bob@example.com") == reply_for(451)
    assert ask(chaos, "rcpt", "bob@example.com") is None
    assert ask(chaos, "rcpt", "eve@example.com") == reply_for(550)
    assert ask(chaos, "rcpt", "eve@example.net") is None


@pytest.mark.parametrize(
    ("at", "to", "hit", "miss"),
    [
        ("hello", "laptop*", "Laptop.example", "server.example"),
        ("auth", "kana", "kana", "bob"),
        ("rcpt", "*@EXAMPLE.com", "bob@example.com", "bob@example.net"),
        ("data", "bob@*", "bob@example.com", "eve@example.com"),
        ("message", "b?b@*", "bob@example.com", "boob@example.com"),
    ],
)
def test_a_pattern_is_matched_against_what_the_stage_names(at: str, to: str, hit: str, miss: str) -> None:
    chaos = Chaos([read_rule({"at": at, "to": to, "reply": 450})])
    assert ask(chaos, at, hit) is not None
    assert ask(chaos, at, miss) is None
    for other in ("hello", "auth"):
        if other != at:
            assert ask(chaos, other, hit) is None


def test_connect_and_mail_match_the_client_and_the_sender() -> None:
    chaos = Chaos([read_rule({"at": "connect", "to": "192.0.2.*", "reply": 554})])
    assert ask(chaos, "connect") == Reply(554, "Transaction failed")
    chaos.replace([read_rule({"at": "mail", "to": "*@bad.example", "reply": 550})])
    assert ask(chaos, "mail", sender="a@bad.example") is not None
    assert ask(chaos, "mail", sender="a@good.example") is None
    chaos.replace([read_rule({"at": "mail", "from": "", "reply": 550})])
    assert ask(chaos, "mail", sender="") is not None
    assert ask(chaos, "mail") is None


def test_from_narrows_a_rule_about_recipients() -> None:
    chaos = Chaos([read_rule({"to": "*", "from": "me@*", "reply": 550})])
    assert ask(chaos, "rcpt", "bob@x.example") is not None
    assert ask(chaos, "rcpt", "bob@x.example", sender="you@example.com") is None


def test_delay_and_disconnect() -> None:
    assert ask(Chaos([read_rule({"delay": 2})]), "rcpt", "bob@x.example") == Act(None, 2.0, False)
    assert ask(Chaos([read_rule({"disconnect": True})]), "rcpt", "bob@x.example") == Act(None, 0.0, True)
    slow = Chaos([read_rule({"reply": 451, "delay": 0.5, "disconnect": True})])
    assert ask(slow, "rcpt", "bob@x.example") == Act(reply_for(451), 0.5, True)


def test_probability_is_the_injected_dice() -> None:
    def answers(seed: int) -> list[bool]:
        chaos = Chaos([read_rule({"reply": 451, "probability": 0.3})], Random(seed))
        return [ask(chaos, "rcpt", "bob@x.example") is not None for _ in range(1_000)]

    assert answers(1) == answers(1)
    assert 200 < sum(answers(1)) < 400
    never = Chaos([read_rule({"reply": 451, "probability": 0})])
    assert ask(never, "rcpt", "bob@x.example") is None
    assert ask(never, "rcpt", "bob+455@x.example") is None  # the rule matched, so no other is asked


def test_a_rule_may_say_its_own_words() -> None:
    rule = read_rule({"reply": 451, "text": "one\ntwo", "enhanced": "4.7.1"})
    assert ask(Chaos([rule]), "rcpt", "bob@x.example") == Reply(451, "one\ntwo", "4.7.1")
    assert read_rule({"reply": 451, "enhanced": "-"}).answer == Reply(451, reply_for(451).text)


def test_adding_replacing_and_removing() -> None:
    chaos = Chaos([read_rule({"reply": 550})])
    added = chaos.add(read_rule({"reply": 451}))
    assert [state.rule.id for state in chaos.list()] == ["r2", "r1"]
    assert ask(chaos, "rcpt", "bob@x.example") == reply_for(451)
    chaos.add(read_rule({"reply": 452, "id": added.id}))
    assert [(s.rule.id, s.rule.reply, s.used) for s in chaos.list()] == [("r2", 452, 0), ("r1", 550, 0)]
    assert chaos.remove("r2") == 1
    with pytest.raises(NotFound):
        chaos.remove("r2")
    assert chaos.remove() == 1
    assert ask(chaos, "rcpt", "bob@x.example") is None
    with pytest.raises(PostroadError):
        chaos.replace([ChaosRule("a", reply=450), ChaosRule("a", reply=451)])
    chaos.replace([ChaosRule("", reply=450)] * MAX_RULES)
    with pytest.raises(PostroadError, match="already"):
        chaos.add(ChaosRule("", reply=450))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "needs `reply`"),
        ({"reply": 250}, "400 to 599"),
        ({"reply": "455"}, "400 to 599"),
        ({"reply": True}, "400 to 599"),
        ({"repply": 455}, "no `repply`"),
        ({"reply": 455, "at": "recpt"}, "no such stage"),
        ({"reply": 455, "enhanced": "5.5.4"}, "not of the class"),
        ({"reply": 455, "enhanced": "4.5"}, "no enhanced status"),
        ({"reply": 455, "times": 0}, "whole number"),
        ({"reply": 455, "probability": 1.5}, "from 0 to 1"),
        ({"reply": 455, "probability": float("nan")}, "from 0 to 1"),
        ({"delay": -1}, "from 0 to"),
        ({"delay": 1e9}, "from 0 to"),
        ({"disconnect": 1}, "true or false"),
        ({"delay": 1, "text": "no reply"}, "need `reply`"),
        ({"reply": 455, "to": "x" * 400}, "at most 320"),
        ({"reply": 455, "to": 7}, "must be text"),
        ({"reply": 455, "id": "../x"}, "letters, digits"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_with_a_reason(fields: dict[str, object], says: str) -> None:
    with pytest.raises(PostroadError, match=says):
        read_rule(fields)


def test_hints_name_what_was_meant() -> None:
    with pytest.raises(PostroadError) as caught:
        read_rule({"repply": 455})
    assert caught.value.hint == "did you mean `reply`?"
    with pytest.raises(PostroadError) as caught:
        read_rule({"reply": 455, "at": "rctp"})
    assert caught.value.hint == "did you mean `rcpt`?"
    assert read_rule({"reply": 455, "at": "EHLO"}).at == "hello"
    assert read_rule({"reply": 455, "at": "dot"}).at == "message"


RULES = st.builds(
    lambda **fields: fields,
    to=st.text(max_size=20),
    at=st.sampled_from(STAGES),
    reply=st.one_of(st.none(), st.integers(400, 599)),
    times=st.one_of(st.none(), st.integers(1, 3)),
    probability=st.floats(0, 1),
    delay=st.floats(1, 5),
    disconnect=st.booleans(),
)


@given(RULES)
def test_a_rule_survives_its_own_fields(fields: dict[str, object]) -> None:
    rule = read_rule(fields, "r9")
    assert read_rule(rule.fields()) == rule


@given(
    st.lists(RULES, max_size=5),
    st.lists(st.sampled_from(["a@x.example", "b+455@x.example", "c+450x1@x.example"]), max_size=12),
)
def test_a_rule_never_answers_more_often_than_its_times(rules: list[dict[str, object]], recipients: list[str]) -> None:
    chaos = Chaos([read_rule({**fields, "to": "*"}) for fields in rules], Random(3))
    for address in recipients:
        for at in STAGES:
            ask(chaos, at, address)
    for state in chaos.list():
        assert state.rule.times is None or state.used <= state.rule.times


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
def test_a_glob_means_what_fnmatch_means(pattern: str, text: str) -> None:
    import fnmatch

    assert glob_matches(pattern, text) == fnmatch.fnmatchcase(text, pattern)


def test_a_hostile_glob_ends() -> None:
    assert not glob_matches("*a" * 160, "a" * 159 + "b")
    assert glob_matches("*@[192.0.2.1]", "bob@[192.0.2.1]")
