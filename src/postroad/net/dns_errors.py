"""How a question to the DNS can fail, in words for a postmaster."""

from __future__ import annotations

from typing import Self

from postroad.errors import PostroadError


class DnsError(PostroadError):
    """A question that brought no records; the message names the name, and holds printable ASCII only."""

    def __init__(self, message: str, hint: str = "", *, ttl: float = 0.0, secure: bool = False) -> None:
        super().__init__(message, hint)
        self.ttl = ttl
        """Seconds for which the answer may be believed; 0: not at all."""
        self.secure = secure
        """The denial was validated by DNSSEC."""

    def again(self) -> Self:
        """A fresh one that says the same: an exception that is raised twice gathers every traceback."""
        return type(self)(self.message, self.hint, ttl=self.ttl, secure=self.secure)


class BadName(DnsError):
    """The name is no host name; nobody was asked."""


class NameNotFound(DnsError):
    """NXDOMAIN: the name does not exist."""


class NoData(DnsError):
    """The name exists, but has no record of the kind (RFC 2308 section 2.2)."""


class DnsTemporary(DnsError):
    """No resolver gave a usable answer: nothing is known about the name, and the question may be asked again."""
