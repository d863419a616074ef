"""Every reply that the engine itself can give; policies and extensions own theirs, and nobody else makes one.

The wire text is bland and in English (no standard localises replies); what it means is explained elsewhere.
Codes: RFC 5321 section 4.2 and 4.3.2; enhanced status codes: RFC 3463, RFC 5248.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from postroad.replies import EnhancedStatus, Reply
from postroad.replies.reply import MAX_LINE_OCTETS

_SUCCESS: Final = EnhancedStatus(2, 0, 0)

# --- connection and greeting
EARLY_TALKER: Final = Reply(554, "Input before the greeting, bye", "5.5.0")
NOT_SMTP: Final = Reply(554, "This is an SMTP service, bye", "5.5.0")
CONTENT_BEFORE_354: Final = Reply(554, "Input behind DATA before the 354, bye", "5.5.0")
INPUT_BEHIND_STARTTLS: Final = Reply(554, "Input behind STARTTLS, bye", "5.5.0")
SHUTTING_DOWN: Final = Reply(421, "Service closing transmission channel, try again later", "4.3.2")
TIMED_OUT: Final = Reply(421, "Timeout, closing transmission channel", "4.4.2")
TOO_SLOW: Final = Reply(421, "Content arrives too slowly, closing transmission channel", "4.4.2")
TOO_MANY_ERRORS: Final = Reply(421, "Too many errors, closing transmission channel", "4.7.0")
TOO_MANY_COMMANDS: Final = Reply(421, "Too many commands without mail, closing transmission channel", "4.7.0")
TOO_MUCH_INPUT: Final = Reply(421, "Line without end, closing transmission channel", "4.7.0")

# --- any command
UNKNOWN_COMMAND: Final = Reply(500, "Command unrecognized", "5.5.2")
LINE_TOO_LONG: Final = Reply(500, "Line too long", "5.5.2")
BARE_NEWLINE: Final = Reply(500, "Lines end with CR LF; bare CR or LF received", "5.5.2")
CONTROL_CHARACTER: Final = Reply(500, "Control character in command", "5.5.2")
NOT_ASCII: Final = Reply(500, "Octets above 127 in command", "5.5.2")
NOT_IMPLEMENTED: Final = Reply(502, "Command not implemented", "5.5.1")
BAD_SEQUENCE: Final = Reply(503, "Bad sequence of commands", "5.5.1")
HELLO_FIRST: Final = Reply(503, "Send EHLO or HELO first", "5.5.1")
EHLO_FIRST: Final = Reply(503, "Send EHLO first", "5.5.1")
NO_ARGUMENT: Final = Reply(501, "This command takes no argument", "5.5.4")

# --- session
HELLO_SYNTAX: Final = Reply(501, "Syntax: EHLO or HELO, then your host name or address literal", "5.5.4")
GOODBYE: Final = Reply(221, "Service closing transmission channel", "2.0.0")
OK: Final = Reply(250, "Ok", "2.0.0")
VRFY_SYNTAX: Final = Reply(501, "Syntax: VRFY, then a user name or mailbox", "5.5.4")
CANNOT_VERIFY: Final = Reply(252, "Cannot VRFY user, but will take mail for it and attempt delivery", "2.5.0")
EXPN_SYNTAX: Final = Reply(501, "Syntax: EXPN, then a list name", "5.5.4")
CANNOT_EXPAND: Final = Reply(252, "Cannot expand the list, but will take mail for it", "2.5.0")
UTF8_NEEDS_PARAMETER: Final = Reply(550, "Octets above 127 need SMTPUTF8 behind the argument", "5.6.7")

# --- MAIL and RCPT
NESTED_MAIL: Final = Reply(503, "A transaction is open already; send RSET to give it up", "5.5.1")
MAIL_FIRST: Final = Reply(503, "Send MAIL first", "5.5.1")
MAIL_SYNTAX: Final = Reply(501, "Syntax: MAIL FROM:<reverse-path> [parameters]", "5.5.4")
RCPT_SYNTAX: Final = Reply(501, "Syntax: RCPT TO:<forward-path> [parameters]", "5.5.4")
BAD_SENDER: Final = Reply(501, "Malformed reverse-path", "5.1.7")
BAD_RECIPIENT: Final = Reply(501, "Malformed forward-path", "5.1.3")
NULL_RECIPIENT: Final = Reply(501, "The forward-path must not be empty", "5.1.3")
SENDER_NEEDS_UTF8: Final = Reply(550, "This reverse-path needs SMTPUTF8", "5.6.7")
RECIPIENT_NEEDS_UTF8: Final = Reply(553, "This forward-path needs SMTPUTF8", "5.6.7")
PARAMETER_SYNTAX: Final = Reply(501, "Malformed parameter", "5.5.4")
SENDER_OK: Final = Reply(250, "Sender ok", "2.1.0")
RECIPIENT_OK: Final = Reply(250, "Recipient ok", "2.1.5")
TOO_MANY_RECIPIENTS: Final = Reply(452, "Too many recipients, send the rest in another transaction", "4.5.3")
STORAGE_SHORT: Final = Reply(452, "Insufficient system storage, try again later", "4.3.1")

# --- content
RECIPIENTS_FIRST: Final = Reply(503, "Send RCPT first", "5.5.1")
NO_VALID_RECIPIENTS: Final = Reply(554, "No valid recipients", "5.5.1")
BINARY_NEEDS_BDAT: Final = Reply(503, "BODY=BINARYMIME needs BDAT", "5.5.1")
START_CONTENT: Final = Reply(354, "Start mail input; end with <CRLF>.<CRLF>")
BDAT_SYNTAX: Final = Reply(501, "Syntax: BDAT chunk-size [LAST]", "5.5.4")
CHUNK_AFTER_FAULT: Final = Reply(503, "An earlier chunk was refused; send RSET", "5.5.1")
CONTENT_TOO_LARGE: Final = Reply(552, "Message size exceeds fixed maximum message size", "5.3.4")
CONTENT_UNSOUND: Final = Reply(550, "Bare CR, bare LF or NUL in content; lines end with CR LF", "5.5.2")
CONTENT_LINE_TOO_LONG: Final = Reply(550, "Line too long in content", "5.6.0")
HEADER_TOO_LARGE: Final = Reply(552, "Header section exceeds the maximum size", "5.3.4")
MAIL_LOOP: Final = Reply(554, "Too many Received fields: this looks like a mail loop", "5.4.6")

# --- STARTTLS and AUTH
READY_FOR_TLS: Final = Reply(220, "Ready to start TLS", "2.0.0")
TLS_ALREADY: Final = Reply(503, "TLS is active already", "5.5.1")
TLS_NOT_NOW: Final = Reply(454, "TLS not available due to temporary reason", "4.7.0")
AUTH_SYNTAX: Final = Reply(501, "Syntax: AUTH mechanism [initial-response]", "5.5.4")
AUTH_ALREADY: Final = Reply(503, "Already authenticated", "5.5.1")
AUTH_IN_TRANSACTION: Final = Reply(503, "AUTH is not allowed during a mail transaction", "5.5.1")
AUTH_MECHANISM: Final = Reply(504, "Authentication mechanism not supported", "5.5.4")
AUTH_NEEDS_TLS: Final = Reply(538, "Encryption required for the requested authentication mechanism", "5.7.11")
AUTH_NOT_BASE64: Final = Reply(501, "Cannot decode the response: not base64", "5.5.2")
AUTH_CANCELLED: Final = Reply(501, "Authentication cancelled", "5.7.0")
AUTH_TOO_LONG: Final = Reply(500, "Authentication exchange line is too long", "5.5.6")
AUTH_MALFORMED: Final = Reply(501, "The response does not fit the mechanism", "5.5.2")
AUTH_OK: Final = Reply(235, "Authentication succeeded", "2.7.0")

# --- our own processing
PROCESSING_FAILED: Final = Reply(451, "Local error in processing, try again later", "4.3.0")


def greeting(hostname: str, software: str) -> Reply:
    """220 with the host's name and software (RFC 5321 section 4.3.1): the first thing a client hears."""
    return Reply(220, f"{hostname} ESMTP {software}".rstrip())


