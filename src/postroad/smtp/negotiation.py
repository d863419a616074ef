"""A message and a host come to terms: which transactions to try, and what each answer leads to. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from postroad.envelope import Step
from postroad.smtp.mail_transaction import Answer
from postroad.smtp.wanted import ContentNeeds, Form, Limits, Plan, Settled, Verdict, Wanted

__all__ = ["ContentNeeds", "Form", "Limits", "Negotiation", "Plan", "Settled", "Verdict", "Wanted"]


class Negotiation:
    """``next_plan`` says what to try, ``hear`` takes what came of it, until ``next_plan`` is None."""

    def __init__(
        self,
        wanted: Wanted,
        announced: Mapping[str, str],
        *,
        refused: frozenset[str] = frozenset(),
        lmtp: bool = False,
        adapt: bool = True,
        again_after: float = 5.0,
        limits: Limits | None = None,
    ) -> None:
        self.settled: dict[int, Settled] = {}
        self.steps: list[Step] = []

    @property
    def learnt(self) -> set[str]:
        """Keywords that this host refused and did without in this session."""
        raise NotImplementedError

    def next_plan(self) -> Plan | None:
        """The transaction to try now; None once everybody is settled."""
        raise NotImplementedError

    def hear(self, plan: Plan, answers: Sequence[Answer]) -> None:
        """What came of a plan: an Answer for each of its recipients, in order."""
        raise NotImplementedError

    def give_up(self, note: str, verdict: Verdict = Verdict.RETRY) -> None:
        """No more can be said to this host: whoever is not settled is settled so."""
        raise NotImplementedError
