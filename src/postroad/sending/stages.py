"""A session that ends on the way, to see how far a host goes: nothing is sent, whatever it answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from postroad.net.client_options import ConnectStage
from postroad.net.smtp_client import SmtpClient
from postroad.replies import Reply
from postroad.smtp.client_commands import Data, Mail, Quit, Rcpt
from postroad.smtp.negotiation import Plan
from postroad.smtp.states import State

#: Stage of ``stop_after`` -> where the beginning of the session ends.
UNTIL: Final[dict[str, ConnectStage]] = {
    "connect": "GREETING",
    "ehlo": "EHLO",
    "tls": "STARTTLS",
    "auth": "AUTH",
}

Reached = dict[int, tuple[str, Reply | None]]


async def walk(client: SmtpClient, plan: Plan, stop_after: str) -> Reached:
    """MAIL, RCPT and DATA as far as asked; gives the stage and the reply that decided about each recipient.

    Behind the 354 to DATA there is no polite way out: the connection is cut before the final dot, and no host may
    keep what was never finished (RFC 5321 section 4.1.1.4). Content by BDAT is not asked about before it is sent.
    """
    reply = await client.ask(Mail(plan.reverse_path, plan.parameters))
    reached: Reached = dict.fromkeys(plan.numbers, ("MAIL", reply))
    if stop_after == "mail" or not _goes_on(reply):
        return reached
    for number, (path, given) in zip(plan.numbers, plan.recipients, strict=True):
        reached[number] = ("RCPT", await client.ask(Rcpt(path, given)))
        if client.engine.state is State.CLOSED:
            return reached
    if stop_after == "rcpt" or plan.bdat or not any(_goes_on(reply) for _, reply in reached.values()):
        return reached
    reply = await client.ask(Data())
    for number in list(_taken(reached)):
        reached[number] = ("DATA", reply)
    if client.engine.state is State.CONTENT:
        client.abort("stopped before the content, as asked")
    return reached


async def leave(client: SmtpClient) -> None:
    """QUIT, also where no EHLO was said."""
    if client.engine.may_send and not client.engine.is_idle:
        await client.ask(Quit())
    await client.quit()


def _goes_on(reply: Reply | None) -> bool:
    return reply is not None and reply.is_positive


def _taken(reached: Reached) -> Iterator[int]:
    return (number for number, (_, reply) in reached.items() if _goes_on(reply))
