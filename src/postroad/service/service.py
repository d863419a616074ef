"""A running Postroad: spool, listeners and delivery, from start to the last drained session."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Final

import postroad
from postroad.clock import Clock, SystemClock
from postroad.envelope import JournalEntry
from postroad.errors import SettingsError
from postroad.inbound.reception import ConditionsNow
from postroad.inbound.service import InboundService
from postroad.inbox.chaos import Chaos
from postroad.inbox.inbox import Inbox
from postroad.net.certificate_dates import expires_at
from postroad.net.listener import AddressTaken, NoSuchAddress, listen, passed_sockets
from postroad.net.tls import Certificate
from postroad.observe.log import get_logger
from postroad.observe.mail_log import log_accepted
from postroad.observe.metrics import Metrics
from postroad.observe.sessions import SessionLog
from postroad.observe.traffic import Traffic
from postroad.observe.traffic_file import TrafficFile
from postroad.policy.accounts import Accounts, AnyPassword
from postroad.policy.conditions import ConditionsBoard, known_parameters
from postroad.policy.rates import Rates
from postroad.service import assembly, outgoing
from postroad.service.chores import Chores
from postroad.service.counting import figures
from postroad.service.delivering import Delivery, make_runner
from postroad.service.effective import Reloaded
from postroad.service.reloading import refuse_what_needs_a_restart
from postroad.settings import Listener, Settings, password_files, read_again, read_password, shown
from postroad.spool.sqlite import SqliteSpool

log = get_logger("service")

#: Seconds that sessions and deliveries under way get at the end.
GRACE: Final = 30.0
_CERTIFICATE_TICK: Final = 10.0
_JOURNAL_TICK: Final = 600.0
_TRAFFIC_TICK: Final = 10.0
_TRAFFIC_SAVED: Final = 60.0
_DAY: Final = 86400.0


def bind(settings: Settings) -> dict[str, list[socket.socket]]:
    """Open every listening socket (systemd's when it passed them), before privileges are dropped.

    Raises SettingsError that names the address and what to change.
    """
    passed = passed_sockets(os.environ, os.getpid())
    bound: dict[str, list[socket.socket]] = {}
    try:
        for role, listener in settings.listeners:
            bound[role] = _passed_for(role, listener, passed) or _bind_all(role, listener.listen, listener.optional)
    except SettingsError:
        close_all(bound)
        raise
    return bound


def _passed_for(role: str, listener: Listener, passed: dict[str, list[socket.socket]]) -> list[socket.socket]:
    """The service manager's sockets for a role: by ``FileDescriptorName=``, else by the port that is configured."""
    if role in passed:
        return passed.pop(role)
    ports = {port for _, port in listener.listen if port}
    found = [one for sockets in passed.values() for one in sockets if _port_of(one) in ports]
    for sockets in passed.values():
        sockets[:] = [one for one in sockets if one not in found]
    return found


def _port_of(bound: socket.socket) -> int:
    name = bound.getsockname()
    return name[1] if isinstance(name, tuple) else 0


def _bind_all(role: str, addresses: tuple[tuple[str, int], ...], optional: bool) -> list[socket.socket]:
    found: list[socket.socket] = []
    try:
        for host, port in addresses:
            try:
                found.append(listen(host, port))
            except NoSuchAddress as fault:
                if not optional:
                    raise SettingsError(f"[{role}] {fault.message}", fault.hint) from fault
            except AddressTaken as fault:
                option = "--port" if role == "dev" else f"[{role}] listen"
                hint = f"stop what listens there, or choose another with {option}"
                raise SettingsError(fault.message, hint) from fault
    except SettingsError:
        close_all({role: found})
        raise
    if not found:
        raise SettingsError(f"[{role}] cannot listen anywhere", f'[{role}] listen = ["127.0.0.1:2525"]')
    return found


def close_all(bound: Mapping[str, list[socket.socket]]) -> None:
    """Close sockets that will not be used."""
    for sockets in bound.values():
        for one in sockets:
            one.close()


class Service:
    """Made with checked settings; ``start`` needs the sockets of ``bind``."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock | None = None,
        certificate: Certificate | None = None,
        passwords: outgoing.Passwords | None = None,
    ) -> None:
        self.settings = settings
        self.clock = clock if clock is not None else SystemClock()
        self.sessions = SessionLog()
        self.metrics = Metrics()
        self.traffic = Traffic(self.clock, self.metrics)
        self._traffic_file = TrafficFile(settings.state, self.traffic)
        self.addresses: dict[str, list[tuple[str, int]]] = {}
        self._certificate = certificate
        self._passwords = passwords if passwords is not None else read_passwords(settings)
        self._authenticator: Accounts | AnyPassword | None = None
        self._inbound = InboundService(self.clock)
        self._chores = Chores()

    # --- what others use

    spool: SqliteSpool
    inbox: Inbox
    conditions: ConditionsBoard
    chaos: Chaos | None
    delivery: Delivery
    reloaded: Reloaded | None = None
    """How the last reload ended; None: there was none."""

    @property
    def unready(self) -> str:
        """Why no mail is taken now, or ``""``."""
        free = self._shared.conditions.current.free_octets
        return "storage is short" if free is not None and free <= 0 else ""

    async def exposition(self) -> bytes:
        """What Prometheus is told; raises SpoolError."""
        tls = self.settings.tls
        expires = expires_at(tls.cert) if tls is not None else None
        return self.metrics.expose(await figures(self.spool, self.clock, postroad.__version__, expires))

    # --- the life

    async def start(self, sockets: Mapping[str, list[socket.socket]]) -> None:
        """Open the spool, begin delivery, accept connections; raises SettingsError or SpoolError."""
        settings = self.settings
        await self._open(settings)
        self._use(settings)
        self.delivery = make_runner(
            settings,
            self.spool,
            self.clock,
            self.conditions,
            lambda: outgoing.routes(self.settings, self._passwords),
            lambda: frozenset(address for found in self.addresses.values() for address in found),
        )
        self.delivery.runner.start()
        await self._inbound.start(sockets)
        self.addresses = {role: [one.getsockname()[:2] for one in bound] for role, bound in sockets.items()}
        for role, addresses in self.addresses.items():
            for address in addresses:
                log.info("listening", listener=role, address=shown(address))
        if self._certificate is not None:
            self._chores.begin("certificate", _CERTIFICATE_TICK, self._watch_certificate)
        self._chores.begin("journal", _JOURNAL_TICK, self._trim_journal, first=1.0)
        self._chores.begin("traffic", _TRAFFIC_TICK, self._sample_traffic)
        self._chores.begin("traffic file", _TRAFFIC_SAVED, self._traffic_file.save)
        self._chores.begin("announcements", _DAY, self._renew_announcements)

    async def _open(self, settings: Settings) -> None:
        """The spool, and what all listeners share."""
        dev = settings.dev
        self.spool = await SqliteSpool.open(
            settings.state / "spool", clock=self.clock, min_free=settings.limits.min_free
        )
        self.spool.on_accepted(log_accepted)
        self.spool.on_settled(self.metrics.settled)
        self._traffic_file.load()
        self.spool.on_accepted(self.traffic.accepted)
        self.spool.on_settled(self.traffic.settled)
        self._tell_interrupted(self.spool.interrupted)
        self.inbox = Inbox(self.spool, keep=dev.keep if dev else None, keep_octets=dev.keep_octets if dev else 0)
        self.chaos = Chaos(dev.chaos) if dev is not None else None
        offered = assembly.offered_extensions(settings.limits, self.clock, tls=False, auth=False, hold_for=_DAY)
        known = (*known_parameters(offered), "BODY=7BIT", "BODY=8BITMIME", "BODY=BINARYMIME")
        self.conditions = ConditionsBoard(self.clock, settings.state / "conditions.json", known)
        self._shared = assembly.Shared(
            spool=self.spool,
            clock=self.clock,
            conditions=ConditionsNow(self.conditions, settings.limits.message_size),
            rates=Rates(assembly.rate_limits(settings.limits), self.clock, settings.limits.exempt),
            chaos=self.chaos,
            sessions=self.sessions.add,
            metrics=self.metrics,
        )
        self._shared.conditions.measure(self.spool.free_octets(), settings.limits.message_size)

    def _tell_interrupted(self, entries: Sequence[JournalEntry]) -> None:
        """The process before was killed while it delivered: who may get a message twice."""
        self.metrics.settled(entries)
        self.traffic.settled(entries)
        for entry in entries:
            for number, path in entry.forward_paths.items():
                log.warning(
                    "delivery interrupted", message=entry.message, number=number, recipient=path, uncertain=True
                )

    async def stop(self, grace: float = GRACE) -> None:
        """Drain sessions, then deliveries, then close the spool; nothing that was acknowledged is lost by it."""
        log.info("stopping", connections=len(self._inbound.connections))
        await self._chores.end()
        await self._inbound.drain(grace)
        await self.delivery.runner.stop(grace)
        self.inbox.close()
        if self._authenticator is not None:
            self._authenticator.close()
        await self._traffic_file.save()
        await self.spool.close()
        log.info("stopped")

    async def reload(self) -> None:
        """Read settings and certificate again and use them for new sessions; when they are bad, keep the old.

        Raises SettingsError with what is wrong, or what only a restart can change.
        """
        settings = await asyncio.get_running_loop().run_in_executor(None, read_again, self.settings)
        refuse_what_needs_a_restart(self.settings, settings)
        self._renew_certificate()
        self._renew_passwords(settings)
        self._shared.rates.renew(assembly.rate_limits(settings.limits), settings.limits.exempt)
        self._use(settings)
        self.delivery.reload(settings, outgoing.routes(settings, self._passwords))
        if (
            self.chaos is not None
            and settings.dev is not None
            and self.settings.dev is not None
            and settings.dev.chaos != self.settings.dev.chaos
        ):
            self.chaos.replace(settings.dev.chaos)
        self.settings = settings
        log.info("settings reloaded", file=str(settings.path) if settings.path is not None else "dev mode")

    # --- parts

    def _use(self, settings: Settings) -> None:
        before = self._authenticator
        if settings.dev is not None:
            self._authenticator = AnyPassword()
        else:
            self._authenticator = Accounts(assembly.password_hashes(settings), self.clock)
        self._inbound.use(assembly.receptions(settings, self._shared, self._certificate, self._known()))
        if before is not None:
            asyncio.get_running_loop().call_later(GRACE, before.close)  # running sessions may still ask it

    async def check_password(self, name: str, password: str) -> bool | None:
        """Whether this is the password of an account; None when too many ask at once. Takes the same time for all names."""
        known = self._known()
        return await known.check(name, password) if isinstance(known, Accounts) else False

    def _known(self) -> Accounts | AnyPassword:
        """Whoever knows accounts; raises RuntimeError before the start."""
        if self._authenticator is None:
            raise RuntimeError("the service has not started")
        return self._authenticator

    async def _watch_certificate(self) -> None:
        """Read the certificate again when its files have changed."""
        self._renew_certificate()

    async def _trim_journal(self) -> None:
        """Forget the oldest attempts, as ``[journal]`` says."""
        journal = self.settings.journal
        await self.spool.trim_journal(self.clock.wall() - journal.keep, journal.size)

    async def _sample_traffic(self) -> None:
        """Notice the replies of the last seconds."""
        self.traffic.sample()

    async def _renew_announcements(self) -> None:
        """Say anew until when mail may be held (FUTURERELEASE names a moment)."""
        self._inbound.use(assembly.receptions(self.settings, self._shared, self._certificate, self._known()))

    def _renew_certificate(self) -> None:
        """Read it when its files have changed; an unchanged key need not be readable for who root has become."""
        certificate = self._certificate
        if certificate is not None and certificate.has_changed:
            try:
                certificate.reload()
                log.info("certificate reloaded")
            except SettingsError as fault:
                log.error("certificate not reloaded, the old one stays", cause=fault.message, hint=fault.hint)

    def _renew_passwords(self, settings: Settings) -> None:
        """Read the passwords for other hosts again; one that cannot be read now stays what it was."""
        found = dict(self._passwords)
        for key, path in password_files(settings).items():
            try:
                found[path] = read_password(path)
            except SettingsError as fault:
                if path not in found:
                    raise
                log.error("password not read again, the old one stays", key=key, cause=fault.message)
        self._passwords = found


def read_passwords(settings: Settings) -> outgoing.Passwords:
    """The passwords for other hosts, before privileges are dropped; raises SettingsError."""
    return {path: read_password(path) for path in password_files(settings).values()}


def read_certificate(settings: Settings) -> Certificate | None:
    """The certificate and key, before privileges are dropped; raises SettingsError."""
    tls = settings.tls
    return None if tls is None else Certificate(tls.cert, tls.key, tls.minimum)
