"""The replies that nobody sent: what a client answers itself when a message cannot go where it should.

They stand in the journal, in `postroad queue why` and in the Diagnostic-Code of reports, beside a note with the particulars.
Enhanced status codes: RFC 3463 section 3, RFC 7505 section 4.1.
"""

from __future__ import annotations

from typing import Final

from postroad.replies import Reply

# --- no way to the destination (RFC 5321 section 5.1)
NO_SUCH_DOMAIN: Final = Reply(550, "The recipient's domain does not exist", "5.1.2")
NO_DOMAIN_NAME: Final = Reply(550, "The recipient's domain is no domain name", "5.1.2")
NULL_MX: Final = Reply(556, "The recipient's domain does not accept mail (null MX)", "5.1.10")
NO_MAIL_HOST: Final = Reply(550, "The recipient's domain has no mail host with an address", "5.4.4")
HOSTS_NOT_DIALLED: Final = Reply(
    550, "The recipient's mail hosts have addresses that are not dialled from here", "5.4.4"
)
LOOPS_BACK: Final = Reply(554, "The best mail host of the recipient's domain is this server itself", "5.4.6")
DNS_FAILED: Final = Reply(451, "The DNS gave no usable answer about the recipient's domain", "4.4.3")
NO_COMMON_FAMILY: Final = Reply(451, "The recipient's mail hosts have no address of an IP version in use here", "4.4.4")

# --- TLS that is owed to a destination and was not had (RFC 3463 section 3.8)
TLS_NOT_OFFERED: Final = Reply(451, "TLS is required for this destination and its mail host offers none", "4.7.4")
TLS_FAILED: Final = Reply(451, "TLS is required for this destination and could not be established", "4.7.5")

# --- what the next hop cannot be asked for, as its EHLO shows
TOO_LARGE: Final = Reply(552, "The message is larger than the next hop takes", "5.3.4")
NEEDS_CONVERSION: Final = Reply(
    554, "The next hop takes 7-bit content only and this content cannot be made 7-bit", "5.6.3"
)
SENDER_NEEDS_UTF8: Final = Reply(550, "The reverse-path needs SMTPUTF8, which the next hop does not offer", "5.6.7")
RECIPIENT_NEEDS_UTF8: Final = Reply(553, "The forward-path needs SMTPUTF8, which the next hop does not offer", "5.6.7")
HEADER_NEEDS_UTF8: Final = Reply(554, "The header needs SMTPUTF8, which the next hop does not offer", "5.6.9")
NEEDS_REQUIRETLS: Final = Reply(550, "REQUIRETLS was asked for, which the next hop does not offer", "5.7.30")
NEEDS_DELIVERBY: Final = Reply(554, "A time limit (BY) was asked for, which the next hop does not promise", "5.4.7")
NEEDS_PARAMETER: Final = Reply(555, "A parameter was asked for that the next hop does not offer", "5.5.4")
#: Another host of the same destination may offer it.
ABOUT_HOST: Final = frozenset(
    (
        TOO_LARGE,
        NEEDS_CONVERSION,
        SENDER_NEEDS_UTF8,
        RECIPIENT_NEEDS_UTF8,
        HEADER_NEEDS_UTF8,
        NEEDS_REQUIRETLS,
        NEEDS_DELIVERBY,
        NEEDS_PARAMETER,
    )
)

# --- what no host can be asked for
SENDER_UNREADABLE: Final = Reply(553, "The stored reverse-path cannot be read", "5.1.7")
RECIPIENT_UNREADABLE: Final = Reply(553, "The stored forward-path cannot be read", "5.1.3")
PARAMETERS_UNREADABLE: Final = Reply(501, "The stored parameters cannot be read", "5.5.4")
CANNOT_BE_SAID: Final = Reply(550, "The envelope or the content holds what may not be sent to any host", "5.5.2")
TIME_IS_OVER: Final = Reply(554, "The time in which the message was to be delivered (BY) is over", "5.4.7")
