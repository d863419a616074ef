"""Any reply on demand, so that a program's handling of refusals can be tried (dev mode only).

Two ways lead to an answer, the first that matches wins and no other is asked:

1. Rules (``ChaosRule``): from settings, the API and ``postroad chaos set``. Those added later stand in front. A rule whose
   ``times`` are used up, or whose probability said no, lets the command pass: a retry then succeeds.
2. Addresses, with no setting at all. The last tag of the local part is ``+CODE``, ``+STAGE-CODE`` or either with ``xTIMES``:

   | address | answer |
   |---|---|
   | ``bob+455@…`` | 455 at RCPT, always |
   | ``bob+455x2@…`` | 455 at RCPT twice, then accepted; counted for each address |
   | ``bob+data-451@…``, ``bob+message-552@…`` | 451 at DATA, 552 after the final dot |
   | ``bob+mail-452@…`` as the sender | 452 at MAIL |

A reply 421 also closes the connection (RFC 5321 section 3.8).
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from postroad.address import Mailbox
from postroad.errors import NotFound, PostroadError
from postroad.inbox.chaos_rules import STAGES, ChaosRule, glob_matches, read_rule, reply_for
from postroad.policy.stages import Act, SessionFacts, Transaction, Verdict
from postroad.replies import Reply
from postroad.smtp.events import AuthGiven, HelloGiven, RecipientGiven, SenderGiven

__all__ = ["STAGES", "Chaos", "ChaosRule", "RuleState", "read_rule"]

MAX_RULES: Final = 200
#: Addresses with ``xTIMES`` whose count is remembered.
MAX_COUNTED: Final = 1_000

_TAG = re.compile(r"\+(?:(mail|rcpt|data|message)-)?([45][0-9]{2})(?:x([1-9][0-9]{0,3}))?\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RuleState:
    """A rule and how often it was the answer."""

    rule: ChaosRule
    used: int

    @property
    def spent(self) -> bool:
        """Its ``times`` are used up: those it names pass."""
        return self.rule.times is not None and self.used >= self.rule.times


class Chaos:
    """The chaos rules of a server, asked as a policy at every stage."""

    def __init__(self, rules: Iterable[ChaosRule] = (), rng: Random | None = None, addresses: bool = True) -> None:
        """``addresses``: whether tags such as ``+455`` answer by themselves."""
        self._rng = rng if rng is not None else Random()
        self._addresses = addresses
        self._rules: list[ChaosRule] = []
        self._used: dict[str, int] = {}
        self._counted: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._made = 0
        self.replace(rules)

    # ── what the operator does ──────────────────────────────────────────────

    def list(self) -> Sequence[RuleState]:
        """The rules in the order in which they are asked."""
        return [RuleState(rule, self._used[rule.id]) for rule in self._rules]

    def add(self, rule: ChaosRule) -> ChaosRule:
        """Put ``rule`` in front of the others, or in the place of the one with its id; gives it with its id."""
        named = self._named(rule)
        places = [index for index, other in enumerate(self._rules) if other.id == named.id]
        if places:
            self._rules[places[0]] = named
        elif len(self._rules) >= MAX_RULES:
            raise PostroadError(f"there are {MAX_RULES} chaos rules already", "clear some first")
        else:
            self._rules.insert(0, named)
        self._used[named.id] = 0
        return named

    def replace(self, rules: Iterable[ChaosRule]) -> None:
        """These rules, in this order, and no others; all counts begin anew."""
        named: list[ChaosRule] = []
        for rule in rules:
            named.append(self._named(rule))
        if len(named) > MAX_RULES or len({rule.id for rule in named}) != len(named):
            raise PostroadError(f"chaos rules: at most {MAX_RULES}, each with an id of its own")
        self._rules = named
        self._used = dict.fromkeys((rule.id for rule in named), 0)
        self._counted.clear()

    def remove(self, rule_id: str | None = None) -> int:
        """Take one rule away (NotFound when there is none), or all with the counts of addresses; gives how many went."""
        before = len(self._rules)
        if rule_id is None:
            self.replace(())
            return before
        self._rules = [rule for rule in self._rules if rule.id != rule_id]
        if len(self._rules) == before:
            raise NotFound(f"no chaos rule `{rule_id[:40]}`", "`postroad chaos list` shows them")
        self._used.pop(rule_id, None)
        return 1

    def _named(self, rule: ChaosRule) -> ChaosRule:
        if rule.id:
            return rule
        self._made += 1
        while any(f"r{self._made}" == other.id for other in self._rules):
            self._made += 1
        return replace(rule, id=f"r{self._made}")

    # ── what the server asks ────────────────────────────────────────────────

    def on_connect(self, facts: SessionFacts) -> Verdict:
        """Before the greeting, by the client's address."""
        return self._by_rule("connect", (facts.peer_host,)) if self._rules else None

    def on_hello(self, facts: SessionFacts, hello: HelloGiven) -> Verdict:
        """At EHLO or HELO, by the name given."""
        return self._by_rule("hello", (hello.name,)) if self._rules else None

    def on_auth(self, facts: SessionFacts, auth: AuthGiven) -> Verdict:
        """At AUTH, by the account."""
        return self._by_rule("auth", (auth.authentication_id,)) if self._rules else None

    def on_sender(self, facts: SessionFacts, sender: SenderGiven) -> Verdict:
        """At MAIL, by the sender."""
        path = _path(sender.reverse_path)
        return self._decide("mail", path, (sender.reverse_path,))

    def on_recipient(self, facts: SessionFacts, transaction: Transaction, recipient: RecipientGiven) -> Verdict:
        """At RCPT, by the recipient (and the sender)."""
        return self._decide("rcpt", _path(transaction.reverse_path), (recipient.forward_path,))

    def on_content(self, facts: SessionFacts, transaction: Transaction) -> Verdict:
        """At DATA or the first BDAT, by any recipient (and the sender)."""
        return self._of_transaction("data", transaction)

    def on_message(self, facts: SessionFacts, transaction: Transaction) -> Verdict:
        """After the content, by any recipient (and the sender)."""
        return self._of_transaction("message", transaction)

    def _of_transaction(self, stage: str, transaction: Transaction) -> Verdict:
        if not self._rules and not self._addresses:
            return None
        recipients = [given.forward_path for given in transaction.recipients]
        return self._decide(stage, _path(transaction.reverse_path), recipients)

    def _decide(self, stage: str, sender: str, mailboxes: Sequence[Mailbox | None]) -> Verdict:
        if self._rules:
            subjects = [_path(mailbox) for mailbox in mailboxes]
            rule = self._match(stage, subjects, sender)
            if rule is not None:
                return self._fire(rule)
        if self._addresses:
            for mailbox in mailboxes:
                if mailbox is not None and "+" in mailbox.local_part:
                    verdict = self._by_tag(stage, mailbox)
                    if verdict is not None:
                        return verdict
        return None

    def _by_rule(self, stage: str, subjects: Sequence[str]) -> Verdict:
        rule = self._match(stage, subjects, None)
        return None if rule is None else self._fire(rule)

    def _match(self, stage: str, subjects: Sequence[str], sender: str | None) -> ChaosRule | None:
        for rule in self._rules:
            if rule.at != stage or (sender is not None and not glob_matches(rule.from_, sender)):
                continue
            if any(glob_matches(rule.to, subject) for subject in subjects):
                return rule
        return None

    def _fire(self, rule: ChaosRule) -> Verdict:
        used = self._used[rule.id]
        if rule.times is not None and used >= rule.times:
            return None
        if rule.probability < 1 and self._rng.random() >= rule.probability:
            return None
        self._used[rule.id] = used + 1
        return _verdict(rule.answer, rule.delay, rule.disconnect)

    def _by_tag(self, stage: str, mailbox: Mailbox) -> Verdict:
        found = _TAG.search(mailbox.local_part)
        if found is None or (found[1] or "rcpt").lower() != stage:
            return None
        if found[3] is not None and not self._count(stage, str(mailbox), int(found[3])):  # strict: _TAG matched digits
            return None
        return _verdict(reply_for(int(found[2])), 0.0, False)

    def _count(self, stage: str, address: str, times: int) -> bool:
        """Whether the address still has one of its ``times`` to fail."""
        key = (stage, address.lower())
        used = self._counted.pop(key, 0)
        self._counted[key] = used + 1 if used < times else used
        if len(self._counted) > MAX_COUNTED:
            self._counted.popitem(last=False)
        return used < times


def _verdict(reply: Reply | None, delay: float, disconnect: bool) -> Verdict:
    close = disconnect or (reply is not None and reply.code == 421)
    return reply if reply is not None and not delay and not close else Act(reply, delay, close)


def _path(mailbox: Mailbox | None) -> str:
    return "" if mailbox is None else str(mailbox)
