"""How a dialogue script is written, and read.

A file holds dialogues, each begun by a line ``=== title``. A dialogue says what one client and the server say:

    C: EHLO client.example        the client sends this line, with CRLF; lines in a row travel in one segment
    C~ NOOP\\x00\\r\\n               the client sends these octets: \\r \\n \\t \\0 \\\\ \\xHH, {x*500} is x 500 times
    S: 250 2.1.0 *                the server's next line; code and enhanced status are exact, * is any text
    S: 250-...                    the rest of a reply of several lines
    S~ 334\\x20\\r\\n                the server's next octets, exactly
    M: Subject: hello             what the server took as content of the last message, a line each
    M~ a\\0b                       the same as octets

All that the server says to a segment stands behind it; nothing more may come. Comments begin with ``#``; those that
begin with one of these words are directives, and every other word in their place is an error of the script:

    # given: CONDITION            before the first line; see ``Given.take``
    # policy: refuse STAGE [<PATH>] with REPLY
                                  STAGE is connect, hello, auth, sender, recipient, content, message or starttls
    # now: unavailable SMTPUTF8, BODY=8BITMIME | now: room for 100 octets | now: everything available
    # messages: 2                 so many messages have been accepted until here
    # then                        what the client sends next travels in another segment
    # starttls                    both do the TLS handshake
    # eof                         the client closes its half of the connection (with the segment that stands before)
    # closed: quit                the server has said its last word and closes; see ``SessionEnded.reason``

``# given: EHLO session`` (or HELO session, sender, recipient, chunk) stands for the lines that lead there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from postroad.replies import Reply

FOLDER = Path(__file__).parent

_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|(.))")
_REPEAT = re.compile(r"\{([^{}*]+)\*([0-9]+)\}")
_NAMED = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}
_DIRECTIVE = re.compile(r"# ([a-z]+)(?:: (.+)|)\Z")
_POLICY = re.compile(
    r"refuse (connect|hello|auth|sender|recipient|content|message|starttls)(?: <(.*)>)? with ([0-9]{3}) ([0-9.]+) (.+)\Z"
)


def unescape(text: str) -> bytes:
    """The octets that an escaped text stands for."""
    text = _REPEAT.sub(lambda found: found.group(1) * int(found.group(2)), text)
    out = bytearray()
    at = 0
    for found in _ESCAPE.finditer(text):
        out += text[at : found.start()].encode()
        out += bytes.fromhex(found.group(1)) if found.group(1) else _NAMED[found.group(2)]
        at = found.end()
    return bytes(out + text[at:].encode())


@dataclass(frozen=True)
class Step:
    """What happens next: ``kind`` is C, S, M, or a directive."""

    kind: str
    octets: bytes = b""
    """C: to send. M: the whole content."""
    text: str = ""
    """S: the pattern. Directives: their argument."""
    exact: bool = False
    """S: ``text`` is no pattern; ``octets`` are."""
    line: int = 0


@dataclass(frozen=True)
class Refusal:
    """A policy of the script."""

    stage: str
    path: str | None
    reply: Reply


@dataclass
class Given:
    """What a dialogue takes for granted."""

    offered: list[str] = field(
        default_factory=lambda: (
            "SIZE PIPELINING 8BITMIME SMTPUTF8 ENHANCEDSTATUSCODES CHUNKING BINARYMIME STARTTLS AUTH LIMITS HELP".split()
        )
    )
    size_limit: int = 26214400
    free_octets: int | None = None
    unavailable: tuple[str, ...] = ()
    tls: bool = False
    submission: bool = False
    auth_in_clear: bool = False
    max_recipients: int = 1000
    max_errors: int = 20
    max_junk: int = 100
    line_octets: int = 65536
    normalize: bool = False
    expn: bool = False
    users: dict[str, str] = field(default_factory=lambda: {"kana": "tiger"})
    policies: list[Refusal] = field(default_factory=list)
    opening: str = ""

    def take(self, text: str) -> None:
        """Take one ``given`` phrase in."""
        number = re.search(r"[0-9]+", text)
        amount = int(number.group()) if number else 0
        words = [word for word in re.split(r",? +", text) if word]
        match re.sub(r"[0-9]+", "N", text):
            case "no size limit":
                self.size_limit = 0
            case "size limit N":
                self.size_limit = amount
            case "room for N octets":
                self.free_octets = amount
            case "inside TLS":
                self.tls = True
            case "submission":
                self.submission = True
            case "AUTH in clear":
                self.auth_in_clear = True
            case "at most N recipients":
                self.max_recipients = amount
            case "at most N errors":
                self.max_errors = amount
            case "at most N junk commands":
                self.max_junk = amount
            case "text lines of N octets":
                self.line_octets = amount
            case "bare newlines are normalized":
                self.normalize = True
            case "EXPN allowed":
                self.expn = True
            case "EHLO session" | "HELO session" | "sender" | "recipient" | "chunk":
                self.opening = text
            case _ if words[0] == "unavailable":
                self.unavailable = tuple(words[1:])
            case _ if words[:2] == ["also", "offered"]:
                self.offered += words[2:]
            case _ if words[:2] == ["not", "offered"]:
                for word in words[2:]:
                    self.offered.remove(word)
            case _:
                raise ValueError(f"unknown condition: {text}")


@dataclass
class Dialogue:
    """One dialogue of a file."""

    file: str
    title: str
    given: Given = field(default_factory=Given)
    steps: list[Step] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.file}: {self.title}"


_GREETING = ["S: 220 *"]
_OPENINGS = {
    "EHLO session": [*_GREETING, "C: EHLO client.example", "S: 250-..."],
    "HELO session": [*_GREETING, "C: HELO client.example", "S: 250 *"],
}
_OPENINGS["sender"] = [*_OPENINGS["EHLO session"], "C: MAIL FROM:<kana@example.org>", "S: 250 2.1.0 *"]
_OPENINGS["recipient"] = [*_OPENINGS["sender"], "C: RCPT TO:<bob@example.net>", "S: 250 2.1.5 *"]
_OPENINGS["chunk"] = [*_OPENINGS["recipient"], "C~ BDAT 7\\r\\nA: b\\r\\n\\r", "S: 250 2.0.0 *"]


def _read_line(dialogue: Dialogue, text: str, number: int) -> None:
    mark, body = text[:2], text[3:] if text[2:3] == " " else text[2:]
    match mark:
        case "C:":
            dialogue.steps.append(Step("C", octets=body.encode() + b"\r\n", line=number))
        case "C~":
            dialogue.steps.append(Step("C", octets=unescape(body), line=number))
        case "S:":
            dialogue.steps.append(Step("S", text=body, line=number))
        case "S~":
            dialogue.steps.append(Step("S", octets=unescape(body), exact=True, line=number))
        case "M:" | "M~":
            octets = body.encode() + b"\r\n" if mark == "M:" else unescape(body)
            before = dialogue.steps[-1] if dialogue.steps else Step("")
            if before.kind == "M":
                dialogue.steps[-1] = Step("M", octets=before.octets + octets, line=before.line)
            else:
                dialogue.steps.append(Step("M", octets=octets, line=number))
        case _:
            raise ValueError(f"{dialogue.file}:{number}: neither a comment nor a line of a dialogue: {text}")


def _read_comment(dialogue: Dialogue, text: str, number: int) -> None:
    found = _DIRECTIVE.match(text)
    if found is None:
        return
    word, argument = found.groups()
    if argument is None and word in ("starttls", "eof", "closed", "then"):
        dialogue.steps.append(Step(word, line=number))
    elif argument is None:
        return
    elif word in ("now", "messages", "closed"):
        dialogue.steps.append(Step(word, text=argument, line=number))
    elif word == "given":
        dialogue.given.take(argument)
        if dialogue.given.opening == argument:
            for line in _OPENINGS[argument]:
                _read_line(dialogue, line, number)
    elif word == "policy":
        policy = _POLICY.match(argument)
        if policy is None:
            raise ValueError(f"{dialogue.file}:{number}: no policy: {argument}")
        stage, path, code, enhanced, said = policy.groups()
        dialogue.given.policies.append(Refusal(stage, path, Reply(int(code), said, enhanced)))
    else:
        raise ValueError(f"{dialogue.file}:{number}: unknown directive: {word}")


def read_file(path: Path) -> list[Dialogue]:
    """The dialogues of a file."""
    dialogues: list[Dialogue] = []
    for number, text in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if text.startswith("=== "):
            dialogues.append(Dialogue(path.stem, text[4:]))
        elif not dialogues and text and not text.startswith("#"):
            raise ValueError(f"{path.name}:{number}: a line before the first title")
        elif text.startswith("#") and dialogues:
            _read_comment(dialogues[-1], text, number)
        elif text and dialogues:
            if text != text.rstrip():
                raise ValueError(f"{path.name}:{number}: a space at the end that nobody sees")
            _read_line(dialogues[-1], text, number)
    return dialogues


def read_all() -> list[Dialogue]:
    """The dialogues of all files, in the order of their names."""
    return [dialogue for path in sorted(FOLDER.glob("*.txt")) for dialogue in read_file(path)]
