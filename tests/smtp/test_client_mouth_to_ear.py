"""Our client and our server, mouth to ear on bytes: what one says the other hears, for any mail and any cut."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from postroad.address import Mailbox
from postroad.replies import Reply
from postroad.smtp import extensions as ext
from postroad.smtp.client import ClientEngine
from postroad.smtp.client_commands import Auth, Command, Hello, Quit, StartTls
from postroad.smtp.client_events import ConnectionEnded, Greeted, Replied, TlsReady
from postroad.smtp.events import (
    NEED_DATA,
    AuthGiven,
    ContentBlock,
    ContentEnded,
    ContentRequested,
    HelloGiven,
    RecipientGiven,
    SenderGiven,
    SessionEnded,
    StartTlsGiven,
    TransactionAborted,
)
from postroad.smtp.extensions.body import BODY, Body
from postroad.smtp.extensions.size import SIZE
from postroad.smtp.extensions.smtputf8 import UTF8
from postroad.smtp.mail_transaction import MailTransaction, Stage
from postroad.smtp.parameters import NOTHING_GIVEN, Conditions, ExtensionSet, Given, Traits
from postroad.smtp.peer_limits import PeerLimits
from postroad.smtp.server import ServerEngine
from postroad.smtp.server_config import ServerConfig
from tests.smtp.client_host import give

ALL = (
    ext.size(0),
    ext.EIGHTBITMIME,
    ext.SMTPUTF8,
    ext.STARTTLS,
    ext.auth(("PLAIN", "LOGIN")),
    ext.CHUNKING,
    ext.BINARYMIME,
    ext.limits(recipients=100, transactions=7),
)


class Pair:
    """Both ends; ``replies`` are the server's decisions about RCPT, in order."""

    def __init__(
        self, pipelining: bool, cuts: list[int] | None = None, replies: list[Reply | None] | None = None
    ) -> None:
        offered = ExtensionSet((ext.PIPELINING, *ALL) if pipelining else ALL)
        config = ServerConfig(
            "mx.example", offered, tls_available=True, mechanisms=("PLAIN", "LOGIN"), line_octets=1000
        )
        self.server = ServerEngine(config, Conditions(), Traits(auth_in_clear=True))
        self.client = ClientEngine()
        self.cuts = iter(cuts or [])
        self.decisions = iter(replies or [])
        self.senders: list[SenderGiven] = []
        self.recipients: list[RecipientGiven] = []
        self.accounts: list[AuthGiven] = []
        self.contents: list[bytes] = []
        self.ended = ""
        self.heard: list[Any] = []
        self._content = b""
        self.server.greet()

    def exchange(self, transaction: MailTransaction | None = None, content: list[bytes] | None = None) -> None:
        """Carry octets to and fro until both are silent."""
        blocks = iter(content or [])
        while True:
            to_server, to_client = self.client.data_to_send(), self.server.data_to_send()
            if not to_server and not to_client:
                return
            for piece in self.pieces(to_server):
                self.server.receive(piece)
                self.serve()
            for piece in self.pieces(to_client):
                self.client.receive(piece)
                self.listen(transaction, blocks)

    def pieces(self, octets: bytes) -> list[bytes]:
        found = []
        while octets:
            size = next(self.cuts, len(octets))
            found.append(octets[:size])
            octets = octets[size:]
        return found

    def listen(self, transaction: MailTransaction | None, blocks: Iterator[bytes]) -> None:
        while (event := self.client.next_event()) is not NEED_DATA:
            self.heard.append(event)
            if transaction is not None:
                transaction.hear(event)
                if transaction.wants_content:
                    give(transaction, blocks)
            if isinstance(event, ConnectionEnded):
                return

    def serve(self) -> None:
        while (event := self.server.next_event()) is not NEED_DATA:
            match event:
                case SenderGiven():
                    self.senders.append(event)
                    self.server.accept()
                case RecipientGiven():
                    reply = next(self.decisions, None)
                    if reply is None:
                        self.recipients.append(event)
                        self.server.accept()
                    else:
                        self.server.answer(reply)
                case AuthGiven():
                    self.accounts.append(event)
                    self.server.accept()
                case ContentBlock(octets):
                    self._content += octets
                case TransactionAborted():
                    self._content = b""
                case ContentEnded():
                    self.contents.append(self._content)
                    self._content = b""
                    self.server.accept()
                case SessionEnded(reason):
                    self.ended = reason
                    return
                case HelloGiven() | StartTlsGiven() | ContentRequested():
                    self.server.accept()

    def ask(self, command: Command) -> Any:
        self.client.send(command)
        self.exchange()
        return self.heard[-1]


def ready(*arguments: Any) -> Pair:
    pair = Pair(*arguments)
    pair.exchange()
    assert isinstance(pair.heard[0], Greeted)
    pair.ask(Hello("me.example"))
    return pair


def test_a_whole_session() -> None:
    for pipelining in (True, False):
        pair = ready(pipelining)
        assert isinstance(pair.ask(StartTls()), TlsReady)
        pair.server.tls_established("TLSv1.3")
        pair.client.tls_started()
        pair.ask(Hello("me.example"))
        assert not pair.client.offers("STARTTLS")
        for mechanism in ("LOGIN",):
            assert isinstance(pair.ask(Auth("kana", "p\xe4ss", mechanism)), Replied)
        assert pair.client.authenticated
        assert [(a.authentication_id, a.password) for a in pair.accounts] == [("kana", "p\xe4ss")]
        for number in range(3):
            transaction = MailTransaction(pair.client, None, [(Mailbox(f"n{number}", "example.com"), NOTHING_GIVEN)])
            transaction.begin()
            pair.exchange(transaction, [b"x\r\n"])
            assert transaction.is_over
            assert transaction.answers[0].accepted
        pair.ask(Quit())
        assert pair.ended == "quit"
        assert pair.contents == [b"x\r\n"] * 3


