"""Runs the application in the mail server's own event loop, over TCP and over the operator's socket.

The loop, its signals and the log stay the mail server's: uvicorn gets ready sockets and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from postroad.errors import PostroadError

#: Seconds that open answers get to end when the server stops.
GRACE: Final = 2
#: What a Unix socket's path may have at most on Linux is 107 octets, on others less.
MAX_SOCKET_PATH: Final = 103
_BACKLOG: Final = 256


class _Server(uvicorn.Server):
    """uvicorn without its hands on our signals."""

    def __init__(self, config: uvicorn.Config, endings: Iterable[Callable[[], None]]) -> None:
        super().__init__(config)
        self._endings = endings

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the answers that would go on for ever, when nobody can come in again any more."""
        for listening in (*self.servers, *(sockets or ())):
            listening.close()
        for end in self._endings:
            end()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone."""
        yield


class WebServer:
    """One application on one listening socket; ``close`` ends it, and closes the socket."""

    def __init__(self, app: ASGIApp, listening: socket.socket) -> None:
        self._socket = listening
        name = listening.getsockname()
        self.address: tuple[str, int] | str = name if isinstance(name, str) else (name[0], name[1])
        """Host and port, or the path of a Unix socket."""
        config = uvicorn.Config(
            app,
            loop="none",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            date_header=True,
            proxy_headers=False,
            limit_concurrency=512,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=GRACE,
            h11_max_incomplete_event_size=64 * 1024,
        )
        self._server = _Server(config, getattr(getattr(app, "state", None), "endings", ()))
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Serve from now on; returns when connections are taken."""
        self._task = asyncio.get_running_loop().create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise PostroadError(f"the web server on {self.address} did not start")
            await asyncio.sleep(0.005)

    async def close(self) -> None:
        """Take no more, give open answers GRACE seconds, end. Wake long waits first (``Inbox.close``)."""
        if self._task is None:
            self._socket.close()
            return
        self._server.should_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._task = None
        self._socket.close()


def control_socket(path: Path) -> socket.socket:
    """A listening Unix socket that only its owner may open (mode 0600 from its first moment); replaces a dead one.

    The caller holds the state folder's lock: a socket that is there belongs to nobody alive.
    """
    if len(os.fsencode(path)) > MAX_SOCKET_PATH:
        raise PostroadError(f"the path of the control socket is too long: {path}", "choose a shorter `state`")
    path.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        made.bind(str(path))
        made.listen(_BACKLOG)
        made.setblocking(False)
    except BaseException:
        made.close()
        raise
    finally:
        os.umask(before)
    return made
