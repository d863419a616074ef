"""The envelope asked about, never a message sent: AUTH, MAIL and RCPT, each answer as a finding; RSET behind it.

MAIL and RCPT promise nothing: without DATA no host keeps anything (RFC 5321 section 3.3).
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Final

from postroad import codes
from postroad.address import Mailbox
from postroad.diagnosis.findings import Finding, Level, found
from postroad.diagnosis.watching import Watched
from postroad.errors import LocalProtocolError, RemoteProtocolError
from postroad.net.conversation import Fault
from postroad.replies import Reply
from postroad.smtp.client_auth import usable_mechanisms
from postroad.smtp.client_commands import Auth, Command, Mail, Rcpt, Rset
from postroad.smtp.client_events import Replied

#: Whose mailbox a stranger's server is asked to relay to: a name that belongs to nobody (RFC 2606).
OUTSIDER: Final = Mailbox("postroad-relay-probe", "example.net")

Note = Callable[[Finding], None]


def auth_in_clear(offered: str, address: str, *, lacks_tls: bool) -> Finding:
    """AUTH that was offered before TLS; on this machine nobody is on the way to read the password."""
    near = ip_address(address).is_loopback
    level = Level.ERROR if lacks_tls else Level.INFO if near else None
    return found("auth.in-clear", offered, level=level)


async def log_in(line: Watched, account: str, password: str, note: Note) -> None:
    """AUTH, inside TLS only."""
    if not account:
        return
    try:
        mechanisms = usable_mechanisms(line.engine.announced, ())
    except LocalProtocolError:  # none that we know
        mechanisms = []
    if not line.engine.tls or not mechanisms:
        note(found("auth.not-tried", line.engine.announced.get("AUTH", "")))
        return
    reply = await _ask(line, Auth(account, password, mechanisms[0]), note)
    if reply is not None and reply.is_positive:
        note(found("auth.accepted", str(reply)))
    elif reply is not None:
        note(found("auth.refused", str(reply), reply=reply, command="AUTH"))


async def ask_envelope(
    line: Watched, note: Note, *, rcpt: Mailbox | None, sender: Mailbox | None, relay: bool, role: str
) -> None:
    """What was asked for; what was not is told as skipped."""
    if rcpt is None:
        note(found("rcpt.skipped"))
    elif await _mail(line, sender, note, role):
        reply = await _ask(line, Rcpt(rcpt), note)
        if reply is not None:
            note(_of_rcpt(reply, rcpt))
        await _ask(line, Rset(), note)
    if not relay:
        note(found("relay.skipped"))
    elif not line.is_lost and line.engine.is_idle:
        await _probe_relay(line, sender, note)


async def _mail(line: Watched, sender: Mailbox | None, note: Note, role: str) -> bool:
    reply = await _ask(line, Mail(sender), note)
    if reply is None:
        return False
    if not reply.is_positive:
        login = codes.classify(reply, command="MAIL").reason in ("login-required", "encryption-required")
        if login and role == "submission":
            note(found("mail.login", str(reply)))
        else:
            level = Level.WARN if reply.is_transient else Level.ERROR
            seen = f"MAIL FROM:<{sender or ''}> → {reply}"
            note(found("mail.refused", seen, level=level, reply=reply, command="MAIL", sender=f"<{sender or ''}>"))
    return reply.is_positive


def _of_rcpt(reply: Reply, rcpt: Mailbox) -> Finding:
    if reply.is_positive:
        return found("rcpt.ok", str(reply), rcpt=rcpt)
    name = "rcpt.later" if reply.is_transient else "rcpt.refused"
    return found(name, str(reply), reply=reply, command="RCPT", rcpt=rcpt)


async def _probe_relay(line: Watched, sender: Mailbox | None, note: Note) -> None:
    """From outside to outside; a host that takes it at RCPT may still refuse it at DATA, which is not asked."""
    reply, at = await _ask(line, Mail(sender), note), "MAIL"
    if reply is not None and reply.is_positive:
        reply, at = await _ask(line, Rcpt(OUTSIDER), note), "RCPT"
    if reply is None:
        return
    seen = f"{at} → {reply}"
    if at == "RCPT" and reply.is_positive:
        note(found("relay.open", seen, outsider=OUTSIDER))
    elif reply.is_permanent:
        note(found("relay.ok", seen))
    else:
        note(found("relay.unclear", seen))
    await _ask(line, Rset(), note)


async def _ask(line: Watched, command: Command, note: Note) -> Reply | None:
    """The answer; None when the session is over, which is told."""
    if line.is_lost or not line.engine.may_send:
        return None
    try:
        event = await line.ask(command)
    except LocalProtocolError as fault:  # an address beyond ASCII at a host without SMTPUTF8
        note(found("envelope.lost", fault.message))
        return None
    except (Fault, RemoteProtocolError) as fault:
        note(found("envelope.lost", fault.message))
        line.abort(fault.message)
        return None
    if isinstance(event, Replied):
        return event.reply
    reply = getattr(event, "reply", None)
    if reply is None and not isinstance(command, Rset):
        note(found("envelope.lost", getattr(event, "reason", "")))
    return reply if isinstance(reply, Reply) else None
