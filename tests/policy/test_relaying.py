"""The relay decision: a table of tricks, each tried as everybody who might try it."""

from __future__ import annotations

import pytest

from postroad.address import Mailbox, parse_mailbox, take_path
from postroad.envelope import NewRecipient
from postroad.errors import AddressSyntaxError
from postroad.policy.relaying import (
    AUTHENTICATION_REQUIRED,
    INBOX,
    NO_ROUTE,
    RELAYING_DENIED,
    ROUTE_IS_HOLD,
    SENDER_NOT_YOURS,
    UNKNOWN_USER,
    Catching,
    Destination,
    LocalDomain,
    OwnSenders,
    Relaying,
    SubmittersOnly,
    decide,
)
from postroad.policy.stages import Policies, SessionFacts, Transaction
from postroad.replies import Reply
from postroad.smtp.events import RecipientGiven, SenderGiven
from postroad.smtp.parameters import NOTHING_GIVEN

HOSTNAME = "mx.ours.example"
DOMAINS = [
    LocalDomain.of("ours.example", recipients=["kana", "Bob", "o'hara+tag", "a@b"]),
    LocalDomain.of("any.example", postmaster="kana@ours.example"),
    LocalDomain.of("held.example", on_hold=True),
    LocalDomain.of("final.example", is_final=True),
    LocalDomain.of("bücher.example", recipients=["日本"]),
    LocalDomain.of("[192.0.2.1]", recipients=["kana"]),
    LocalDomain.of("away.example", postmaster="boss@elsewhere.example"),
]
RELAYING = Relaying(DOMAINS, HOSTNAME)

