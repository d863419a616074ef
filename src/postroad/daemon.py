"""The process: sockets, privileges, event loop, signals; the service and, over it, page and API.

The order is the promise: bind every port, read every key, become ``user``, only then open the spool and accept.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress

import postroad
from postroad.admin import About, Admin, Listening
from postroad.admin.access import Access, Resident
from postroad.admin.health import Health
from postroad.admin.setup import Door, Facts
from postroad.admin.why import Outlook
from postroad.errors import PostroadError, SettingsError
from postroad.net.certificate_dates import expires_at
from postroad.net.descriptors import allow_many
from postroad.net.listener import AddressTaken, listen
from postroad.net.memory import keep_large_blocks_mapped, look_for_circles_seldom
from postroad.net.tls import Certificate
from postroad.observe.log import get_logger
from postroad.service import Service
from postroad.service.assembly import residents
from postroad.service.effective import Reloaded, effective
from postroad.service.outgoing import Passwords
from postroad.service.privileges import drop, hand_over
from postroad.service.service import bind, close_all, read_certificate, read_passwords
from postroad.settings import Settings, create_state, password_files, shown
from postroad.web.app import create_app
from postroad.web.serving import WebServer, control_socket

log = get_logger("daemon")

Sockets = Mapping[str, list[socket.socket]]


Ready = Callable[[Service, list[str], str], None]


def run(settings: Settings, ready: Ready | None = None) -> None:
    """Run until SIGTERM or SIGINT. ``ready`` is told once mail is accepted: the page's URLs, and its password or "".

    Raises SettingsError (a port that is taken, a key that cannot be read) and SpoolError (the state is in use).
    """
    keep_large_blocks_mapped()
    allow_many()
    create_state(settings.state)
    if settings.user:
        hand_over(settings.state, settings.user)
    bound = bind(settings)
    try:
        web = bind_web(settings)
        certificate = read_certificate(settings)
        passwords = read_passwords(settings)
        if settings.user:
            drop(settings.user)
    except PostroadError:
        close_all(bound)
        raise
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(settings, bound, web, (certificate, passwords), ready))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it exists, else asyncio's own loop."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def bind_web(settings: Settings) -> list[socket.socket]:
    """The sockets of page and API; raises SettingsError that names what to change."""
    if settings.web is None:
        return []
    try:
        return [listen(host, port) for host, port in settings.web.listen]
    except AddressTaken as fault:
        option = "--web-port" if settings.dev is not None else "[web] listen"
        raise SettingsError(fault.message, f"stop what listens there, or choose another with {option}") from fault


async def _serve(
    settings: Settings,
    bound: Sockets,
    web: list[socket.socket],
    secrets_read: tuple[Certificate | None, Passwords],
    ready: Ready | None,
) -> None:
    stop = asyncio.Event()
    certificate, passwords = secrets_read
    service = Service(settings, certificate=certificate, passwords=passwords)
    reloads = Reloads(service, stop)
    _on_signals(reloads, stop)  # before the first accept: no session is ever cut without its 421
    async with reloads.turn:
        await service.start(bound)
    async with AsyncExitStack() as ending:
        ending.push_async_callback(service.stop)
        ending.callback(settings.control_socket.unlink, missing_ok=True)
        # A developer's inbox that others can reach is theirs to read only with the password, which is told once.
        password = secrets.token_urlsafe(12) if settings.dev is not None and settings.dev.open_to_network else ""
        admin = make_admin(service)
        servers = _web_servers(service, admin, web, password)
        for server in servers:
            await server.start()
            ending.push_async_callback(server.close)
        ending.callback(admin.close)
        ending.callback(service.inbox.close)  # long waits end before their server does
        urls = [f"http://{shown(one.getsockname()[:2])}/" for one in web]
        for url in urls:
            log.info("listening", listener="web", url=url)
        look_for_circles_seldom()
        if ready is not None:
            ready(service, urls, password)
        await stop.wait()
        log.info("signal received")


def _web_servers(service: Service, admin: Admin, web: list[socket.socket], password: str) -> list[WebServer]:
    """The page and API for people, and the same for the machine's owner on the control socket."""
    settings = service.settings
    page = create_app(
        admin,
        public_url=settings.web.public_url if settings.web is not None else "",
        dev=settings.dev is not None,
        password=password,
        hosts=(settings.hostname,) if settings.dev is None else (),
        exposition=service.exposition,
    )
    control = create_app(admin, control=True, exposition=service.exposition)
    return [WebServer(control, control_socket(settings.control_socket)), *(WebServer(page, one) for one in web)]


