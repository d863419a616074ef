"""Carries a negotiation out over a connection: plan after plan, until everybody is settled or the connection ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial

from postroad.errors import LocalProtocolError
from postroad.net.smtp_client import Letter, SmtpClient
from postroad.smtp import undeliverable
from postroad.smtp.negotiation import Form, Negotiation, Plan, Verdict


async def carry(client: SmtpClient, negotiation: Negotiation, content: Callable[[Form], AsyncIterator[bytes]]) -> None:
    """Say what the negotiation plans; afterwards every recipient is settled.

    ``content`` gives the octets in the form that is asked for; it is called once for each transaction that comes to
    the content, and what it raises is raised here, the connection gone. Whoever's turn did not come before the
    connection ended is settled NEXT_HOST: nothing was said about that mail.
    """
    while (plan := negotiation.next_plan()) is not None:
        if client.is_spent:
            negotiation.give_up("the host takes no more transactions in this session", Verdict.NEXT_HOST)
        elif not await _wait(client, plan.wait):
            negotiation.give_up("the connection ended before this recipient's turn", Verdict.NEXT_HOST)
        else:
            await _say(client, negotiation, plan, content)


async def _say(
    client: SmtpClient, negotiation: Negotiation, plan: Plan, content: Callable[[Form], AsyncIterator[bytes]]
) -> None:
    letter = Letter(
        plan.reverse_path,
        plan.recipients,
        partial(content, plan.form),
        plan.parameters,
        bdat=plan.bdat,
        pipelining=plan.pipelining,
    )
    try:
        answers = await client.deliver(letter)
    except LocalProtocolError as fault:
        negotiation.fail(undeliverable.CANNOT_BE_SAID, fault.message)
        client.abort(fault.message)
    else:
        negotiation.hear(plan, answers)


async def _wait(client: SmtpClient, seconds: float) -> bool:
    """Whether the host still listens after so many seconds; looked at often, so that a lost one is not awaited."""
    while seconds > 0 and client.is_usable:
        pause = min(seconds, 0.25)
        await asyncio.sleep(pause)
        seconds -= pause
    return client.is_usable
