"""A second, slower opinion on where a session stands, from what both sides said and from nothing else.

It reads the client's octets as the RFCs say, takes one reply for each command line, content or chunk, and notes each
(state, verb) pair that was tried. It knows nothing of the server; that it runs dry on both sides at the same time is
the proof that every command got exactly one reply.
"""

from __future__ import annotations

import re
from collections import deque

from postroad.smtp.states import State, Verb

_REPLY_LINE = re.compile(rb"([2-5][0-9]{2})([ -]).*\r\n\Z", re.DOTALL)
_BDAT = re.compile(rb"BDAT +([0-9]{1,19})(?: +LAST)? *\r?\n\Z", re.IGNORECASE)

_WORDS = {verb.value.encode(): verb for verb in Verb}


def split_replies(octets: bytes) -> list[bytes]:
    """Whole replies, with all their lines; fails when the octets are none."""
    replies: list[bytes] = []
    lines: list[bytes] = []
    for line in octets.split(b"\r\n")[:-1]:
        found = _REPLY_LINE.match(line + b"\r\n")
        assert found is not None, f"no reply line: {line!r}"
        assert not lines or lines[0][:3] == line[:3], f"two codes in one reply: {lines[0]!r}, {line!r}"
        lines.append(line)
        if found.group(2) == b" ":
            replies.append(b"\r\n".join(lines) + b"\r\n")
            lines = []
    assert octets.endswith(b"\r\n") or not octets, f"the server's last line has no end: {octets[-40:]!r}"
    assert not lines, f"a reply without last line: {lines!r}"
    return replies


def verb_of(line: bytes) -> Verb | None:
    """The command that a line holds."""
    word = re.split(rb"[ \r\n]", line, maxsplit=1)[0]
    return _WORDS.get(word.upper())


class Shadow:
    """Follows a session; ``state`` is where it stands, ``pairs`` what was tried where."""

    def __init__(self) -> None:
        self.state = State.CONNECTED
        self.pairs: set[tuple[State, Verb]] = set()
        self.replies_expected = 0
        self._octets = b""
        self._replies: deque[bytes] = deque()
        self._greeted = State.GREETED
        self._esmtp = False

    def hear(self, client: bytes, server: bytes) -> None:
        """What the client sent in one segment, and all that the server said to it."""
        self._octets += client
        self._replies.extend(split_replies(server))
        while self._step():
            pass

    @property
    def takes_commands(self) -> bool:
        """Whether QUIT would be taken for a command now."""
        idle = (State.CONNECTED, State.HANDSHAKE, State.CONTENT, State.AUTHENTICATING, State.CLOSED)
        return self.state not in idle and not self._octets

    def handshake_done(self) -> None:
        """TLS is up: the session is as new (RFC 3207 section 4.2)."""
        assert self.state is State.HANDSHAKE, f"a handshake in {self.state}"
        self.state = State.GREETED

    def close(self) -> None:
        """The server hung up; what it did not answer is void."""
        if self.state in (State.CONNECTED, State.HANDSHAKE, State.CLOSED):
            for line in self._octets.split(b"\n"):
                self._note(line)
        self._octets = b""
        self._replies.clear()
        self.state = State.CLOSED

    def assert_even(self) -> None:
        """Everything was answered, and nothing was said without cause."""
        assert not self._replies, f"replies to nothing: {list(self._replies)}"
        if self.state not in (State.CONTENT, State.HANDSHAKE, State.CLOSED):
            assert b"\n" not in self._octets or self._chunk_is_open(), f"without a reply: {self._octets[:80]!r}"

    def _chunk_is_open(self) -> bool:
        return verb_of(self._octets) is Verb.BDAT

    def _note(self, line: bytes) -> Verb | None:
        verb = verb_of(line)
        if verb is not None:
            self.pairs.add((self.state, verb))
        return verb

    def _step(self) -> bool:
        match self.state:
            case State.CONNECTED:
                return self._greeting()
            case State.CLOSED | State.HANDSHAKE:
                return False
            case State.CONTENT:
                return self._content()
            case _:
                return self._command()

    def _greeting(self) -> bool:
        if not self._replies or self._octets:
            return False
        self.state = {b"2": State.GREETED, b"5": State.TURNED_AWAY}.get(self._replies.popleft()[:1], State.CLOSED)
        return True

    def _content(self) -> bool:
        end = 0 if self._octets.startswith(b".\r\n") else self._octets.find(b"\r\n.\r\n") + 2
        if end == 1 or not self._replies:
            return False
        for line in self._octets[:end].split(b"\n"):
            self._note(line)
        self._octets = self._octets[end + 3 :]
        self._replies.popleft()
        self.state = State.READY
        return True

    def _command(self) -> bool:
        line, newline, rest = self._octets.partition(b"\n")
        if not newline or not self._replies:
            return False
        line += newline
        code = self._replies[0][:3]
        chunk = _BDAT.match(line)
        if chunk is not None and verb_of(line) is Verb.BDAT and code not in (b"500", b"501"):
            if len(rest) < int(chunk.group(1)):
                return False
            rest = rest[int(chunk.group(1)) :]
        self._octets = rest
        self._replies.popleft()
        verb = self._note(line)
        if self.state is State.AUTHENTICATING:
            self.state = State.AUTHENTICATING if code == b"334" else State.READY
        elif verb is not None:
            self._move(verb, line, code)
        return True

    def _move(self, verb: Verb, line: bytes, code: bytes) -> None:
        last = line.upper().rstrip().endswith(b"LAST")
        match verb:
            case Verb.EHLO | Verb.HELO if code == b"250":
                self.state = State.READY
            case Verb.STARTTLS if code in (b"220", b"554"):
                self.state = State.HANDSHAKE
            case Verb.AUTH if code == b"334":
                self.state = State.AUTHENTICATING
            case Verb.MAIL if code == b"250":
                self.state = State.SENDER
            case Verb.RCPT if code in (b"250", b"251"):
                self.state = State.RECIPIENTS
            case Verb.DATA if code == b"354":
                self.state = State.CONTENT
            case Verb.BDAT if last and self.state in (State.RECIPIENTS, State.CHUNKS) and code not in (b"501", b"502"):
                self.state = State.READY
            case Verb.BDAT if self.state is State.RECIPIENTS and code not in (b"500", b"501", b"502"):
                self.state = State.CHUNKS
            case Verb.RSET if code == b"250" and self.state is not State.GREETED:
                self.state = State.READY
            case Verb.QUIT if code == b"221":
                self.state = State.CLOSED