def hello(hostname: str, lines: tuple[str, ...] = ()) -> Reply:
    """The answer to EHLO (with extension lines) or HELO; it carries no enhanced status (RFC 2034 section 3)."""
    return Reply(250, "\n".join((hostname, *lines)))


def chunk_taken(octets: int) -> Reply:
    """250 for a BDAT chunk that is not the last (RFC 3030 section 2)."""
    return Reply(250, f"{octets} octets received", _SUCCESS)


def queued(message_id: str) -> Reply:
    """250 after content: from here on the message is ours (RFC 5321 section 6.1)."""
    return Reply(250, f"Ok: queued as {message_id}", _SUCCESS)


def incident(number: str) -> Reply:
    """451 when one of our own stages failed; the number stands in the log too."""
    return Reply(451, f"Local error in processing, try again later (incident {number})", "4.3.0")


def challenge(base64_text: str) -> Reply:
    """334 with a SASL challenge (RFC 4954 section 4); an empty one is exactly ``334 `` and CRLF."""
    return Reply(334, base64_text)


def unknown_parameter(keyword: str) -> Reply:
    """555: not recognised, or its extension is not offered here (RFC 5321 section 4.1.1.11)."""
    return Reply(555, f"Parameter not recognized or not implemented: {keyword[:40]}", "5.5.4")


