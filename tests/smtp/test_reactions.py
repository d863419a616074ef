"""What a reply means at which command: the table of ``reactions``, row by row."""

from __future__ import annotations

import pytest

from postroad.replies import Reply
from postroad.smtp.reactions import Meaning, react
from postroad.smtp.states import Verb

M, R, D, CONTENT = Verb.MAIL, Verb.RCPT, Verb.DATA, None
WITH, WITHOUT = True, False

TABLE: list[tuple[Verb | None, bool, str, Meaning]] = [
    # at, the command carried parameters, the reply, what it means
    (M, WITH, "250", Meaning.TAKEN),
    (R, WITHOUT, "251", Meaning.TAKEN),
    (CONTENT, WITHOUT, "250 2.0.0", Meaning.TAKEN),
    # 421 closes, whatever was asked
    (M, WITH, "421", Meaning.HOST),
    (R, WITH, "421 4.5.3", Meaning.HOST),
    (CONTENT, WITHOUT, "421 4.7.0", Meaning.HOST),
    # 455 and 555 are about parameters, if there were any and no address is named
    (M, WITH, "455", Meaning.NOT_NOW),
    (R, WITH, "455", Meaning.NOT_NOW),
    (M, WITH, "455 4.5.4", Meaning.NOT_NOW),
    (M, WITH, "455 4.3.3", Meaning.NOT_NOW),
    (M, WITH, "455 4.1.1", Meaning.LATER),
    (R, WITH, "455 4.2.2", Meaning.LATER),
    (M, WITHOUT, "455", Meaning.LATER),
    (R, WITHOUT, "455 4.5.4", Meaning.LATER),
    (D, WITH, "455 4.5.4", Meaning.LATER),
    (M, WITH, "555", Meaning.NOT_KNOWN),
    (R, WITH, "555 5.5.4", Meaning.NOT_KNOWN),
    (R, WITH, "555 5.3.3", Meaning.NOT_KNOWN),
    (R, WITH, "555 5.1.1", Meaning.NEVER),
    (M, WITHOUT, "555 5.5.4", Meaning.NEVER),
    (CONTENT, WITH, "555 5.5.4", Meaning.NEVER),
    # what hosts write in the place of 555
    (M, WITH, "501", Meaning.NOT_KNOWN),
    (M, WITH, "501 5.5.4", Meaning.NOT_KNOWN),
    (R, WITH, "501 5.1.3", Meaning.NEVER),
    (M, WITH, "501 5.7.1", Meaning.NEVER),
    (M, WITH, "503", Meaning.NOT_KNOWN),
    (R, WITH, "503 5.5.1", Meaning.NOT_KNOWN),
    (R, WITHOUT, "503 5.5.1", Meaning.NEVER),
    (M, WITHOUT, "503", Meaning.NEVER),
    (M, WITH, "504 5.5.4", Meaning.NOT_KNOWN),
    (M, WITH, "504 5.1.7", Meaning.NEVER),
    (R, WITHOUT, "504", Meaning.NEVER),
    (M, WITH, "500 5.5.2", Meaning.NEVER),
    (M, WITH, "550 5.5.4", Meaning.NEVER),
    (M, WITH, "552 5.3.4", Meaning.NEVER),
    # too many recipients (RFC 5321 section 4.5.3.1.10), whatever the code
    (R, WITHOUT, "452", Meaning.FULL),
    (R, WITH, "452 4.5.3", Meaning.FULL),
    (R, WITH, "455 4.5.3", Meaning.FULL),
    (R, WITHOUT, "450 4.5.3", Meaning.FULL),
    (R, WITHOUT, "552", Meaning.FULL),
    (R, WITHOUT, "552 5.5.3", Meaning.FULL),
    (R, WITHOUT, "550 5.5.3", Meaning.FULL),
    (R, WITH, "455 Too many recipients,", Meaning.FULL),
    (R, WITHOUT, "451 Error: too many recipients", Meaning.FULL),
    (R, WITHOUT, "550 too many recipients", Meaning.FULL),
    (R, WITHOUT, "451 4.7.1 too many recipients this hour", Meaning.LATER),
    (R, WITHOUT, "250 not too many recipients", Meaning.TAKEN),
    (M, WITHOUT, "451 too many recipients", Meaning.LATER),
    (R, WITHOUT, "452 4.2.2", Meaning.LATER),
    (R, WITHOUT, "452 4.3.1", Meaning.LATER),
    (R, WITHOUT, "552 5.2.2", Meaning.NEVER),
    (M, WITH, "452", Meaning.LATER),
    (D, WITHOUT, "452", Meaning.LATER),
    (CONTENT, WITHOUT, "552", Meaning.NEVER),
    # the host, not the mail
    (M, WITH, "451 4.3.0", Meaning.HOST),
    (M, WITHOUT, "452 4.3.1", Meaning.HOST),
    (M, WITHOUT, "450 4.4.3", Meaning.HOST),
    (M, WITHOUT, "450 4.7.1", Meaning.LATER),
    (M, WITHOUT, "451", Meaning.LATER),
    (R, WITHOUT, "451 4.3.0", Meaning.LATER),
    (M, WITHOUT, "554 5.3.2", Meaning.NEVER),
    (M, WITH, "530 5.7.0 Must issue a STARTTLS command first", Meaning.HOST),
    (M, WITHOUT, "530 say starttls", Meaning.HOST),
    (M, WITHOUT, "530 5.7.0 Authentication required", Meaning.NEVER),
    (M, WITHOUT, "550 5.7.1 STARTTLS was said, and yet", Meaning.NEVER),
    # anything else
    (R, WITH, "450 4.2.1", Meaning.LATER),
    (R, WITH, "550 5.1.1", Meaning.NEVER),
    (D, WITHOUT, "554", Meaning.NEVER),
    (CONTENT, WITHOUT, "554 5.6.0", Meaning.NEVER),
]


@pytest.mark.parametrize(("command", "parameters", "reply", "meaning"), TABLE)
def test_the_table(command: Verb | None, parameters: bool, reply: str, meaning: Meaning) -> None:
    assert react(Reply.parse(f"{reply} x\r\n".encode()), command, parameters=parameters) is meaning
