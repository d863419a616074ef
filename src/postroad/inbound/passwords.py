"""The last policy of the AUTH stage: the password itself, and the count of wrong ones."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from postroad.policy.accounts import AUTHENTICATION_FAILED
from postroad.policy.stages import Decision, SessionFacts, Verdict
from postroad.smtp.events import AuthGiven


class Authenticator(Protocol):
    """Who checks passwords."""

    def authenticate(self, auth: AuthGiven) -> Decision:
        """None when the password is right, else the refusal."""
        ...


class FailureCount(Protocol):
    """Who counts wrong passwords."""

    def auth_failed(self, facts: SessionFacts) -> None:
        """A password was wrong."""
        ...


class Passwords:
    """Asks the authenticator and tells the count."""

    def __init__(self, authenticator: Authenticator, count: FailureCount) -> None:
        self._authenticator = authenticator
        self._count = count

    def on_auth(self, facts: SessionFacts, auth: AuthGiven) -> Decision:
        """None lets the client in."""
        decision = self._authenticator.authenticate(auth)
        if isinstance(decision, Awaitable):
            return self._later(facts, decision)
        return self._counted(facts, decision)

    async def _later(self, facts: SessionFacts, decision: Awaitable[Verdict]) -> Verdict:
        return self._counted(facts, await decision)

    def _counted(self, facts: SessionFacts, verdict: Verdict) -> Verdict:
        if verdict is AUTHENTICATION_FAILED:
            self._count.auth_failed(facts)
        return verdict
