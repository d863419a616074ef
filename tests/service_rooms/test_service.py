"""Start, serve, reload, stop: the rooms joined, in this process."""

from __future__ import annotations

import asyncio
import smtplib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from postroad.errors import SettingsError, SpoolError
from postroad.net.tls import client_context
from postroad.policy.accounts import make_hash
from postroad.service import Service
from postroad.service.service import bind, close_all
from postroad.spool.interface import MessageQuery
from tests.service_rooms.rooms import MAIL, MX, codes, kept, looped, running, send, settings_of, talk, until

# --- start and stop


@looped
async def test_a_mail_goes_in_and_stays_through_a_restart(tmp_path: Path) -> None:
    settings = settings_of(MX, tmp_path)
    async with running(settings) as service:
        [(host, port)] = service.addresses["mx"]
        assert host == "127.0.0.1"
        assert port > 0
        assert service.unready == ""
        assert await talk(service, send()) == {}
        before = await kept(service)
    async with running(settings) as service:
        after = await kept(service)
    assert before == after
    [content] = after
    assert content.startswith(
        b"Received: from client.example ([127.0.0.1])\r\n by mail.example.net (Postroad) with ESMTP id "
    )
    assert content.endswith(b"+0000\r\n" + MAIL.encode())


@looped
async def test_a_mail_goes_through_to_its_maildir(tmp_path: Path) -> None:
    route = f"maildir:{tmp_path}/mail/{{domain}}/{{user}}"
    async with running(settings_of(MX.replace('"hold"', f'"{route}"'), tmp_path)) as service:
        await talk(service, send())
        new = tmp_path / "mail/example.net/bob/new"
        await until(lambda: new.is_dir() and len(list(new.iterdir())) == 1)
        content = next(new.iterdir()).read_bytes().replace(b"\r\n", b"\n")
        assert b"\nReceived: from client.example" in b"\n" + content
        assert content.endswith(MAIL.replace("\r\n", "\n").encode())
        await until(lambda: _empty(service))


async def _empty(service: Service) -> bool:
    return (await service.spool.stats()).messages == 0


@looped
async def test_a_stop_hears_out_who_is_sending(tmp_path: Path) -> None:
    async with running(settings_of(MX, tmp_path)) as service:
        reader, writer = await asyncio.open_connection(*service.addresses["mx"][0])
        idle, idle_writer = await asyncio.open_connection(*service.addresses["mx"][0])
        assert (await idle.readline())[:3] == b"220"
        writer.write(b"HELO x\r\n")
        assert (await reader.readline())[:3] == b"220"
        for command in (b"MAIL FROM:<a@b.example>\r\n", b"RCPT TO:<bob@example.net>\r\n", b"DATA\r\n"):
            writer.write(command)
            await reader.readline()
        await reader.readline()
        stopping = asyncio.create_task(service.stop(20))
        assert (await idle.readline())[:3] == b"421"
        idle_writer.close()
        writer.write(b"Subject: late\r\n\r\n.\r\n")
        assert (await reader.readline())[:3] == b"250"
        assert (await reader.readline())[:3] == b"421"
        writer.close()
        await stopping
        with pytest.raises(ConnectionError):
            await asyncio.open_connection(*service.addresses["mx"][0])
    async with running(settings_of(MX, tmp_path)) as service:
        assert len(await kept(service)) == 1


@looped
async def test_two_services_do_not_share_a_state(tmp_path: Path) -> None:
    settings = settings_of(MX, tmp_path)
    async with running(settings) as first:
        with pytest.raises(SpoolError) as fault:
            async with running(settings):
                pass
        assert str(settings.state) in fault.value.message
        assert fault.value.hint
        await talk(first, send())  # and the first does not notice


@looped
async def test_an_operators_switch_is_felt_at_once_and_outlives_a_restart(tmp_path: Path) -> None:
    settings = settings_of(MX, tmp_path)
    mail = "MAIL FROM:<a@b.example> SMTPUTF8"
    async with running(settings) as service:
        service.conditions.set("SMTPUTF8", "a test")
        assert await talk(service, codes(mail)) == [455]
        assert service.conditions.list()[0].refused == 1
        await until(lambda: bool(service.sessions.list(refused_only=True)))
        assert service.sessions.list()[0].refusals[0].startswith("455 4.5.4")
    async with running(settings) as service:
        assert await talk(service, codes(mail)) == [455]
        service.conditions.clear()
        assert await talk(service, codes(mail)) == [250]


