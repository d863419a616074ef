"""The client's side of AUTH PLAIN (RFC 4616) and LOGIN; what cannot be answered is cancelled with ``*``.

Hosts write what they do not understand into their refusal: what was secret in our line is blanked in the answer too.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Final

from postroad.errors import LocalProtocolError, RemoteProtocolError
from postroad.replies import Reply
from postroad.smtp.client_commands import Auth, auth_line, check_secret
from postroad.smtp.reply_framing import with_texts

#: RFC 4954 section 4: an initial response that makes the line longer waits for the first challenge.
_MAX_LINE: Final = 512
_PREFERENCE: Final = ("PLAIN", "LOGIN")
#: Characters that tell something of a secret: fewer may stand in any text.
_LEAST_TOLD: Final = 6


class AuthExchange:
    """One exchange: its first line, then a response to each challenge."""

    __slots__ = ("_cancelled", "_responses", "_secrets", "line", "mechanism")

    def __init__(self, command: Auth, announced: Mapping[str, str]) -> None:
        self.mechanism = usable_mechanisms(announced, (command.mechanism,) if command.mechanism else ())[0]
        self._cancelled = False
        account, password = check_secret(command.account), check_secret(command.password)
        if self.mechanism == "PLAIN":
            self._responses = [_encoded(f"\x00{account}\x00{password}")]
            self.line = auth_line(self.mechanism, self._responses[0])
            if len(self.line) <= _MAX_LINE:
                self._responses.clear()
            else:
                self.line = auth_line(self.mechanism, None)
        else:  # the prompts of LOGIN are anybody's; its order is fixed
            self._responses = [_encoded(account), _encoded(password)]
            self.line = auth_line(self.mechanism, None)
        responses = (_encoded(f"\x00{account}\x00{password}"), _encoded(password))
        self._secrets = [(secret, _LEAST_TOLD) for secret in responses] + [(password, max(len(password), _LEAST_TOLD))]

    def respond(self, challenge: str) -> bytes:
        """The line that answers a challenge, with CRLF; ``*`` when nothing is left to say (RFC 4954 section 4).

        Raises RemoteProtocolError for a challenge behind ``*``: it would go on for ever.
        """
        if self._responses:
            return self._responses.pop(0).encode("ascii") + b"\r\n"
        if self._cancelled:
            raise RemoteProtocolError("AUTH was cancelled and the host goes on asking")
        self._cancelled = True
        return b"*\r\n"

    def blanked(self, text: str) -> str:
        """A text of the host without what it tells of our responses, whole or cut off somewhere, and of the password."""
        for secret, least in self._secrets:
            for size in range(len(secret), least - 1, -1):
                text = text.replace(secret[:size], "***")
        return text

    def without_secrets(self, reply: Reply) -> Reply:
        """The reply with its text ``blanked``."""
        text = self.blanked(reply.text)
        return reply if text == reply.text else with_texts(reply, text.split("\n"))


def usable_mechanisms(announced: Mapping[str, str], wanted: Sequence[str] = ()) -> list[str]:
    """What both sides know, in the order of ``wanted`` (empty: PLAIN, LOGIN); raises LocalProtocolError for none."""
    offered = announced.get("AUTH", "").upper().split(" ")
    names = tuple(name.upper() for name in wanted) or _PREFERENCE
    usable = [name for name in dict.fromkeys(names) if name in offered and name in _PREFERENCE]
    if not usable:
        raise LocalProtocolError(f"the host offers no AUTH with {' or '.join(names)}")
    return usable


def wants_other_mechanism(reply: Reply) -> bool:
    """The mechanism was refused, not the password: 504 unknown, 534 too weak (RFC 4954 sections 4 and 6)."""
    return reply.code in (504, 534)  # reply: the mechanism is this room's choice


def _encoded(text: str) -> str:
    return b64encode(text.encode("utf-8")).decode("ascii")
