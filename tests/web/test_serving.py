"""The application in a loop of its own choosing: over TCP, over the operator's socket, and gone when told to go."""

from __future__ import annotations

import asyncio
import signal
import socket
import stat
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvloop

from postroad.errors import PostroadError
from postroad.net.listener import listen
from postroad.web.app import create_app
from postroad.web.serving import WebServer, control_socket
from tests.web.house import House

Runner = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Runner:
    return asyncio.run if request.param == "asyncio" else uvloop.run


def test_tcp_and_the_operators_socket_side_by_side(run: Runner, tmp_path: Path) -> None:
    async def work() -> None:
        house = House(dev=False)
        path = tmp_path / "control.sock"
        public = WebServer(house.app, listen("127.0.0.1", 0))
        control = WebServer(create_app(house.admin, dev=False, control=True), control_socket(path))
        handler = signal.getsignal(signal.SIGTERM)
        await public.start()
        await control.start()
        assert signal.getsignal(signal.SIGTERM) is handler
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert control.address == str(path)
        assert isinstance(public.address, tuple)
        off = {"available": False, "seconds": 600}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{public.address[1]}") as client:
            assert (await client.get("/api/v1/status")).json()["mode"] == "production"
            assert (await client.put("/api/v1/conditions/SIZE", json=off)).status_code == 403
        transport = httpx.AsyncHTTPTransport(uds=str(path))
        async with httpx.AsyncClient(transport=transport, base_url="http://postroad") as client:
            assert (await client.put("/api/v1/conditions/SIZE", json=off)).status_code == 200
        assert set(house.conditions.unavailable()) == {"SIZE"}
        house.inbox.close()
        await public.close()
        await control.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*public.address)

    run(guard(work))


async def guard(work: Callable[[], Awaitable[None]]) -> None:
    await work()


def test_a_long_wait_does_not_keep_the_server(run: Runner) -> None:
    async def work() -> None:
        house = House()
        server = WebServer(house.app, listen("127.0.0.1", 0))
        await server.start()
        assert isinstance(server.address, tuple)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.address[1]}", timeout=60) as client:
            waiting = asyncio.create_task(client.get("/api/v1/inbox/wait?timeout=300"))
            while not house.inbox._waiters:
                await asyncio.sleep(0.005)
            house.inbox.close()
            assert (await waiting).status_code == 404
            waiting = asyncio.create_task(client.get("/api/v1/inbox/wait?timeout=300"))
            assert (await waiting).status_code == 404
            await server.close()

    run(guard(work))


def test_who_follows_the_journal_is_answered_when_the_server_stops(
    run: Runner, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        house = House()
        server = WebServer(house.app, listen("127.0.0.1", 0))
        await server.start()
        assert isinstance(server.address, tuple)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.address[1]}", timeout=60) as client:
            following = asyncio.create_task(client.get("/api/v1/log?after=7&wait=60"))
            while not house.app.state.stopping._waiters:
                await asyncio.sleep(0.005)
            await server.close()
            answer = await following
            assert (answer.status_code, answer.json()["entries"], answer.json()["next"]) == (200, [], 7)

    run(guard(work))
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_waiter_that_hangs_up_is_let_go(run: Runner) -> None:
    async def work() -> None:
        house = House()
        server = WebServer(house.app, listen("127.0.0.1", 0))
        await server.start()
        assert isinstance(server.address, tuple)
        _, writer = await asyncio.open_connection("127.0.0.1", server.address[1])
        writer.write(b"GET /api/v1/inbox/wait?timeout=300 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while not house.inbox._waiters:
            await asyncio.sleep(0.005)
        writer.close()
        while house.inbox._waiters:
            await asyncio.sleep(0.005)
        await server.close()

    run(guard(work))


def test_a_dead_socket_is_replaced_and_a_long_path_refused(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    control_socket(path).close()
    assert path.exists()
    again = control_socket(path)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    again.close()
    with pytest.raises(PostroadError, match="too long"):
        control_socket(tmp_path / ("x" * 100) / "control.sock")


def test_rubbish_is_answered_and_the_server_lives(run: Runner) -> None:
    async def work() -> None:
        house = House()
        server = WebServer(house.app, listen("127.0.0.1", 0))
        await server.start()
        assert isinstance(server.address, tuple)
        for rubbish in (
            b"\x16\x03\x01" + b"\x00" * 50,
            b"EHLO x\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.address[1])
            writer.write(rubbish)
            assert (await reader.readline()).startswith(b"HTTP/1.1 400")
            writer.close()
        async with httpx.AsyncClient(base_url=f"http://localhost:{server.address[1]}") as client:
            assert (await client.get("/livez")).text == "alive\n"
        await server.close()

    run(guard(work))