def make_admin(service: Service) -> Admin:
    """What operators may ask of this service."""
    return Admin(
        spool=service.spool,
        inbox=service.inbox,
        conditions=service.conditions,
        sessions=service.sessions,
        traffic=service.traffic,
        about=lambda: _about(service),
        chaos=service.chaos,
        unready=lambda: service.unready,
        clock=service.clock,
        runner=service.delivery.runner if service.settings.dev is None else None,
        outlook=Outlook(service.delivery.gives_up_at, service.delivery.rests_until),
        delivery=service.delivery if service.settings.dev is None else None,
        setup=lambda: _facts(service),
        settings=lambda: effective(service.settings, service.reloaded),
        health=lambda: _health(service),
        access=_access(service),
    )


def _access(service: Service) -> Access:
    """Who may come in by the web; asked anew for each request, so that a reload acts at once."""
    dev = service.settings.dev is not None
    return Access(
        residents=lambda: {name: Resident(*one) for name, one in residents(service.settings).items()},
        verify=service.check_password,
        folder=service.settings.state,
        # The password of an open developer's inbox is another one at each start, and so are its sign-ins.
        keep_sign_ins=not dev,
        clock=service.clock,
    )


def _health(service: Service) -> Health:
    """What the machine has left."""
    tls = service.settings.tls
    try:
        disk = shutil.disk_usage(service.settings.state).total
    except OSError:
        disk = None
    return Health(service.spool.free_octets(), disk, expires_at(tls.cert) if tls is not None else None)


def _facts(service: Service) -> Facts:
    """What of the settings can be checked from outside of them."""
    settings, outbound = service.settings, service.settings.outbound
    secret = list(password_files(settings).values())
    secret += [] if settings.tls is None else [settings.tls.key]
    secret += [settings.path] if settings.path is not None and settings.accounts else []
    return Facts(
        hostname=settings.hostname,
        dev=settings.dev is not None,
        doors=tuple(Door(one.name, one.host, one.port, one.tls) for one in _about(service).listeners),
        domains=tuple(one.name for one in settings.domains),
        state=settings.state,
        min_free=settings.limits.min_free,
        resolver=outbound.resolver,
        source=outbound.source,
        via=outbound.via,
        port=outbound.port,
        allow_networks=tuple(map(str, outbound.allow_networks)),
        certificate=settings.tls.cert if settings.tls is not None else None,
        secrets=tuple(dict.fromkeys(secret)),
    )


def _about(service: Service) -> About:
    settings = service.settings
    listening = []
    for role, listener in settings.listeners:
        tls = "implicit" if role == "submissions" else "starttls" if settings.tls is not None else "none"
        auth = "any" if settings.dev is not None else "optional" if role == "mx" else "required"
        for host, port in service.addresses.get(role, ()):
            listening.append(Listening(role, host, port, tls, auth if listener.auth else "none"))
    return About(
        hostname=settings.hostname,
        version=postroad.__version__,
        dev=settings.dev is not None,
        listeners=tuple(listening),
        keep=settings.dev.keep if settings.dev is not None else None,
    )


class Reloads:
    """What SIGHUP asks for: one at a time, none before the service runs, none once it is to stop."""

    def __init__(self, service: Service, stop: asyncio.Event) -> None:
        self._service = service
        self._stop = stop
        self._tasks: set[asyncio.Task[None]] = set()
        self.turn = asyncio.Lock()
        """Held by whoever changes the service."""

    def ask(self) -> None:
        """Read the settings again, in turn."""
        task = asyncio.get_running_loop().create_task(self._reload())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reload(self) -> None:
        async with self.turn:
            if self._stop.is_set():
                return
            at = self._service.clock.wall()
            try:
                await self._service.reload()
                self._service.reloaded = Reloaded(at)
            except PostroadError as fault:
                self._service.reloaded = Reloaded(at, fault.message, fault.hint)
                log.error("settings not reloaded, the old ones stay", cause=str(fault), hint=fault.hint)
            except Exception:
                self._service.reloaded = Reloaded(at, "a fault in the server, see its log")
                log.exception("settings not reloaded")


def _on_signals(reloads: Reloads, stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if hasattr(signal, "SIGHUP"):
        loop.add_signal_handler(signal.SIGHUP, reloads.ask)


def announce(service: Service, urls: list[str], password: str) -> None:
    """Tell a developer what to paste: the page, then host, port and security of the SMTP side."""
    lines = [f"Postroad catches mail; see it at  {url}" for url in urls]
    if password:
        lines.append(f"Page and API ask for a password (any user name): {password}")
    for host, port in (address for addresses in service.addresses.values() for address in addresses):
        lines.append(f"SMTP host {host} · port {port} · no TLS · any user name and password, or none")
    lines.append("Ctrl-C stops it.")
    with suppress(BrokenPipeError):
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