@looped
async def test_no_room_no_mail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("postroad.inbound.service._TICK", 0.01)
    async with running(settings_of(MX, tmp_path)) as service:
        monkeypatch.setattr(service.spool, "free_octets", lambda: 0)
        await until(lambda: service.unready == "storage is short")
        assert await talk(service, codes("MAIL FROM:<a@b.example>", "NOOP")) == [452, 250]
        monkeypatch.setattr(service.spool, "free_octets", lambda: None)
        await until(lambda: service.unready == "")
        assert await talk(service, codes("MAIL FROM:<a@b.example>")) == [250]


@looped
async def test_dev_mode_takes_everything_and_sends_nothing(tmp_path: Path) -> None:
    async with running(settings_of('[dev]\nlisten = ["127.0.0.1:0"]\n', tmp_path)) as service:

        def work(client: smtplib.SMTP) -> None:
            client.login("anybody", "any password at all")
            client.sendmail("me@here.example", ["you@far.example"], MAIL)
            assert client.docmd("MAIL FROM:<me@here.example>")[0] == 250
            assert client.docmd("RCPT TO:<bob+455@far.example>")[0] == 455

        await talk(service, work, "dev")
        [content] = await kept(service)
        assert b" with ESMTPA id " in content
        [message] = await service.spool.messages(MessageQuery())
        assert message.recipients[0].state == "held"
        assert message.origin.account == "anybody"
        transcript = await service.spool.transcript(message.id)
        assert "AUTH" in transcript
        assert "password" not in transcript
        await until(lambda: len(service.sessions.list()) == 1)
        assert service.sessions.list()[0].messages == (message.id,)


# --- who may


@looped
async def test_submission_with_tls_and_a_password(tmp_path: Path) -> None:
    authority = trustme.CA()
    made = authority.issue_cert("localhost", "127.0.0.1")
    made.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    made.private_key_pem.write_to_path(tmp_path / "key.pem")
    context = client_context()
    authority.configure_trust(context)
    text = f"""
hostname = "mail.example.net"
[submission]
listen = ["127.0.0.1:0"]
[submissions]
listen = ["127.0.0.1:0"]
[tls]
cert = "{tmp_path}/cert.pem"
key = "{tmp_path}/key.pem"
[[account]]
name = "kana"
password_hash = "{make_hash("secret")}"
senders = ["kana@example.net"]
[outbound]
via = "hold"
"""

    def work(client: smtplib.SMTP) -> None:
        if not isinstance(client, smtplib.SMTP_SSL):
            client.starttls(context=context)
        client.ehlo()
        assert client.docmd("MAIL FROM:<kana@example.net>")[0] == 530
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            client.login("kana", "wrong")
        assert refused.value.smtp_code == 535
        client.login("kana", "secret")
        assert client.docmd("MAIL FROM:<other@example.net>")[0] == 553
        client.sendmail("kana@example.net", ["far@example.com"], MAIL)

    async with running(settings_of(text, tmp_path)) as service:
        assert sorted(service.addresses) == ["submission", "submissions"]
        await talk(service, work, "submission")
        await talk(service, work, "submissions", context)
        contents = await kept(service)
        assert len(contents) == 2
        assert all(b" with ESMTPSA id " in content for content in contents)


@looped
async def test_strangers_and_the_trusted(tmp_path: Path) -> None:
    rcpt = ("MAIL FROM:<a@b.example>", "RCPT TO:<far@example.com>", "RCPT TO:<bob@example.net>")
    async with running(settings_of(MX, tmp_path / "a")) as service:
        assert await talk(service, codes(*rcpt)) == [250, 550, 250]
    trusted = MX.replace("[mx]", '[mx]\ntrusted_networks = ["127.0.0.0/8"]')
    async with running(settings_of(trusted, tmp_path / "b")) as service:
        assert await talk(service, codes(*rcpt)) == [250, 250, 250]


# --- reload


