"""No password in a transcript, whatever a client does with it."""

from __future__ import annotations

import pytest

from postroad.smtp.events import NEED_DATA
from postroad.smtp.extensions import auth
from postroad.smtp.parameters import Conditions, ExtensionSet, Traits
from postroad.smtp.server import ServerConfig, ServerEngine

NAME, PASSWORD = b"a2FuYQ==", b"c2VjcmV0"


@pytest.mark.parametrize(
    "lines",
    [
        (b"AUTH PLAIN " + PASSWORD,),
        (b"AUTH PLAIN", PASSWORD),
        (b"AUTH LOGIN", NAME, PASSWORD),
        (b"AUTH CRAM-MD5", NAME, PASSWORD),
        (b"AUTH LOGIN x y", NAME, PASSWORD),
        (b"MAIL FROM:<kana@example.org>", b"AUTH LOGIN", NAME, PASSWORD),
        (b"auth login", b"*", NAME, PASSWORD),
    ],
)
@pytest.mark.parametrize("may", [True, False], ids=["may authenticate", "needs TLS"])
def test_no_password_is_written_down(lines: tuple[bytes, ...], may: bool) -> None:
    config = ServerConfig("mx.example.net", ExtensionSet((auth(("PLAIN", "LOGIN")),)), mechanisms=("PLAIN", "LOGIN"))
    engine = ServerEngine(config, Conditions(), Traits(auth_in_clear=may))
    engine.greet()
    for line in (b"EHLO client.example", *lines, b"NOOP", b"FROB"):
        engine.receive(line + b"\r\n")
        while engine.next_event() is not NEED_DATA:
            if engine.awaiting is not None:
                engine.accept()
    assert engine.transcript is not None
    text = engine.transcript.text()
    assert PASSWORD.decode() not in text
    assert "C: FROB" in text, "an unknown command elsewhere is shown"
