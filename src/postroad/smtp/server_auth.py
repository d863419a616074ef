"""AUTH on the server's side: the SASL exchange up to the credentials (RFC 4954). Part of ``ServerEngine``."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error

from postroad.replies import Reply
from postroad.smtp import refusals
from postroad.smtp.events import AuthGiven
from postroad.smtp.extensions.auth import may_authenticate
from postroad.smtp.parameters import ExtensionSet, Traits
from postroad.smtp.sasl import MECHANISMS, Credentials, Mechanism, SaslFault
from postroad.smtp.states import State, Verb, permitted

#: RFC 4422 section 3.1.
_NAME = re.compile(r"[A-Za-z0-9_-]{1,20}\Z")


class AuthExchange:
    """One exchange of one mechanism."""

    __slots__ = ("_initial", "_mechanism", "_name")

    def __init__(self, name: str, mechanism: Mechanism, initial: str | None) -> None:
        self._name = name
        self._mechanism = mechanism
        self._initial = initial

    @staticmethod
    def refusal(extensions: ExtensionSet, state: State, traits: Traits, esmtp: bool) -> Reply | None:
        """Why AUTH cannot be used now; None: it can."""
        if extensions.of_verb(Verb.AUTH) is None:
            return refusals.NOT_IMPLEMENTED
        if permitted(state, Verb.AUTH) is None:
            return refusals.HELLO_FIRST if state is State.GREETED else refusals.AUTH_IN_TRANSACTION
        if not esmtp:
            return refusals.EHLO_FIRST
        if traits.authenticated:
            return refusals.AUTH_ALREADY
        return None if may_authenticate(traits) else refusals.AUTH_NEEDS_TLS

    @classmethod
    def begin(cls, argument: str, mechanisms: tuple[str, ...]) -> AuthExchange | Reply:
        """Read ``mechanism [initial-response]``; gives the refusal for what cannot be used."""
        words = argument.split()
        if not 1 <= len(words) <= 2 or _NAME.match(words[0]) is None:
            return refusals.AUTH_SYNTAX
        name = words[0].upper()
        if name not in mechanisms or name not in MECHANISMS:
            return refusals.AUTH_MECHANISM
        return cls(name, MECHANISMS[name](), words[1] if len(words) > 1 else None)

    def initial(self) -> Reply | AuthGiven:
        """The first step: the challenge, or what the initial response leads to (``=`` is an empty one)."""
        if self._initial is None:
            return _challenge(self._mechanism.first_challenge())
        return self._step(b"" if self._initial == "=" else self._initial.encode("ascii"))

    def respond(self, line: bytes) -> Reply | AuthGiven:
        """Take a response line: the next challenge, the credentials, or the reply that ends the exchange."""
        return refusals.AUTH_CANCELLED if line == b"*" else self._step(line)

    def _step(self, response: bytes) -> Reply | AuthGiven:
        try:
            outcome = self._mechanism.respond(b64decode(response, validate=True))
        except Base64Error:
            return refusals.AUTH_NOT_BASE64
        except SaslFault:
            return refusals.AUTH_MALFORMED
        if isinstance(outcome, Credentials):
            return AuthGiven(self._name, outcome.authorization_id, outcome.authentication_id, outcome.password)
        return _challenge(outcome)


def _challenge(octets: bytes) -> Reply:
    return refusals.challenge(b64encode(octets).decode("ascii"))


def without_secret(line: bytes) -> bytes:
    """An AUTH line with its initial response blanked."""
    words = line.split()
    return b" ".join(words[:2] + [b"(not shown)"] * (len(words) > 2))
