"""How a session begins, on loopback: the stage of each fault, TLS in every mode, AUTH, addresses, the live dialogue."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
import trustme

from postroad.net.connecting import Endpoint, Target
from postroad.net.smtp_client import ConnectFault, ConnectStage, SmtpClient
from postroad.net.tls import client_context
from postroad.net.use_tls import UseTls
from postroad.replies import Reply
from postroad.smtp.client_timeouts import ClientTimeouts
from tests.delivery.fixtures import Peer, blocks, host, until
from tests.net.client_loopback import LOOPS, Run, connect, letter, options, runner


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    return runner(request.param)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_side(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = client_context()
    authority.configure_trust(context)
    return context


# --- how far it came

HELLO = b"250-host.example\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n"
CAME_TO: list[tuple[list[bytes], ConnectStage, int | None]] = [
    ([], "GREETING", None),
    ([b"554 no\r\n"], "GREETING", 554),
    ([b"421 busy\r\n"], "GREETING", 421),
    ([b"250 what\r\n"], "GREETING", None),
    ([b"220 hi\r\n"], "EHLO", None),
    ([b"220 hi\r\n", b"550 no\r\n"], "EHLO", 550),
    ([b"220 hi\r\n", b"421 bye\r\n"], "EHLO", 421),
    ([b"220 hi\r\n", b"502 what\r\n", b"502 what\r\n"], "EHLO", 502),
    ([b"220 hi\r\n", b"502 what\r\n"], "EHLO", None),
    ([b"220 hi\r\n", b"250 host.example\r\n"], "STARTTLS", None),
    ([b"220 hi\r\n", HELLO, b"454 no\r\n"], "STARTTLS", 454),
    ([b"220 hi\r\n", HELLO, b"421 bye\r\n"], "STARTTLS", 421),
    ([b"220 hi\r\n", HELLO, b"220 go\r\n250 evil\r\n"], "STARTTLS", None),
    ([b"220 hi\r\n", HELLO, b"220 go\r\n"], "STARTTLS", None),
    ([b"220 hi\r\n", HELLO], "STARTTLS", None),
]


@pytest.mark.parametrize(("said", "stage", "code"), CAME_TO)
def test_each_fault_names_its_stage(run: Run, said: list[bytes], stage: ConnectStage, code: int | None) -> None:
    async def play(peer: Peer) -> None:
        for number, octets in enumerate(said):
            if number:
                await peer.hear()
            await peer.say(octets)
        if said:
            await peer.hear()

    async def work() -> None:
        async with host(play) as (port, _):
            with pytest.raises(ConnectFault) as caught:
                await connect(port, tls=UseTls.REQUIRED)
            fault = caught.value
            assert fault.stage == stage
            assert (None if fault.reply is None else fault.reply.code) == code
            assert fault.host == f"127.0.0.1:{port}"
            assert fault.transcript.startswith(f"-- {fault.host}\n")
            assert fault.transcript.endswith(f"-- {fault.message}")

    run(work())


AUTHS = [
    ([b"AUTH PLAIN"], b"535 5.7.8 no\r\n", 535, "refused at AUTH"),
    ([b"AUTH PLAIN"], b"421 bye\r\n", 421, "refused at AUTH"),
    ([b"AUTH PLAIN"], b"", None, "ended at AUTH"),
    ([b"AUTH GSSAPI"], b"", None, "offers no AUTH with PLAIN or LOGIN"),
    ([b"AUTH PLAIN"], b"334 a\r\n334 b\r\n", None, "goes on asking"),
]


@pytest.mark.parametrize(("extensions", "reply", "code", "words"), AUTHS)
def test_the_faults_of_auth(run: Run, extensions: list[bytes], reply: bytes, code: int | None, words: str) -> None:
    async def play(peer: Peer) -> None:
        await peer.greet(*extensions)
        await peer.hear()
        await peer.say(reply)
        if reply.startswith(b"334"):
            await peer.reader.read()

    async def work() -> None:
        async with host(play) as (port, _):
            with pytest.raises(ConnectFault, match=words) as caught:
                await connect(port, account="kana", password="secret")
            assert caught.value.stage == "AUTH"
            assert (None if caught.value.reply is None else caught.value.reply.code) == code

    run(work())


def test_no_connection_is_a_stage_too(run: Run) -> None:
    async def work() -> None:
        target = Target("host.example", 1)
        endpoints = [Endpoint(target, "127.0.0.7"), Endpoint(target, "127.0.0.8")]
        with pytest.raises(ConnectFault, match="Connection refused") as caught:
            await SmtpClient.connect_to(endpoints, options())
        assert caught.value.stage == "CONNECT"
        assert caught.value.host == "host.example [127.0.0.8]:1"
        for endpoint in endpoints:  # all that were tried are told
            assert f"-- {endpoint}\n-- no connection to {endpoint}: Connection refused" in caught.value.transcript

    run(work())


def test_what_was_said_to_other_addresses_is_kept(run: Run) -> None:
    greetings = [b"554 5.7.1 not you\r\n", b"220 welcome\r\n"]

    async def play(peer: Peer) -> None:
        await peer.say(greetings.pop(0))
        await peer.hear()
        await peer.say(b"250 host.example\r\n")
        await peer.hear()

    async def work() -> None:
        async with host(play) as (port, _):
            target = Target("localhost", port)
            client = await SmtpClient.connect_to([Endpoint(target, "127.0.0.1")] * 2, options())
            transcript = client.take_transcript()
            assert transcript.index("S: 554 5.7.1 not you") < transcript.index("-- refused at the greeting")
            assert transcript.index("-- refused at the greeting") < transcript.index("S: 220 welcome")
            assert transcript.count(f"-- {client.host}\n") == 2
            assert client.take_transcript() == ""
            client.abort()

    run(work())


# --- addresses of our own


def test_the_source_address(run: Run) -> None:
    seen: list[str] = []

    async def play(peer: Peer) -> None:
        seen.append(peer.writer.get_extra_info("peername")[0])
        await peer.greet()
        await peer.reader.read()

    async def work() -> None:
        async with host(play) as (port, _):
            for source in ("", "127.0.0.5"):
                (await connect(port, source=source)).abort()
            for source, words in (("::1", "of another family"), ("192.0.2.77", "no connection")):
                with pytest.raises(ConnectFault, match=words) as caught:
                    await connect(port, source=source)
                assert caught.value.stage == "CONNECT"

    run(work())
    assert seen == ["127.0.0.1", "127.0.0.5"]


# --- STARTTLS


def test_starttls_with_any_certificate(run: Run, authority: trustme.CA) -> None:
    contents: list[bytes] = []
    hellos: list[bytes] = []

    async def play(peer: Peer) -> None:
        await peer.greet(b"STARTTLS", b"X-CLEAR")
        hellos.append(await peer.hear())
        await peer.say(b"220 go\r\n")
        await peer.writer.start_tls(server_side(authority))
        hellos.append(await peer.hear())
        await peer.say(b"250-host.example\r\n250 SIZE 1000\r\n")
        await peer.serve({}, contents)

    async def work() -> None:
        async with host(play) as (port, _):
            client = await connect(port, context=client_context(verify=False))
            assert client.security.startswith("TLSv1.3 TLS_")
            assert client.security.endswith(", certificate not verified")
            assert client.engine.announced == {"SIZE": "1000"}
            large = [b"x" * 998 + b"\r\n"] * 2000
            assert (await client.deliver(letter(content=blocks(*large))))[0].accepted
            assert contents == [b"".join(large)]
            await client.quit()

    run(work())
    assert hellos == [b"STARTTLS", b"EHLO me.example"]


def test_a_failed_handshake_goes_on_in_clear_or_not_at_all(run: Run, authority: trustme.CA) -> None:
    contents: list[bytes] = []

    async def play(peer: Peer) -> None:
        await peer.greet(b"STARTTLS")
        if await peer.hear() == b"STARTTLS":
            await peer.say(b"220 go\r\n")
            await peer.reader.read(1)
            await peer.say(b"this is no TLS at all" * 10)
            return
        await peer.say(b"250 ok\r\n")
        await peer.serve({}, contents)

    async def work() -> None:
        async with host(play) as (port, peers):
            client = await connect(port, context=client_context(verify=False))
            assert client.security.startswith("in clear, since the TLS handshake failed")
            (answer,) = await client.deliver(letter())
            assert answer.accepted
            with pytest.raises(ConnectFault, match="TLS handshake failed"):
                await connect(port, context=client_context(), tls=UseTls.REQUIRED)
            assert not any(line.startswith(b"MAIL") for line in peers[-1].heard)

    run(work())


def test_a_certificate_that_must_be_good(run: Run, authority: trustme.CA) -> None:
    async def play(peer: Peer) -> None:
        await peer.greet(b"STARTTLS")
        await peer.hear()
        await peer.say(b"220 go\r\n")
        await peer.writer.start_tls(server_side(authority))
        await peer.hear()
        await peer.say(b"250 host.example\r\n")
        await peer.reader.read()

    async def work() -> None:
        trusting = client_context()
        authority.configure_trust(trusting)
        async with host(play) as (port, _):
            client = await connect(port, context=trusting, tls=UseTls.REQUIRED)
            assert client.security.endswith(", certificate verified")
            client.abort()
            with pytest.raises(ConnectFault, match="certificate not accepted"):
                await connect(port, context=client_context(), tls=UseTls.REQUIRED)

    run(work())


@pytest.mark.parametrize("tls", [UseTls.OPPORTUNISTIC, UseTls.REQUIRED])
def test_octets_behind_the_220_are_never_heard_inside_tls(run: Run, tls: UseTls) -> None:
    async def play(peer: Peer) -> None:
        await peer.greet(b"STARTTLS")
        await peer.hear()
        await peer.say(b"220 go\r\n250-evil\r\n250 SIZE\r\n")
        await peer.reader.read()

    async def work() -> None:
        async with host(play) as (port, peers):
            with pytest.raises(ConnectFault, match="injection"):
                await connect(port, context=client_context(verify=False), tls=tls)
            assert len(peers) == 1  # and not once more in clear

    run(work())


@pytest.mark.parametrize("extensions", [(), (b"STARTTLS",)])
def test_no_mail_in_clear_where_tls_is_required(run: Run, extensions: tuple[bytes, ...]) -> None:
    async def play(peer: Peer) -> None:
        await peer.greet(*extensions)
        await peer.hear()
        await peer.say(b"454 4.7.0 not now\r\n")
        await peer.reader.read()

    async def work() -> None:
        async with host(play) as (port, peers):
            with pytest.raises(ConnectFault, match="TLS is required"):
                await connect(port, context=client_context(), tls=UseTls.REQUIRED)
            await until(lambda: peers[0].reader.at_eof())
            client = await connect(port, context=client_context())
            assert client.security == ("in clear, since STARTTLS was refused" if extensions else "in clear")
            client.abort()

    run(work())


# --- AUTH


def test_auth(run: Run) -> None:
    async def play(peer: Peer) -> None:
        await peer.greet(b"AUTH PLAIN")
        good = await peer.hear() == b"AUTH PLAIN AGthbmEAc2VjcmV0"
        await peer.say(b"235 ok\r\n" if good else b"535 5.7.8 no\r\n")
        await peer.reader.read()

    async def work() -> None:
        async with host(play) as (port, _):
            client = await connect(port, account="kana", password="secret")
            assert client.engine.authenticated
            client.abort()
            with pytest.raises(ConnectFault, match="refused at AUTH") as fault:
                await connect(port, account="kana", password="wrong")
            assert fault.value.reply == Reply(535, "no", "5.7.8")
            assert "C: AUTH PLAIN\n" in fault.value.transcript
            assert "d3Jvbmc" not in fault.value.transcript

    run(work())


def test_a_password_does_not_leave_this_machine_in_clear(run: Run, authority: trustme.CA) -> None:
    """0.0.0.0 leads here, but nothing says so: it stands for another machine."""

    async def play(peer: Peer) -> None:
        await peer.greet(b"AUTH PLAIN")
        if await peer.hear():
            await peer.say(b"235 ok\r\n")
        await peer.reader.read()

    async def work() -> None:
        async with host(play) as (port, peers):
            endpoints = [Endpoint(Target("host.example", port), "0.0.0.0")]
            wanted: dict[str, Any] = {"account": "kana", "password": "secret"}
            for tls, words in (
                (UseTls.OPPORTUNISTIC, "TLS is required to log in"),
                (UseTls.NEVER, "not sent in clear"),
            ):
                with pytest.raises(ConnectFault, match=words):
                    await SmtpClient.connect_to(endpoints, options(**wanted, tls=tls))
                assert not any(line.startswith(b"AUTH") for peer in peers for line in peer.heard)
            client = await SmtpClient.connect_to(endpoints, options(**wanted, auth_in_clear=True))
            assert client.engine.authenticated
            client.abort()

    run(work())


@pytest.mark.parametrize("implicit", [False, True])
def test_a_password_does_not_go_to_a_stranger_inside_opportunistic_tls(
    run: Run, authority: trustme.CA, implicit: bool
) -> None:
    """Whoever sits on the way can make a certificate: any will do for mail, but not for a password."""

    async def log_in(peer: Peer) -> None:
        if await peer.hear():
            await peer.say(b"250-host.example\r\n250 AUTH PLAIN\r\n")
        if await peer.hear():
            await peer.say(b"235 ok\r\n")
        await peer.reader.read()

    async def play(peer: Peer) -> None:
        if not implicit:
            await peer.greet(b"STARTTLS")
            await peer.hear()
            await peer.say(b"220 go\r\n")
        await peer.writer.start_tls(server_side(authority, "host.example"))
        if implicit:
            await peer.say(b"220 hi\r\n")
        await log_in(peer)

    async def work() -> None:
        async with host(play) as (port, peers):
            endpoints = [Endpoint(Target("host.example", port), "0.0.0.0")]
            wanted: dict[str, Any] = {"account": "kana", "password": "secret", "implicit_tls": implicit}
            with pytest.raises(ConnectFault, match="certificate not accepted"):
                await SmtpClient.connect_to(endpoints, options(**wanted))
            assert len(peers) == 1
            for more in ({"verifying": trusting(authority)}, {"tls": UseTls.REQUIRED}):
                client = await SmtpClient.connect_to(endpoints, options(**wanted, **more))
                assert client.engine.authenticated
                client.abort()

    run(work())


def test_another_mechanism_when_the_first_is_not_wanted(run: Run) -> None:
    async def play(peer: Peer) -> None:
        await peer.greet(b"AUTH PLAIN LOGIN")
        while (word := (await peer.hear()).partition(b" ")[0]) != b"QUIT":
            if peer.heard[-1].startswith(b"AUTH PLAIN"):
                await peer.say(b"504 5.5.4 not this\r\n")
            else:
                await peer.say({b"AUTH": b"334 a\r\n", b"a2FuYQ==": b"334 b\r\n"}.get(word, b"235 ok\r\n"))

    async def work() -> None:
        async with host(play) as (port, peers):
            for mechanisms in ((), ("LOGIN",)):
                client = await connect(port, account="kana", password="secret", mechanisms=mechanisms)
                assert client.engine.authenticated
                client.abort()
            assert [line[:10] for line in peers[0].heard if line.startswith(b"AUTH")] == [b"AUTH PLAIN", b"AUTH LOGIN"]
            assert [line[:10] for line in peers[1].heard if line.startswith(b"AUTH")] == [b"AUTH LOGIN"]
            with pytest.raises(ConnectFault, match="refused at AUTH"):
                await connect(port, account="kana", password="secret", mechanisms=("PLAIN",))

    run(work())


# --- TLS: names and chains, and from the first octet


async def talk(peer: Peer) -> None:
    """EHLO, then mail, inside TLS."""
    await peer.greet()
    await peer.serve({}, [])


def starting_tls(context: ssl.SSLContext) -> Any:
    async def play(peer: Peer) -> None:
        await peer.greet(b"STARTTLS")
        await peer.hear()
        await peer.say(b"220 go\r\n")
        await peer.writer.start_tls(context)
        await peer.hear()
        await peer.say(b"250 host.example\r\n")
        await peer.serve({}, [])

    return play


def tls_first(context: ssl.SSLContext) -> Any:
    async def play(peer: Peer) -> None:
        await peer.writer.start_tls(context)
        await talk(peer)

    return play


@pytest.mark.parametrize("implicit", [False, True])
def test_verified_tls_asks_for_name_and_chain(run: Run, authority: trustme.CA, implicit: bool) -> None:
    manner = tls_first if implicit else starting_tls

    async def work() -> None:
        wanted: dict[str, Any] = {"tls": UseTls.VERIFIED, "implicit_tls": implicit}
        async with host(manner(server_side(authority))) as (port, _):
            client = await connect(port, verifying=trusting(authority), **wanted)
            assert (await client.deliver(letter()))[0].accepted
            facts = client.tls_info
            assert facts is not None
            assert facts.verified
            assert (facts.version, facts.names) == ("TLSv1.3", ("127.0.0.1",))
            assert facts.bits >= 128
            assert "trustme" in facts.issuer
            assert len(facts.fingerprint) == 64
            assert client.security == str(facts)
            await client.quit()
            with pytest.raises(ConnectFault, match="certificate not accepted") as caught:
                await connect(port, context=client_context(verify=False), **wanted)  # the system does not know it
            assert caught.value.stage == "STARTTLS"
            with pytest.raises(ConnectFault, match="does not verify names"):
                await connect(port, verifying=client_context(verify=False), **wanted)
        async with host(manner(server_side(authority, "other.example"))) as (port, _):
            with pytest.raises(ConnectFault, match="certificate not accepted"):
                await connect(port, verifying=trusting(authority), **wanted)

    run(work())


@pytest.mark.parametrize("tls", [UseTls.REQUIRED, UseTls.OPPORTUNISTIC])
@pytest.mark.parametrize("implicit", [False, True])
def test_any_certificate_will_do_where_none_must_be_verified(
    run: Run, authority: trustme.CA, implicit: bool, tls: UseTls
) -> None:
    context = server_side(authority, "other.example")

    async def work() -> None:
        async with host(tls_first(context) if implicit else starting_tls(context)) as (port, _):
            client = await connect(port, tls=tls, implicit_tls=implicit)
            assert client.engine.tls
            assert client.security.endswith("certificate not verified")
            assert client.tls_info is not None
            assert client.tls_info.certificate
            assert (client.tls_info.names, client.tls_info.verified) == ((), False)
            await client.quit()

    run(work())


@pytest.mark.parametrize("tls", list(UseTls))
def test_a_host_that_speaks_in_clear_where_tls_comes_first(run: Run, tls: UseTls) -> None:
    """No mode falls back to clear there."""

    async def play(peer: Peer) -> None:
        await peer.say(b"220 in clear\r\n")
        await peer.reader.read()

    async def work() -> None:
        async with host(play) as (port, peers):
            with pytest.raises(ConnectFault, match=r"TLS handshake failed|outside TLS") as caught:
                await connect(port, tls=tls, implicit_tls=True, context=client_context(verify=False))
            assert caught.value.stage == "STARTTLS"
            assert len(peers) == 1

    run(work())


def test_a_handshake_that_is_reset_is_told_in_words(run: Run) -> None:
    async def play(peer: Peer) -> None:
        await peer.reader.read(10)
        peer.writer.transport.abort()

    async def work() -> None:
        async with host(play) as (port, _):
            with pytest.raises(ConnectFault, match=r"failed: (the connection was reset|Connection reset by peer)"):
                await connect(port, tls=UseTls.REQUIRED, implicit_tls=True)

    run(work())


def test_a_silent_handshake_ends_in_time(run: Run) -> None:
    async def play(peer: Peer) -> None:
        await peer.reader.read()

    async def work() -> None:
        async with host(play) as (port, _):
            with pytest.raises(ConnectFault, match="TLS handshake failed"):
                await connect(port, implicit_tls=True, timeouts=ClientTimeouts(handshake=0.05))

    run(work())


@pytest.mark.parametrize("behind", ["STARTTLS", "the handshake"])
def test_a_host_that_hangs_up_over_tls_is_tried_in_clear(run: Run, authority: trustme.CA, behind: str) -> None:
    async def play(peer: Peer) -> None:
        await peer.greet(b"STARTTLS")
        if await peer.hear() == b"STARTTLS":
            if behind == "the handshake":
                await peer.say(b"220 go\r\n")
                await peer.writer.start_tls(server_side(authority))
            return
        await peer.say(b"250 ok\r\n")
        await peer.serve({}, [])

    async def work() -> None:
        async with host(play) as (port, peers):
            client = await connect(port, context=client_context(verify=False))
            assert client.security.startswith("in clear, since ")
            assert client.tls_info is None
            assert (await client.deliver(letter()))[0].accepted
            assert "-- the connection ended" in client.take_transcript()
            assert len(peers) == 2
            client.abort()

    run(work())


def test_421_at_starttls_is_the_hosts_last_word(run: Run) -> None:
    async def play(peer: Peer) -> None:
        await peer.greet(b"STARTTLS")
        await peer.hear()
        await peer.say(b"421 4.3.2 bye\r\n")

    async def work() -> None:
        async with host(play) as (port, peers):
            with pytest.raises(ConnectFault, match="refused at STARTTLS") as caught:
                await connect(port, context=client_context(verify=False))
            assert caught.value.reply == Reply(421, "bye", "4.3.2")
            assert len(peers) == 1

    run(work())


# --- the live dialogue


def test_a_listener_hears_the_dialogue_as_it_is_said(run: Run) -> None:
    async def play(peer: Peer) -> None:
        await peer.greet(b"AUTH PLAIN", b"CHUNKING")
        await peer.hear()
        await peer.say(b"235 welcome\x1b[2J\r\n")
        await peer.serve({}, [])

    async def work() -> None:
        lines: list[tuple[str, str]] = []
        async with host(play) as (port, _):
            heard = lambda direction, text: lines.append((direction, text))  # noqa: E731
            client = await connect(port, listener=heard, account="kana", password="secret")
            assert lines == [
                ("*", f"connecting to 127.0.0.1:{port}"),
                ("S", "220 host.example ESMTP"),
                ("C", "EHLO me.example"),
                ("S", "250-host.example"),
                ("S", "250-AUTH PLAIN"),
                ("S", "250 CHUNKING"),
                ("C", "AUTH PLAIN"),
                ("S", "235 welcome?[2J"),
            ]
            client.take_transcript()
            lines.clear()
            await client.deliver(letter())
            assert lines[0] == ("C", "MAIL FROM:<kana@example.net>")
            assert ("*", "content, then the final dot") in lines
            assert lines[-1] == ("S", "250 queued")
            client.on_line = None
            lines.clear()
            await client.quit()
            assert lines == []
            with pytest.raises(ConnectFault):
                await connect(1, listener=heard)
            assert lines[-1] == ("*", "no connection to 127.0.0.1:1: Connection refused")

    run(work())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_greeting_in_one_segment_with_the_end_of_the_handshake(
    run: Run, authority: trustme.CA, version: ssl.TLSVersion
) -> None:
    """A host that speaks TLS first greets as soon as it may, and both may be read at once."""
    context = server_side(authority)
    context.maximum_version = version

    async def play(peer: Peer) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        inside = context.wrap_bio(incoming, outgoing, server_side=True)
        while True:
            try:
                inside.do_handshake()
                break
            except ssl.SSLWantReadError:
                await peer.say(outgoing.read())
                incoming.write(await peer.reader.read(65536))
        for answer in (b"220 hi\r\n", b"250 host.example\r\n", b"221 bye\r\n"):
            inside.write(answer)
            await peer.say(outgoing.read())
            incoming.write(await peer.reader.read(65536))

    async def work() -> None:
        async with host(play) as (port, _):
            client = await connect(port, tls=UseTls.REQUIRED, implicit_tls=True)
            assert client.engine.tls
            assert client.engine.greeting == Reply(220, "hi")
            await client.quit()

    run(work())


def test_an_answer_before_the_question_is_none(run: Run) -> None:
    """Whoever pairs it with what is said next is out of step from then on."""

    async def play(peer: Peer) -> None:
        await peer.say(b"220 hi\r\n250 early\r\n")
        await peer.reader.read()

    async def work() -> None:
        async with host(play) as (port, peers):
            with pytest.raises(ConnectFault, match="nothing asked for"):
                await connect(port)
            assert peers[0].heard == []

    run(work())