def with_recipients(*names: str) -> str:
    return MX.replace("deliver", f"recipients = {list(names)!r}\ndeliver")


@looped
async def test_a_reload_is_for_new_sessions_only(tmp_path: Path) -> None:
    path = tmp_path / "postroad.toml"
    state = f'state = "{tmp_path}/state"\n'
    settings = settings_of(with_recipients("bob"), tmp_path, path)
    async with running(settings) as service:
        reader, writer = await asyncio.open_connection(*service.addresses["mx"][0])
        writer.write(b"HELO x\r\nMAIL FROM:<a@b.example>\r\n")
        for _ in range(3):
            await reader.readline()

        path.write_text(state + with_recipients("alice").replace("[mx]", "[smtp]\nshow_version = true\n[mx]"))
        await service.reload()

        writer.write(b"RCPT TO:<bob@example.net>\r\nRCPT TO:<alice@example.net>\r\n")
        assert [(await reader.readline())[:3] for _ in range(2)] == [b"250", b"550"]
        rcpt = ("MAIL FROM:<a@b.example>", "RCPT TO:<bob@example.net>", "RCPT TO:<alice@example.net>")
        assert await talk(service, codes(*rcpt)) == [250, 550, 250]
        fresh, fresh_writer = await asyncio.open_connection(*service.addresses["mx"][0])
        assert b" Postroad 0" in await fresh.readline()
        for one in (writer, fresh_writer):
            one.close()


@pytest.mark.parametrize(
    "bad",
    ["not TOML at all [", with_recipients("bob").replace('"hold"', '"nowhere"'), MX.replace("[mx]", "[mx]\nfrob = 1")],
)
@looped
async def test_bad_settings_keep_the_old(tmp_path: Path, bad: str) -> None:
    path = tmp_path / "postroad.toml"
    settings = settings_of(with_recipients("bob"), tmp_path, path)
    async with running(settings) as service:
        path.write_text(f'state = "{tmp_path}/state"\n{bad}')
        with pytest.raises(SettingsError) as fault:
            await service.reload()
        assert "postroad.toml" in str(fault.value)
        assert service.settings is settings
        assert await talk(service, send()) == {}
        path.unlink()
        with pytest.raises(SettingsError):
            await service.reload()
        assert await talk(service, send()) == {}


@looped
async def test_a_password_may_change_under_a_running_session(tmp_path: Path) -> None:
    """The old one is good for sessions that began before; new sessions need the new one."""
    path = tmp_path / "postroad.toml"

    def text(password: str) -> str:
        return (
            MX.replace("[mx]", "[mx]\nauth = true")
            + f'[[account]]\nname = "kana"\npassword_hash = "{make_hash(password)}"\n'
        )

    settings = settings_of(text("old"), tmp_path, path)
    async with running(settings) as service:
        begun, go_on = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def slow(client: smtplib.SMTP) -> int:
            client.ehlo()
            loop.call_soon_threadsafe(begun.set)
            asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(20)
            return client.login("kana", "old")[0]

        before = asyncio.create_task(talk(service, slow))
        await begun.wait()
        path.write_text(f'state = "{tmp_path}/state"\n{text("new")}')
        await service.reload()
        go_on.set()
        assert await before == 235
        assert (await talk(service, lambda client: client.login("kana", "new")))[0] == 235
        with pytest.raises(smtplib.SMTPAuthenticationError):
            await talk(service, lambda client: client.login("kana", "old"))


@looped
async def test_what_was_held_for_want_of_a_route_goes_when_there_is_one(tmp_path: Path) -> None:
    path = tmp_path / "postroad.toml"
    trusted = MX.replace("[mx]", '[outbound]\nvia = "hold"\n[mx]\ntrusted_networks = ["127.0.0.0/8"]')
    settings = settings_of(trusted, tmp_path, path)
    async with running(settings) as service:
        await talk(service, send("far@later.example"))
        [message] = await service.spool.messages(MessageQuery())
        assert (message.recipients[0].state, message.recipients[0].note) == ("held", "the route is hold")
        route = f'[[domain]]\nname = "later.example"\ndeliver = "maildir:{tmp_path}/mail/{{user}}"\n'
        path.write_text(f'state = "{tmp_path}/state"\n{trusted}{route}')
        await service.reload()
        await until(lambda: (tmp_path / "mail/far/new").is_dir() and any((tmp_path / "mail/far/new").iterdir()))


