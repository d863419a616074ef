"""Command lines read: verb, paths and parameters, each fault with the reply that it earns.

Nothing here keeps state; the order of commands is ``states.py``, what may be honoured is ``parameters.py``.
"""

from __future__ import annotations

import re
from typing import Any, Final

from postroad.address import Mailbox, take_path
from postroad.errors import AddressSyntaxError, ParameterSyntaxError
from postroad.replies import Reply
from postroad.smtp import refusals
from postroad.smtp.parameters import NOTHING_GIVEN, Conditions, ExtensionSet, Given, Parameter, Traits
from postroad.smtp.states import Verb

#: Verbs by their octets in capitals.
VERBS: Final[dict[bytes, Verb]] = {verb.value.encode(): verb for verb in Verb}

#: The first words of an HTTP request or header: whoever says them speaks no SMTP.
FOREIGN_WORDS: Final = frozenset(
    (b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"CONNECT", b"TRACE", b"PATCH", b"PRI", b"HOST:")
)

_PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*+)(?:=([!-<>-~\u0080-\U0010ffff]++))?\Z")
_HELLO_NAME = re.compile(r"[!-~]{1,255}\Z")


def split_line(line: bytes) -> tuple[bytes, bytes]:
    """The verb in capitals and its argument, white space at the end tolerated (RFC 5321 section 4.1.1)."""
    word, _, rest = line.rstrip(b" \t").partition(b" ")
    return word.upper(), rest


def read_hello(argument: str) -> str | None:
    """The name after EHLO or HELO; any word is taken and what follows it ignored, None when there is none.

    RFC 5321 section 4.1.4: a wrong name is no reason to refuse, so it is kept, not judged.
    """
    name = argument.strip(" \t").partition(" ")[0]
    return name if _HELLO_NAME.match(name) is not None else None


def read_sender(argument: str) -> tuple[Mailbox | None, str] | Reply:
    """``FROM:<reverse-path>`` and what follows it, or the reply for what it is instead."""
    if argument[:5].upper() != "FROM:":
        return refusals.MAIL_SYNTAX
    try:
        path, rest = take_path(argument[5:].removeprefix(" "))
    except AddressSyntaxError as fault:
        return refusals.malformed_path(refusals.BAD_SENDER, fault.hint or _plain(fault.message))
    if path is not None and not path.domain:  # the bare Postmaster is a forward-path only
        return refusals.malformed_path(refusals.BAD_SENDER, "there is no @")
    return path, rest


def read_recipient(argument: str) -> tuple[Mailbox, str] | Reply:
    """``TO:<forward-path>`` and what follows it, or the reply for what it is instead."""
    if argument[:3].upper() != "TO:":
        return refusals.RCPT_SYNTAX
    try:
        path, rest = take_path(argument[3:].removeprefix(" "))
    except AddressSyntaxError as fault:
        return refusals.malformed_path(refusals.BAD_RECIPIENT, fault.hint or _plain(fault.message))
    return (path, rest) if path is not None else refusals.NULL_RECIPIENT


def _plain(message: str) -> str:
    """A fault's words without the peer's own text, which a reply does not repeat."""
    return message.partition(": ")[0]


def read_parameters(text: str, command: Verb, extensions: ExtensionSet, traits: Traits | None) -> Given | Reply:
    """The parameters behind a path: known, well formed and each once; or the reply (RFC 5321 section 4.1.1.11).

    ``traits`` None means a HELO session, where no extension is offered.
    """
    if not text:
        return NOTHING_GIVEN
    if not text.startswith(" "):
        return refusals.MAIL_SYNTAX if command is Verb.MAIL else refusals.RCPT_SYNTAX
    values: dict[Parameter[Any], Any] = {}
    for word in text.split(" "):
        if not word:
            continue
        found = _PARAMETER.match(word)
        if found is None:
            return refusals.PARAMETER_SYNTAX
        keyword = found.group(1).upper()
        parameter = extensions.offered(command, keyword, traits) if traits is not None else None
        if parameter is None:
            return refusals.unknown_parameter(keyword)
        if parameter in values:
            return refusals.malformed_parameter(keyword, "given twice")
        try:
            values[parameter] = parameter.parse(found.group(2))
        except ParameterSyntaxError as fault:
            return refusals.malformed_parameter(keyword, fault.message)
    return Given(values) if values else NOTHING_GIVEN


def judge_parameters(
    given: Given, extensions: ExtensionSet, conditions: Conditions
) -> tuple[Parameter[Any] | None, Reply] | None:
    """Whether well-formed parameters can be honoured now; None: all of them, else which one and the reply.

    What can never be honoured outweighs what cannot be just now: the client should not come again with it.
    """
    for extension in extensions.extensions:
        if extension.check is not None and (reply := extension.check(given)) is not None:
            return None, reply
    not_now = None
    for parameter, value in given:
        reply = parameter.judge(value, conditions)
        if reply is not None and reply.is_permanent:
            return parameter, reply
        if reply is not None and not_now is None:
            not_now = parameter, reply
    return not_now