def test_limits_are_said_and_heard() -> None:
    assert ready(True).client.limits == PeerLimits(mailmax=7, rcptmax=100)


def test_plain_both_ways() -> None:
    for password in ("secret", "s" * 600):
        pair = ready(True)
        pair.ask(Auth("kana", password))
        assert pair.accounts[0].password == password
        assert pair.accounts[0].mechanism == "PLAIN"


locals_ = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=20) | st.sampled_from(
    ["あいう", "a b", "a@b", 'q"uo\\te', "..", "postmaster"]
)
contents = st.lists(st.sampled_from([b"\r\n", b".", b"x", b"..", b" ", "あ".encode()]), max_size=30).map(b"".join)
verdicts = st.sampled_from([None, Reply(550, "no", "5.1.1"), Reply(450, "later", "4.2.1")])


@settings(max_examples=200)
@given(
    st.booleans(),
    st.lists(st.integers(1, 40), max_size=50),
    st.lists(st.tuples(locals_, verdicts), min_size=1, max_size=5),
    contents,
    st.integers(1, 10),
    st.booleans(),
)
def test_any_mail_arrives_as_it_was_sent(
    pipelining: bool, cuts: list[int], people: list[tuple[str, Reply | None]], content: bytes, size: int, bdat: bool
) -> None:
    pair = ready(pipelining, cuts, [verdict for _, verdict in people])
    paths = [Mailbox(local, "example.com") for local, _ in people]
    given_ = Given({SIZE: len(content), BODY: Body.EIGHTBITMIME, UTF8: True})
    sender = Mailbox("kana", "例え.jp")
    transaction = MailTransaction(pair.client, sender, [(path, NOTHING_GIVEN) for path in paths], given_, bdat=bdat)
    transaction.begin()
    pair.exchange(transaction, [content[start : start + size] for start in range(0, len(content), size)])
    assert transaction.is_over
    (heard,) = pair.senders
    assert heard.reverse_path == sender
    assert heard.parameters == given_
    taken = [path for path, (_, verdict) in zip(paths, people, strict=True) if verdict is None]
    assert [one.forward_path for one in pair.recipients] == taken
    for answer, (_, verdict) in zip(transaction.answers, people, strict=True):
        assert answer.accepted == (verdict is None)
        assert verdict is None or (answer.stage, answer.reply) == (Stage.RCPT, verdict)
    whole = content if not content or content.endswith(b"\r\n") else content + b"\r\n"
    assert pair.contents == ([whole] if taken else [])
    assert pair.client.is_idle


@settings(max_examples=200)
@given(
    st.booleans(),
    st.lists(st.integers(1, 40), max_size=50),
    st.lists(st.binary(max_size=300) | st.sampled_from([b"\r\n.\r\n", b"\n", b"\r", b"\x00"]), max_size=20),
    st.integers(1, 64),
)
def test_any_octets_arrive_by_bdat_when_they_are_said_to_be_binary(
    pipelining: bool, cuts: list[int], content: list[bytes], chunk: int
) -> None:
    pair = ready(pipelining, cuts)
    binary = Given({BODY: Body.BINARYMIME})
    people = [(Mailbox("a", "example.com"), NOTHING_GIVEN)]
    transaction = MailTransaction(pair.client, None, people, binary, bdat=True, chunk_octets=chunk)
    transaction.begin()
    pair.exchange(transaction, content)
    assert transaction.is_over
    assert transaction.answers[0].accepted
    assert pair.contents == [b"".join(content)]
    assert pair.client.is_idle


@settings(max_examples=100)
@given(st.booleans(), st.lists(st.integers(1, 40), max_size=50), st.integers(1, 4), st.booleans())
def test_content_that_the_server_refuses_amid_its_chunks(
    pipelining: bool, cuts: list[int], bad: int, again_by_bdat: bool
) -> None:
    """A line too long for text: every chunk behind it is discarded, and the session goes on."""
    pair = ready(pipelining, cuts)
    people = [(Mailbox("a", "example.com"), NOTHING_GIVEN), (Mailbox("b", "example.com"), NOTHING_GIVEN)]
    content = [b"x" * 62 + b"\r\n"] * 5
    content[bad] = b"y" * 2000 + b"\r\n"
    transaction = MailTransaction(pair.client, None, people, bdat=True, chunk_octets=64)
    transaction.begin()
    pair.exchange(transaction, content)
    assert transaction.is_over
    first, second = transaction.answers
    assert first == second
    assert first.stage is Stage.CONTENT
    assert first.reply is not None
    assert first.reply.is_permanent
    assert pair.contents == []
    again = MailTransaction(pair.client, None, people, bdat=again_by_bdat)
    again.begin()
    pair.exchange(again, [b"good\r\n"])
    assert [answer.accepted for answer in again.answers] == [True, True]
    assert pair.contents == [b"good\r\n"]