# --- bind


def mx_on(*addresses: str) -> str:
    return MX.replace('["127.0.0.1:0"]', str(list(addresses)).replace("'", '"'))


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


@pytest.mark.parametrize(
    ("text", "option"),
    [(mx_on("127.0.0.1:{}"), "[mx] listen"), ('[dev]\nlisten = ["127.0.0.1:{}"]\n', "--port")],
)
def test_a_port_that_is_taken_names_the_option(tmp_path: Path, taken: int, text: str, option: str) -> None:
    with pytest.raises(SettingsError) as fault:
        bind(settings_of(text.replace("{}", str(taken)), tmp_path))
    assert str(taken) in fault.value.message
    assert option in fault.value.hint


def test_a_failed_bind_leaves_no_port_open(tmp_path: Path, taken: int) -> None:
    first, second = free_port(), free_port()
    text = mx_on(f"127.0.0.1:{first}") + f'[submission]\nlisten = ["127.0.0.1:{second}", "127.0.0.1:{taken}"]\n'
    with pytest.raises(SettingsError) as fault:
        bind(settings_of(text, tmp_path))
    for port in (first, second):
        socket.create_server(("127.0.0.1", port)).close()
    assert fault.value.__traceback__ is not None  # it still holds the frames that held the sockets


def test_an_address_of_another_machine(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^\[mx\] cannot listen on 192\.0\.2\.1:2525"):
        bind(settings_of(mx_on("127.0.0.1:0", "192.0.2.1:2525"), tmp_path))


def test_every_address_is_bound(tmp_path: Path) -> None:
    bound = bind(settings_of(mx_on("127.0.0.1:0", "127.0.0.2:0"), tmp_path))
    assert [one.getsockname()[0] for one in bound["mx"]] == ["127.0.0.1", "127.0.0.2"]
    close_all(bound)
    assert all(one.fileno() < 0 for one in bound["mx"])


def test_a_family_that_the_machine_lacks_is_no_fault_of_a_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from postroad.service import service as module

    asked: list[tuple[str, int]] = []

    def only_ipv4(host: str, port: int) -> socket.socket:
        asked.append((host, port))
        if ":" in host:
            raise module.NoSuchAddress(f"cannot listen on [{host}]:{port}")
        return socket.socket()

    monkeypatch.setattr(module, "listen", only_ipv4)
    by_default = settings_of(MX.replace('listen = ["127.0.0.1:0"]\n', ""), tmp_path)
    close_all(bind(by_default))
    assert asked == [("0.0.0.0", 25), ("::", 25)]
    with pytest.raises(SettingsError):
        bind(settings_of(mx_on("0.0.0.0:25", "[::]:25"), tmp_path))


def test_no_family_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from postroad.service import service as module

    def nothing(host: str, port: int) -> socket.socket:
        raise module.NoSuchAddress("none")

    monkeypatch.setattr(module, "listen", nothing)
    with pytest.raises(SettingsError, match="cannot listen anywhere") as fault:
        bind(settings_of(MX.replace('listen = ["127.0.0.1:0"]\n', ""), tmp_path))
    assert "[mx] listen" in fault.value.hint


@looped
async def test_sockets_of_the_service_manager_are_used_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from postroad.service import service as module

    handed = socket.create_server(("127.0.0.1", 0))
    port = handed.getsockname()[1]
    monkeypatch.setattr(module, "passed_sockets", lambda environment, pid: {"mx": [handed]})
    async with running(settings_of(mx_on("192.0.2.1:25"), tmp_path)) as service:
        assert service.addresses["mx"] == [("127.0.0.1", port)]
        await talk(service, send())


def test_sockets_of_the_service_manager_are_used_by_port_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from postroad.service import service as module

    handed, stranger = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))
    try:
        port = handed.getsockname()[1]
        monkeypatch.setattr(module, "passed_sockets", lambda environment, pid: {"unknown": [stranger, handed]})
        assert bind(settings_of(mx_on(f"192.0.2.1:{port}"), tmp_path)) == {"mx": [handed]}
    finally:
        handed.close()
        stranger.close()