#: Every form in which relaying has been smuggled past a server. "syntax": the grammar refuses it with 501.
TRICKS = [
    ("<victim@elsewhere.example>", RELAYING_DENIED),
    ("<kana%elsewhere.example@elsewhere.example>", RELAYING_DENIED),
    ("<victim%elsewhere.example@ours.example>", UNKNOWN_USER),
    ("<victim%elsewhere.example@[192.0.2.1]>", UNKNOWN_USER),
    ("<victim%elsewhere.example@mx.ours.example>", RELAYING_DENIED),
    ("<victim%elsewhere.example>", "syntax"),
    ("<elsewhere.example!victim>", "syntax"),
    ("<elsewhere.example!victim@ours.example>", UNKNOWN_USER),
    ("<elsewhere.example!victim@mx.ours.example>", RELAYING_DENIED),
    ("<ours.example!elsewhere.example!victim>", "syntax"),
    ("<@ours.example:victim@elsewhere.example>", RELAYING_DENIED),
    ("<@ours.example,@any.example:victim@elsewhere.example>", RELAYING_DENIED),
    ("<@mx.ours.example:victim@elsewhere.example>", RELAYING_DENIED),
    ("<@[192.0.2.1]:victim@elsewhere.example>", "syntax"),
    ("<@elsewhere.example:kana@ours.example>", None),
    ("<@elsewhere.example:victim@ours.example>", UNKNOWN_USER),
    ("<@ours.example victim@elsewhere.example>", "syntax"),
    ('<"victim@elsewhere.example"@ours.example>', UNKNOWN_USER),
    ('<"victim@elsewhere.example">', "syntax"),
    ('<"victim"@elsewhere.example>', RELAYING_DENIED),
    ('<"kana@ours.example"@elsewhere.example>', RELAYING_DENIED),
    ('<"victim%elsewhere.example"@ours.example>', UNKNOWN_USER),
    ('<"elsewhere.example!victim"@ours.example>', UNKNOWN_USER),
    ('<"kana@ours.example>,<victim@elsewhere.example"@ours.example>', UNKNOWN_USER),
    ("<victim@elsewhere.example@ours.example>", "syntax"),
    ("<kana@ours.example@elsewhere.example>", "syntax"),
    ("<victim@elsewhere.example,kana@ours.example>", "syntax"),
    ("<victim@elsewhere.example><kana@ours.example>", RELAYING_DENIED),
    ("<victim@[192.0.2.1]>", UNKNOWN_USER),
    ("<victim@[192.0.2.2]>", RELAYING_DENIED),
    ("<victim@[127.0.0.1]>", RELAYING_DENIED),
    ("<victim@[IPv6:::1]>", RELAYING_DENIED),
    ("<victim@[IPv6:::ffff:192.0.2.1]>", RELAYING_DENIED),
    ("<kana@[IPv6:::ffff:192.0.2.1]>", RELAYING_DENIED),
    ("<victim@192.0.2.1>", RELAYING_DENIED),
    ("<kana@192.0.2.1>", RELAYING_DENIED),
    ("<victim@localhost>", RELAYING_DENIED),
    ("<victim@mx.ours.example>", RELAYING_DENIED),
    ("<kana@ours.example.>", "syntax"),
    ("<victim@elsewhere.example.>", "syntax"),
    ("<kana@ours.example.elsewhere.example>", RELAYING_DENIED),
    ("<kana@sub.ours.example>", RELAYING_DENIED),
    ("<kana@notours.example>", RELAYING_DENIED),
    ("<kana@ours>", RELAYING_DENIED),
    ("<kana@οurs.example>", RELAYING_DENIED),  # Greek omicron
    ("<kana@оurs.example>", RELAYING_DENIED),  # Cyrillic o
    ("<kana@ours。example>", None),  # IDNA maps the ideographic full stop to a dot: it is our domain
    ("<victim@elsewhere。example>", RELAYING_DENIED),
    ("<kana@xn--ours-example.example>", RELAYING_DENIED),
    ("<日本@bucher.example>", RELAYING_DENIED),
    ("<victim@bücher.example>", UNKNOWN_USER),
    ("<victim>", "syntax"),
    ("<victim@>", "syntax"),
    ("<@ours.example>", "syntax"),
    ("<>", "syntax"),
    ("victim@elsewhere.example", "syntax"),
    ("<victim @elsewhere.example>", "syntax"),
    ("<victim@elsewhere.example\x00@ours.example>", "syntax"),
    ("<victim@elsewhere.example\r\nRCPT TO:<x@y>", "syntax"),
    ("<|/bin/sh@ours.example>", UNKNOWN_USER),
    ("<postmaster@elsewhere.example>", RELAYING_DENIED),
    ("<postmaster%elsewhere.example@ours.example>", UNKNOWN_USER),
    ("<kana@ours.example>", None),
    ("<KANA@OURS.EXAMPLE>", None),
    ("<bob@ours.example>", None),
    ("<O'Hara+TAG@ours.example>", None),
    ('<"kana"@ours.example>', None),
    ('<"a@b"@ours.example>', None),
    ("<日本@bücher.example>", None),
    ("<日本@xn--bcher-kva.example>", None),
    ("<kana@[192.0.2.1]>", None),
    ("<whoever%elsewhere.example@any.example>", None),
    ("<postmaster>", None),
    ("<PostMaster>", None),
    ("<POSTMASTER@ours.example>", None),
    ("<postmaster@mx.ours.example>", None),
    ("<@elsewhere.example:postmaster@ours.example>", None),
]


def facts(listener: str = "mx", account: str = "", trusted: bool = False) -> SessionFacts:
    made = SessionFacts("s1", listener, ("192.0.2.9", 4321), ("192.0.2.1", 25))
    made.account, made.trusted = account, trusted
    return made


def transaction(sender: str = "") -> Transaction:
    path = parse_mailbox(sender) if sender else None
    return Transaction(SenderGiven(path, NOTHING_GIVEN), [])


def ask(path: str, who: SessionFacts, sender: str = "") -> Reply | str | None:
    try:
        mailbox, _ = take_path(path)
    except AddressSyntaxError:
        return "syntax"
    if mailbox is None:
        return "syntax"
    return RELAYING.on_recipient(who, transaction(sender), RecipientGiven(mailbox, NOTHING_GIVEN))


