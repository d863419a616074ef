"""What a reply means to a client beyond its first digit: the one place on the client's side that reads codes.

Sources: RFC 5321 section 4.2 and 4.5.3.1.10, RFC 4954 section 4.
"""

from __future__ import annotations

from postroad.replies import Reply, Severity


def greets(reply: Reply) -> bool:
    """220: the host is ready (RFC 5321 section 3.1)."""
    return reply.code == 220


def closes_channel(reply: Reply) -> bool:
    """421: the host closes the connection, whatever was asked (RFC 5321 section 3.8)."""
    return reply.code == 421


def knows_no_ehlo(reply: Reply) -> bool:
    """The host is from before 1993: say HELO (RFC 5321 section 3.2)."""
    return reply.code in (500, 502, 504)


def wants_content(reply: Reply) -> bool:
    """354 (RFC 5321 section 4.1.1.4)."""
    return reply.code == 354


def challenges(reply: Reply) -> bool:
    """334: the SASL exchange goes on (RFC 4954 section 4)."""
    return reply.code == 334


def completes(reply: Reply) -> bool:
    """2yz: done as asked."""
    return reply.severity is Severity.COMPLETION


def wants_fewer_recipients(reply: Reply) -> bool:
    """The transaction is full and the rest may follow in another at once (RFC 5321 section 4.5.3.1.10).

    452 is the code; 552 stood there in RFC 821; some hosts write 455 4.5.3. An enhanced status about anything else
    (4.2.2 mailbox full, 4.3.1 storage) says that another transaction now would not help.
    """
    if reply.code not in (452, 455, 552):
        return False
    status = reply.enhanced
    if status is None:
        return reply.code != 455
    return (status.subject, status.detail) == (5, 3)
