"""A whole service in this process, and a client of the standard library in a thread beside it."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from postroad.service import Service
from postroad.service.service import bind, close_all, read_certificate
from postroad.settings import Settings, create_state, load_text
from postroad.spool.interface import MessageQuery

MX = """
hostname = "mail.example.net"
[mx]
listen = ["127.0.0.1:0"]
[[domain]]
name = "example.net"
deliver = "hold"
"""
MAIL = "Subject: hello\r\n\r\nhello\r\n"


def settings_of(text: str, folder: Path, path: Path | None = None) -> Settings:
    """Settings with their state in ``folder``."""
    if path is not None:
        path.write_text(text)
    settings = load_text(f'state = "{folder / "state"}"\n{text}', "test.toml", path=path)
    create_state(settings.state)
    return settings


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Service]:
    """The service, stopped at the end (unless the test has done it)."""
    bound = bind(settings)
    service = Service(settings, certificate=read_certificate(settings))
    try:
        await service.start(bound)
    except BaseException:
        close_all(bound)
        raise
    stopped: list[bool] = []
    stop = service.stop

    async def once(grace: float = 0.2) -> None:
        if not stopped:
            stopped.append(True)
            await stop(grace)

    service.stop = once  # type: ignore[method-assign]
    try:
        yield service
    finally:
        await service.stop()


Talk = Callable[[smtplib.SMTP], Any]


async def talk(service: Service, what: Talk, role: str = "mx", context: ssl.SSLContext | None = None) -> Any:
    """Connect as smtplib does, in a thread, and do ``what``."""
    host, port = service.addresses[role][0]

    def work() -> Any:
        client = (
            smtplib.SMTP(host, port, "client.example", timeout=20)
            if context is None
            else smtplib.SMTP_SSL(host, port, "client.example", timeout=20, context=context)
        )
        with client:
            return what(client)

    return await asyncio.to_thread(work)


def send(recipient: str = "bob@example.net", sender: str = "kana@example.org", mail: str = MAIL) -> Talk:
    """One message."""
    return lambda client: client.sendmail(sender, [recipient], mail)


def codes(*commands: str) -> Talk:
    """The codes of these commands, after EHLO."""

    def work(client: smtplib.SMTP) -> list[int]:
        client.ehlo()
        return [client.docmd(command)[0] for command in commands]

    return work


async def kept(service: Service) -> list[bytes]:
    """What the spool keeps, oldest first."""
    contents = []
    for message in await service.spool.messages(MessageQuery(oldest_first=True)):
        contents.append(b"".join([block async for block in service.spool.read(message.id)]))
    return contents


async def until(condition: Callable[[], Awaitable[bool] | bool]) -> None:
    """Let the loop turn until it is so."""
    async with asyncio.timeout(10):
        while True:
            found = condition()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.002)


def looped(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run a test in a loop of its own: uvloop's, as the program does."""
    import functools

    import uvloop

    @functools.wraps(test)
    def runs(*arguments: Any, **more: Any) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(asyncio.wait_for(test(*arguments, **more), 30))  # type: ignore[arg-type]

    return runs