def destine(path: str) -> NewRecipient:
    mailbox, _ = take_path(path)
    assert mailbox is not None
    return RELAYING.new_recipient(RecipientGiven(mailbox, NOTHING_GIVEN))


def test_the_table_is_long_enough() -> None:
    assert len([path for path, answer in TRICKS if answer is not None]) >= 40
    assert len({path for path, _ in TRICKS}) == len(TRICKS)


@pytest.mark.parametrize("sender", ["", "kana@ours.example", "victim@elsewhere.example"], ids=["null", "ours", "other"])
@pytest.mark.parametrize("listener", ["mx", "submission", "submissions"])
@pytest.mark.parametrize(("path", "answer"), TRICKS)
def test_a_stranger_cannot_relay(path: str, answer: Reply | str | None, listener: str, sender: str) -> None:
    assert ask(path, facts(listener), sender) == answer


@pytest.mark.parametrize(("path", "answer"), TRICKS)
def test_what_a_stranger_may_send_stays_here(path: str, answer: Reply | str | None) -> None:
    """The oracle of a relay test: no recipient with a domain that is not ours is ever stored for a stranger."""
    if answer is None:
        assert destine(path).destination in RELAYING.domains


@pytest.mark.parametrize("who", [facts(account="kana"), facts("submission", trusted=True)], ids=["account", "trusted"])
@pytest.mark.parametrize(("path", "answer"), TRICKS)
def test_who_may_relay_may_send_anywhere_but_not_to_nobody(
    path: str, answer: Reply | str | None, who: SessionFacts
) -> None:
    expected = None if answer is RELAYING_DENIED else answer
    assert ask(path, who) == expected


def test_a_foreign_recipient_is_held_until_there_is_a_route() -> None:
    assert destine("<a@Elsewhere.EXAMPLE>") == NewRecipient("a@Elsewhere.EXAMPLE", "elsewhere.example", "", NO_ROUTE)
    assert destine("<a@[192.0.2.77]>").hold == NO_ROUTE


def test_a_foreign_recipient_goes_at_once_when_there_is_a_route() -> None:
    asked: list[str] = []

    def elsewhere(domain: str) -> str:
        asked.append(domain)
        return "closed" if domain == "closed.example" else ""

    relaying = Relaying(RELAYING.domains.values(), HOSTNAME, elsewhere)

    def hold(path: str) -> str:
        mailbox, _ = take_path(path)
        assert mailbox is not None
        return relaying.new_recipient(RecipientGiven(mailbox, NOTHING_GIVEN)).hold

    assert [hold("<a@B\u00fccher.Elsewhere>"), hold("<a@closed.example>"), hold("<kana@ours.example>")] == [
        "",
        "closed",
        "",
    ]
    assert hold("<postmaster@away.example>") == ""
    assert asked == ["xn--bcher-kva.elsewhere", "closed.example", "elsewhere.example"]


def test_a_local_recipient_goes_at_once() -> None:
    assert destine("<Kana@OURS.example>") == NewRecipient("kana@OURS.example", "ours.example", "", "")
    assert destine("<日本@bücher.example>").destination == "xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("path", "forward_path"),
    [
        ("<KANA@ours.example>", "kana@ours.example"),
        ("<bOB@ours.example>", "Bob@ours.example"),
        ("<O'HARA+Tag@ours.example>", "o'hara+tag@ours.example"),
        ('<"KANA"@ours.example>', "kana@ours.example"),
        ("<KaNa@final.example>", "kana@final.example"),
        ("<KaNa@any.example>", "KaNa@any.example"),
        ("<KaNa@elsewhere.example>", "KaNa@elsewhere.example"),
    ],
)
def test_a_mailbox_of_ours_has_one_spelling(path: str, forward_path: str) -> None:
    """Or else mail for Kana would lie in another folder than mail for kana."""
    assert destine(path).forward_path == forward_path


