"""LIMITS (RFC 9422): the client learns beforehand what would be answered 452 4.5.3 or 421."""

from __future__ import annotations

from postroad.smtp.parameters import Extension, Traits


def limits(*, recipients: int, transactions: int = 0) -> Extension:
    """Announce RCPTMAX and, when it is not 0, MAILMAX (RFC 9422 section 4)."""
    words = ["LIMITS", *([f"MAILMAX={transactions}"] if transactions else []), f"RCPTMAX={recipients}"]
    line = " ".join(words)

    def announce(traits: Traits) -> str:
        return line

    return Extension(keyword="LIMITS", rfc="RFC 9422", announce=announce)
