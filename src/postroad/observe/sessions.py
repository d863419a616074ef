"""The last sessions, refused ones too, with their transcripts: a refusal that leaves no trace cannot be mended.

A bounded window in memory, for pages and the API; what was accepted is the spool's to keep.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from postroad.errors import NotFound

#: No transcript is kept longer than this; its middle is left out.
MAX_TRANSCRIPT: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """One finished session. Every text is a peer's or holds a peer's words: never trusted markup."""

    id: str
    listener: str
    """``mx``, ``submission``, ``submissions`` or ``dev``."""
    peer: str
    """Address and port of the client."""
    hello: str
    account: str
    """The authenticated account, or ``""``."""
    tls: str
    """TLS version and cipher, or ``""``."""
    began_at: float
    """Seconds since the epoch, UTC."""
    seconds: float
    """How long it lasted."""
    messages: tuple[str, ...]
    """Ids of the messages that were accepted; of a long session the newest."""
    refusals: tuple[str, ...]
    """The 4yz and 5yz replies that were given, a line each."""
    ended: str
    """Why it ended, as SessionEnded.reason says it."""
    transcript: str
    """``C: …``/``S: …`` lines, secrets blanked."""

    @property
    def octets(self) -> int:
        """About how much memory the record takes."""
        texts = (self.id, self.listener, self.peer, self.hello, self.account, self.tls, self.ended, self.transcript)
        return 600 + sum(map(len, texts)) + sum(60 + len(text) for text in (*self.messages, *self.refusals))


class SessionLog:
    """The newest sessions, at most ``max_sessions`` and ``max_octets`` of them; the oldest go first."""

    def __init__(self, max_sessions: int = 500, max_octets: int = 16 * 1024 * 1024) -> None:
        self._max_sessions = max_sessions
        self._max_octets = max_octets
        self._records: OrderedDict[str, SessionRecord] = OrderedDict()
        self._octets = 0
        self.total = 0
        """Sessions ever added."""
        self._listeners: list[Callable[[SessionRecord], None]] = []

    def on_added(self, listener: Callable[[SessionRecord], None]) -> None:
        """Tell ``listener`` of every session that is added from now on."""
        self._listeners.append(listener)

    def add(self, record: SessionRecord) -> None:
        """Keep ``record`` as the newest."""
        if len(record.transcript) > MAX_TRANSCRIPT:
            record = replace(record, transcript=_without_middle(record.transcript))
        earlier = self._records.pop(record.id, None)
        if earlier is not None:
            self._octets -= earlier.octets
        self._records[record.id] = record
        self._octets += record.octets
        self.total += 1
        while len(self._records) > self._max_sessions or (self._octets > self._max_octets and len(self._records) > 1):
            _, oldest = self._records.popitem(last=False)
            self._octets -= oldest.octets
        for listener in self._listeners:
            listener(record)

    def list(
        self, refused_only: bool = False, limit: int = 100, before: str = "", peer: str = "", code: str = ""
    ) -> Sequence[SessionRecord]:
        """Newest first. ``before``: only sessions older than the one with this id (none when it is forgotten).

        ``peer``: a part of the client's address, of the name that it gave or of its account, in any case; ``code``: how
        the code or the enhanced status of a refusal begins.
        """
        found: list[SessionRecord] = []
        if before and before not in self._records:
            return found
        passed = not before
        for record in reversed(self._records.values()):
            if len(found) >= limit:
                break
            if passed and (record.refusals or not refused_only) and _fits(record, peer.casefold(), code):
                found.append(record)
            passed = passed or record.id == before
        return found

    def get(self, session_id: str) -> SessionRecord:
        """One session; raises NotFound when it never was or is forgotten."""
        record = self._records.get(session_id)
        if record is None:
            raise NotFound(f"no session `{session_id[:80]}`", f"only the newest {self._max_sessions} are kept")
        return record

    def __len__(self) -> int:
        return len(self._records)


def _fits(record: SessionRecord, peer: str, code: str) -> bool:
    if peer and not any(peer in text.casefold() for text in (record.peer, record.hello, record.account)):
        return False
    return not code or any(word.startswith(code) for reply in record.refusals for word in reply.split(" ", 2)[:2])


def _without_middle(text: str) -> str:
    half = MAX_TRANSCRIPT // 2
    head, tail = text[:half], text[-half:]
    left_out = len(text) - 2 * half
    return f"{head.rpartition(chr(10))[0]}\n… {left_out} characters left out …\n{tail.partition(chr(10))[2]}"
