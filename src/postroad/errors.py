"""The exceptions of Postroad: for faults only; a refusal is a Reply, never an exception.

PostroadError
├── AddressSyntaxError     a path or mailbox that RFC 5321 section 4.1.2 does not allow
├── ParameterSyntaxError   a MAIL or RCPT parameter with a malformed value
├── LocalProtocolError     our own code used an engine wrongly
├── RemoteProtocolError    a peer's octets that cannot be understood
├── SettingsError          settings that cannot be used (file, line, cause, remedy)
├── SpoolError             the spool could not do what it was asked
│   └── StorageFull        no room (disk, inodes, budget): try later
└── NotFound               no such message, rule or condition
"""

from __future__ import annotations


class PostroadError(Exception):
    """Everything that Postroad raises on purpose; ``hint`` says how to mend it, for a human."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class AddressSyntaxError(PostroadError):
    """A mailbox or path outside the grammar of RFC 5321 section 4.1.2."""


class ParameterSyntaxError(PostroadError):
    """A MAIL or RCPT parameter whose value its RFC does not allow."""


class LocalProtocolError(PostroadError):
    """An engine was asked for something that its state does not permit: a bug of the caller."""


class RemoteProtocolError(PostroadError):
    """The peer sent what no SMTP host may send."""


class SettingsError(PostroadError):
    """Settings that cannot be used; the message begins with ``file:line:`` where that is known."""


class SpoolError(PostroadError):
    """The spool could not store or read; nothing is acknowledged after it."""


class StorageFull(SpoolError):
    """No space, no inode or no budget is left; the sender should try later (452 4.3.1)."""


class NotFound(PostroadError):
    """The thing that was named does not exist."""
