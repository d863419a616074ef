"""Which replies a client waits for, in the order of what it said (RFC 2920 section 3.1: pairing is by order alone)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from postroad.smtp.client_commands import Command
from postroad.smtp.client_timeouts import ClientTimeouts, Patience
from postroad.smtp.states import Verb


@dataclass(slots=True)
class Awaited:
    """One reply that is due. ``command`` None: the content's."""

    verb: Verb
    command: Command | None
    recipient: int | None = None
    partial: bool = False
    """A chunk's that is not the last."""
    void: bool = False
    """The content's, but nobody was accepted and a lone dot ended it, or an earlier chunk was refused."""


class AwaitedReplies(deque[Awaited]):
    """The replies that are due, the next one first: what is said is appended, what was answered is taken from the left."""

    __slots__ = ()

    def add_content(self, verb: Verb, recipients: int | None) -> None:
        """All content was sent; LMTP has one reply for each accepted recipient (RFC 2033 section 4.2)."""
        numbers = (None,) if recipients is None else range(recipients)
        self.extend(Awaited(verb, None, number) for number in numbers)

    def void(self) -> None:
        """What is still due decides nothing any more."""
        for awaited in self:
            awaited.void = True

    @property
    def hold_content(self) -> bool:
        """Whether all content was sent and a reply to it is due that decides about somebody."""
        return any(a.command is None and not a.partial and not a.void for a in self)

    def patience(self, timeouts: ClientTimeouts) -> Patience:
        """How long to wait for the next one; IndexError when none is due."""
        awaited = self[0]
        if awaited.partial:
            return timeouts.for_chunk()
        return timeouts.for_reply(awaited.verb if awaited.command is not None else None)