def test_a_domain_on_hold_holds() -> None:
    assert destine("<kana@held.example>") == NewRecipient("kana@held.example", "held.example", "", ROUTE_IS_HOLD)


@pytest.mark.parametrize(
    ("path", "forward_path", "destination", "hold"),
    [
        ("<postmaster>", "postmaster@ours.example", "ours.example", ""),
        ("<Postmaster@ours.example>", "postmaster@ours.example", "ours.example", ""),
        ("<postmaster@mx.ours.example>", "postmaster@ours.example", "ours.example", ""),
        ("<POSTMASTER@any.example>", "kana@ours.example", "ours.example", ""),
        ("<postmaster@held.example>", "postmaster@held.example", "held.example", ROUTE_IS_HOLD),
        ("<postmaster@away.example>", "boss@elsewhere.example", "elsewhere.example", NO_ROUTE),
    ],
)
def test_postmaster_is_always_somebody(path: str, forward_path: str, destination: str, hold: str) -> None:
    assert destine(path) == NewRecipient(forward_path, destination, "", hold)


def test_postmaster_of_a_host_without_domains_waits_for_the_operator() -> None:
    found = decide(Mailbox("postmaster", ""), {}, HOSTNAME, may_relay=False)
    assert found == Destination(HOSTNAME, NO_ROUTE, Mailbox("postmaster", HOSTNAME))
    assert decide(Mailbox("kana", "ours.example"), {}, HOSTNAME, may_relay=False) is RELAYING_DENIED


def test_dev_mode_takes_everything_and_lets_nothing_go() -> None:
    catching = Catching()
    for path in ("<victim@elsewhere.example>", "<a@[127.0.0.1]>", "<postmaster>"):
        mailbox, _ = take_path(path)
        assert mailbox is not None
        assert catching.new_recipient(RecipientGiven(mailbox, NOTHING_GIVEN)).hold == INBOX


@pytest.mark.parametrize(
    ("who", "answer"),
    [
        (facts("submission"), AUTHENTICATION_REQUIRED),
        (facts("submission", account="kana"), None),
        (facts("submission", trusted=True), None),
    ],
)
def test_submission_needs_a_name_or_trust(who: SessionFacts, answer: Reply | None) -> None:
    assert SubmittersOnly().on_sender(who, SenderGiven(None, NOTHING_GIVEN)) is answer


@pytest.mark.parametrize(
    ("account", "sender", "answer"),
    [
        ("kana", "kana@ours.example", None),
        ("kana", "KANA@Ours.Example", None),
        ("kana", '"kana"@ours.example', None),
        ("kana", "anything@news.example", None),
        ("kana", "anything@NEWS.example", None),
        ("kana", "anything@bücher.example", None),
        ("kana", "", None),
        ("kana", "bob@ours.example", SENDER_NOT_YOURS),
        ("kana", "kana@sub.news.example", SENDER_NOT_YOURS),
        ("kana", "kana+tag@ours.example", SENDER_NOT_YOURS),
        ("kana", '"kana@ours.example"@elsewhere.example', SENDER_NOT_YOURS),
        ("free", "bob@ours.example", None),
        ("unlisted", "bob@ours.example", None),
        ("", "bob@ours.example", None),
    ],
)
def test_an_account_sends_as_itself(account: str, sender: str, answer: Reply | None) -> None:
    policy = OwnSenders({"kana": ("kana@ours.example", "@news.example", "@bücher.example"), "free": None})
    path = parse_mailbox(sender) if sender else None
    assert policy.on_sender(facts("submission", account=account), SenderGiven(path, NOTHING_GIVEN)) is answer


def test_the_policies_find_their_stages() -> None:
    sorted_in = Policies.of(RELAYING, SubmittersOnly(), OwnSenders({}))
    assert sorted_in.recipient == (RELAYING,)
    assert len(sorted_in.sender) == 2
