"""Why a recipient was not reached, by the rules of the catalogue and those of bounces; hard or soft; what helps.

The catalogue knows more reasons than a bounce tells (``bounce_families.toml``, table ``reasons``); ``cause`` keeps them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from postroad.diagnosis.bounce_facts import GOOD, Said
from postroad.diagnosis.bounce_tables import tables
from postroad.replies.catalogue import catalogue
from postroad.replies.classify import Classification, classify

#: What a last answer says that does no more than put off: then the time that ran out is the reason.
_PUTS_OFF: Final = frozenset(("undefined", "expired", "system-error", "network-error", "not-accepting"))
#: Postfix rested from a host; what follows is why. No account is suspended.
_WAITED: Final = "delivery temporarily suspended: "


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a bounce means for one recipient: slugs of reasons.toml and remedies.toml."""

    reason: str
    cause: str
    hard: bool
    """The address is no good: mail to it will fail again."""
    temporary: bool | None
    actor: str
    remedy: str
    confidence: str
    rule: str


def judge(said: Said) -> Verdict:
    """Say what is meant; the same for the same facts, whatever the language."""
    if said.action in GOOD:
        return Verdict("delivered", "delivered", False, None, "nobody", "none", "high", "ACTION")
    found = _classified(said)
    cause = found.reason
    if said.expired and (not said.code or cause in _PUTS_OFF):
        cause = "expired"
    if said.action == "delayed" and cause == "expired":
        cause = "network-error"  # it is late, but not given up: only the way can be meant (RFC 3463 section 3.5)
    reason = tables().reasons.get(cause, cause)
    temporary = _temporary(said, found)
    hard = reason in tables().hard and temporary is not True
    if said.action == "delayed":
        return Verdict(reason, cause, False, True, "nobody", "none", found.confidence, found.rule)
    if cause == found.reason:
        return Verdict(reason, cause, hard, temporary, found.actor, found.remedy, found.confidence, found.rule)
    facts = catalogue().rules.reasons[cause]
    return Verdict(reason, cause, hard, temporary, facts.actor, facts.remedy, "high", "EXPIRED")


def _classified(said: Said) -> Classification:
    """By the rules of bounces, then by those of replies."""
    words = said.text.removeprefix(_WAITED)
    text = " ".join(part for part in (said.code, _status_for(said), words) if part)
    provider = provider_of(said.host)
    first = classify(text, command=said.command, provider=provider, rules=tables().rules)
    if first.reason != "undefined":
        return first
    found = classify(text, command=said.command, provider=provider, rules=catalogue().rules)
    if found.reason == "undefined" and said.context:
        return _classified(replace(said, text=said.context, context=""))
    return found


def _status_for(said: Said) -> str:
    """The status of the report, unless the text has its own, or it says nothing."""
    bare = said.text.lstrip("#(")
    if not said.status or bare[:4].startswith(("2.", "4.", "5.")) or said.status.endswith(".0.0"):
        return ""
    return said.status if not said.code or said.status[0] == said.code[0] else ""


def _temporary(said: Said, found: Classification) -> bool | None:
    """The reply decides, then the report's own status (RFC 5321 section 4.2.1, RFC 3463 section 2)."""
    for number in (said.code, said.status):
        if number[:1] in ("4", "5"):
            return number[0] == "4"
    return found.temporary


def provider_of(host: str) -> str:
    """The name of the provider whose hosts are called so; ``""`` when none is known."""
    labels = host.lower().rstrip(".")
    for name, provider in catalogue().providers.items():
        if any(labels == suffix or labels.endswith(f".{suffix}") for suffix in provider.hosts):
            return name
    return ""