def malformed_parameter(keyword: str, reason: str) -> Reply:
    """501: known, but malformed or given twice."""
    return Reply(501, f"Malformed parameter {keyword[:40]}: {reason}", "5.5.4")


def malformed_path(reply: Reply, reason: str) -> Reply:
    """501 for a path, with what is wrong with it."""
    return Reply(reply.code, f"{reply.text}: {reason}", reply.enhanced) if reason else reply


_SYNTAX: Final = {
    "HELO": "HELO host-name",
    "EHLO": "EHLO host-name or [address-literal]",
    "STARTTLS": "STARTTLS",
    "AUTH": "AUTH mechanism [initial-response]",
    "MAIL": "MAIL FROM:<reverse-path> [parameters]",
    "RCPT": "RCPT TO:<forward-path> [parameters]",
    "DATA": "DATA, then the content, then a line with a single dot",
    "BDAT": "BDAT chunk-size [LAST]",
    "RSET": "RSET gives up the transaction",
    "NOOP": "NOOP [anything]",
    "VRFY": "VRFY user name or mailbox",
    "EXPN": "EXPN list name",
    "HELP": "HELP [command]",
    "QUIT": "QUIT",
}
NO_SUCH_TOPIC: Final = Reply(504, "No help on this topic", "5.5.4")


def help_on(topic: str, explain: Callable[[str], str | None] | None = None) -> Reply:
    """214 with the commands, or with what is known of one topic (RFC 5321 section 4.1.1.8); 504 for another topic.

    A command's syntax comes first; ``explain`` adds what it knows of commands, reply codes and keywords.
    """
    if not topic:
        return Reply(214, "Commands: " + " ".join(_SYNTAX) + "\nHELP command tells its syntax", "2.0.0")
    known = (_SYNTAX.get(topic.upper()), explain(topic) if explain is not None else None)
    said = "\n".join(text for text in known if text)
    return Reply(214, said, "2.0.0") if said else NO_SUCH_TOPIC


@lru_cache(maxsize=256)
def with_link(reply: Reply, url: str) -> Reply:
    """The refusal with where to read about it, in its last line if that stays within 512 octets, else in one more."""
    link = f"see {url.replace('{code}', str(reply.code))}"
    joint = ", " if len(reply.lines[-1].encode()) + len(link) < MAX_LINE_OCTETS - 24 else "\n"
    return Reply(reply.code, f"{reply.text}{joint}{link}", reply.enhanced)
