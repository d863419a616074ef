"""What a host announced: its EHLO answer read, and what may therefore be said to it.

Promise: nothing goes out that the host would have to refuse for want of an extension (RFC 5321 section 4.1.1.11); a
line of the EHLO answer outside the grammar announces nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from postroad.errors import LocalProtocolError
from postroad.replies import Reply
from postroad.smtp.client_commands import Mail, Rcpt
from postroad.smtp.extensions import (
    DSN,
    EIGHTBITMIME,
    MT_PRIORITY,
    REQUIRETLS,
    SMTPUTF8,
    auth,
    deliver_by,
    future_release,
    size,
)
from postroad.smtp.extensions.binarymime import BINARYMIME, is_binary
from postroad.smtp.extensions.chunking import CHUNKING
from postroad.smtp.parameters import ExtensionSet
from postroad.smtp.states import Verb

#: Whose parameters a client can send, each only to a host that announces its extension.
KNOWN: Final = ExtensionSet(
    (
        size(0),
        EIGHTBITMIME,
        SMTPUTF8,
        DSN,
        auth(()),
        REQUIRETLS,
        MT_PRIORITY,
        deliver_by(),
        future_release(timedelta(days=9999), lambda: datetime(1970, 1, 1, tzinfo=UTC)),
    )
)

_EHLO_LINE: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*+)(?:[ =](.*))?\Z", re.DOTALL)


def read_announced(reply: Reply) -> dict[str, str]:
    """The extensions of an answer to EHLO or LHLO: keyword in capitals -> its parameters."""
    announced: dict[str, str] = {}
    for line in reply.lines[1:]:
        found = _EHLO_LINE.match(line)
        if found is not None:
            keyword, parameters = found[1].upper(), (found[2] or "").strip(" ")
            before = announced.get(keyword)
            # "AUTH=LOGIN" beside "AUTH PLAIN": hosts from before RFC 2554 are announced to twice
            announced[keyword] = f"{before} {parameters}".strip(" ") if before else parameters
    return announced


def check_announced(
    command: Mail | Rcpt, verb: Verb, known: ExtensionSet, announced: Mapping[str, str], *, tls: bool
) -> None:
    """Whether the host announced what the command needs; raises LocalProtocolError."""
    binary = is_binary(command.parameters)
    for parameter, _ in command.parameters:
        if parameter.forced:
            continue
        found = known.find(verb, parameter.keyword)
        if found is None or (found[0].keyword not in announced and not (found[0] is EIGHTBITMIME and binary)):
            raise LocalProtocolError(f"{parameter.keyword} belongs to no extension that was announced")
        if found[0] is REQUIRETLS and not tls:  # RFC 8689 section 4.2.1
            raise LocalProtocolError("REQUIRETLS is said inside TLS only")
    if binary and not (BINARYMIME.keyword in announced and CHUNKING.keyword in announced):
        raise LocalProtocolError("BODY=BINARYMIME needs BINARYMIME and CHUNKING, which were not announced")
    path = command.reverse_path if isinstance(command, Mail) else command.forward_path
    if path is not None and not path.is_ascii and SMTPUTF8.keyword not in announced:
        raise LocalProtocolError("a path beyond ASCII needs SMTPUTF8, which was not announced")
