"""What a reply means to a client beyond its first digit: the one place on the client's side that reads codes.

A reply is read by code, enhanced status and the command it answers. For MAIL and RCPT the table is ``react``; its rows
are tried in order, the first that fits decides:

| at        | parameters | code                    | enhanced status       | means                                   |
|-----------|------------|-------------------------|-----------------------|-----------------------------------------|
| any       | any        | 2yz                     | any                   | TAKEN                                   |
| any       | any        | 421                     | any                   | HOST: it closes, whatever was asked     |
| any       | any        | 530, whose text is      | any                   | HOST: TLS did not come about, and it    |
|           |            | about STARTTLS          |                       | takes nothing without                   |
| RCPT      | any        | 4yz, 5yz                | x.5.3                 | FULL: the rest in another transaction   |
| RCPT      | any        | 452, 552                | none                  | FULL (RFC 5321 section 4.5.3.1.10)      |
| RCPT      | any        | 4yz, 5yz, whose text is | none                  | FULL                                    |
|           |            | "too many recipients"   |                       |                                         |
| MAIL RCPT | given      | 455                     | not x.1.z, not x.2.z  | NOT_NOW: a parameter, at this time      |
| MAIL RCPT | given      | 555                     | not x.1.z, not x.2.z  | NOT_KNOWN: a parameter, for good        |
| MAIL RCPT | given      | 501, 503, 504           | x.5.z, none           | NOT_KNOWN (what hosts write for 555)    |
| MAIL      | any        | 4yz                     | x.3.z, x.4.z          | HOST: its system, its network           |
| any       | any        | 4yz                     | any                   | LATER                                   |
| any       | any        | 5yz                     | any                   | NEVER                                   |

x.1.z and x.2.z speak of an address and a mailbox, so that no other parameters would help.
Sources: RFC 5321 section 4.1.1.11, 4.2 and 4.5.3.1.10, RFC 3207 section 4, RFC 3463 section 3, RFC 4954 section 4.
"""

from __future__ import annotations

from enum import Enum

from postroad.replies import Reply, Severity
from postroad.smtp.states import Verb


class Meaning(Enum):
    """What a host's reply says about the request that it answers."""

    TAKEN = "taken"
    FULL = "full"
    """No room for this recipient in this transaction; another may follow at once."""
    NOT_NOW = "not now"
    """A parameter cannot be accommodated at this time."""
    NOT_KNOWN = "not known"
    """A parameter is not recognised, not implemented, or not understood."""
    HOST = "host"
    """Not about this mail: another host may take it."""
    LATER = "later"
    NEVER = "never"


def react(reply: Reply, command: Verb | None, *, parameters: bool = False) -> Meaning:
    """The table above. ``command`` None: the content is answered; ``parameters``: whether the command carried any."""
    if completes(reply):
        return Meaning.TAKEN
    if closes_channel(reply) or wants_tls(reply):
        return Meaning.HOST
    if command is Verb.RCPT and wants_fewer_recipients(reply):
        return Meaning.FULL
    if parameters and command in (Verb.MAIL, Verb.RCPT):
        if reply.code == 455 and not _is_about_address(reply):
            return Meaning.NOT_NOW
        if _refuses_parameters(reply):
            return Meaning.NOT_KNOWN
    if reply.is_permanent:
        return Meaning.NEVER
    return Meaning.HOST if command is Verb.MAIL and _is_about_host(reply) else Meaning.LATER


def wants_fewer_recipients(reply: Reply) -> bool:
    """The transaction is full and the rest may follow in another at once (RFC 5321 section 4.5.3.1.10).

    452 is the code; 552 stood there in RFC 821; some hosts write 455 4.5.3, so that an enhanced status x.5.3 outweighs
    the code. One about anything else (4.2.2 mailbox full, 4.3.1 storage) says that another transaction would not help.
    """
    if reply.is_positive:
        return False
    status = reply.enhanced
    if status is None:
        return reply.code in (452, 552) or "too many recipients" in reply.text.lower()
    return (status.subject, status.detail) == (5, 3)


def _refuses_parameters(reply: Reply) -> bool:
    """555, and what hosts write in its place; a bad address (x.1.z) is never mended by other parameters."""
    if reply.code == 555:
        return not _is_about_address(reply)
    return reply.code in (501, 503, 504) and (reply.enhanced is None or reply.enhanced.subject == 5)


def _is_about_address(reply: Reply) -> bool:
    return reply.enhanced is not None and reply.enhanced.subject in (1, 2)


def _is_about_host(reply: Reply) -> bool:
    return reply.enhanced is not None and reply.enhanced.subject in (3, 4)


def too_many_in_all(reply: Reply) -> bool:
    """503 to DATA after a recipient too many: a site that takes no message to so many (RFC 5321 4.5.3.1.10)."""
    return reply.code == 503


def knows_no_bdat(reply: Reply) -> bool:
    """500 or 502 to BDAT: who announced CHUNKING was not who takes the content (a proxy or a filter between)."""
    return reply.code in (500, 502)


def greets(reply: Reply) -> bool:
    """220: the host is ready (RFC 5321 section 3.1)."""
    return reply.code == 220


def closes_channel(reply: Reply) -> bool:
    """421: the host closes the connection, whatever was asked (RFC 5321 section 3.8)."""
    return reply.code == 421


def wants_tls(reply: Reply) -> bool:
    """530 Must issue a STARTTLS command first (RFC 3207 section 4): nothing is said about the mail."""
    return reply.code == 530 and "STARTTLS" in reply.text.upper()


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
