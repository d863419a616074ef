"""The client's side of AUTH PLAIN (RFC 4616) and LOGIN; what cannot be answered is cancelled with ``*``."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Final

from postroad.errors import LocalProtocolError
from postroad.smtp.client_commands import Auth, auth_line, check_secret

#: RFC 4954 section 4: an initial response that makes the line longer waits for the first challenge.
_MAX_LINE: Final = 512
_PREFERENCE: Final = ("PLAIN", "LOGIN")


class AuthExchange:
    """One exchange: its first line, then a response to each challenge."""

    __slots__ = ("_responses", "line", "mechanism")

    def __init__(self, command: Auth, announced: Mapping[str, str]) -> None:
        offered = announced.get("AUTH", "").upper().split(" ")
        wanted = (command.mechanism.upper(),) if command.mechanism else _PREFERENCE
        usable = [m for m in wanted if m in offered and m in _PREFERENCE]
        if not usable:
            raise LocalProtocolError(f"the host offers no AUTH with {' or '.join(wanted)}")
        self.mechanism = usable[0]
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

    def respond(self, challenge: str) -> bytes:
        """The line that answers a challenge, with CRLF; ``*`` when nothing is left to say (RFC 4954 section 4)."""
        return self._responses.pop(0).encode("ascii") + b"\r\n" if self._responses else b"*\r\n"


def _encoded(text: str) -> str:
    return b64encode(text.encode("utf-8")).decode("ascii")
