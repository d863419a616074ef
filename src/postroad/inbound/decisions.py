"""Asking the policies of a stage, in order, without a task unless one of them waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from postroad.policy.stages import Act, SessionFacts, Verdict
from postroad.replies import Reply

Refuse = Callable[[Reply | Act], None]


def ask(
    facts: SessionFacts,
    policies: tuple[Any, ...],
    method: str,
    arguments: tuple[object, ...],
    accept: Callable[[], None],
    refuse: Refuse,
) -> Awaitable[None] | None:
    """Ask each policy's ``method``; the first verdict that is not None goes to ``refuse``, none at all to ``accept``.

    When a decision takes time, an awaitable of the rest is given back, which the caller has to run.
    """
    if not policies:
        accept()
        return None
    for index, policy in enumerate(policies):
        decision = getattr(policy, method)(facts, *arguments)
        if decision is None:
            continue
        if isinstance(decision, Reply) or (isinstance(decision, Act) and decision.delay <= 0 and not _passes(decision)):
            refuse(decision)
            return None
        return _later(decision, facts, policies[index + 1 :], method, arguments, accept, refuse)
    accept()
    return None


async def _later(
    decision: Act | Awaitable[Verdict],
    facts: SessionFacts,
    policies: tuple[Any, ...],
    method: str,
    arguments: tuple[object, ...],
    accept: Callable[[], None],
    refuse: Refuse,
) -> None:
    """Wait for a decision, and as long as an Act says; then go on with the policies behind it."""
    verdict = decision if isinstance(decision, Act) else await decision
    if isinstance(verdict, Act) and verdict.delay > 0:
        await asyncio.sleep(verdict.delay)
    if verdict is not None and not _passes(verdict):
        refuse(verdict)
        return
    rest = ask(facts, policies, method, arguments, accept, refuse)
    if rest is not None:
        await rest


def _passes(verdict: Reply | Act) -> bool:
    return isinstance(verdict, Act) and verdict.reply is None and not verdict.close
