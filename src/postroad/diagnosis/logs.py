"""What a mail server's log says of the mail that did not arrive: where to, how often, why, who acts, what to do.

Logs of Postfix, Exim, OpenSMTPD and Postroad, told apart by themselves; any size in the same memory.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

from postroad.diagnosis.logs_digest import Digest, Wanted
from postroad.diagnosis.logs_documents import Describing, Document
from postroad.diagnosis.logs_packing import unpacked
from postroad.diagnosis.logs_reading import BLOCK, FORMATS, readers
from postroad.replies.catalogue import catalogue

LIMIT: Final = 50


def explain_log(
    log: bytes | str | Iterable[bytes],
    *,
    language: str = "en",
    destination: str = "",
    since: float = 0.0,
    format: str = "",
    limit: int = LIMIT,
    now: float | None = None,
) -> Document:
    """Explain a log, whole or in blocks of any size: one document (``postroad.log.explanation/1``).

    destination  only recipients whose domain holds this
    since        only lines from then on; seconds since the epoch
    format       one of FORMATS; empty: found by itself
    limit        groups that are told apart, the greatest first; the others are counted by reason
    now          when the log ends, for stamps without a year; seconds since the epoch

    Raises ValueError for an unknown format. Whatever the log holds, nothing else is raised. Texts in the document are a
    stranger's.
    """
    if format and format not in FORMATS:
        raise ValueError(f"no format {format!r}; there are {', '.join(FORMATS)}")
    digest = Digest(catalogue(), Wanted(destination, since, format))
    digest.begin(time.time() if now is None else now)
    for block in _blocks(log):
        digest.read(block)
    for _ in digest.finish():
        pass
    return Describing(digest.catalogue, language).whole(digest, limit)


def format_of(log: bytes) -> str:
    """The format of a log by its first lines, one of FORMATS; empty when it is none."""
    lines = [unpacked(line) for line in log[:65_536].split(b"\n")]
    counts = {reader.name: sum(map(reader.knows, lines)) for reader in readers()}
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] else ""


def octets_of(text: str) -> bytes:
    """What a text was read from: octets that were no UTF-8 come back, halves of characters are replaced."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def _blocks(log: bytes | str | Iterable[bytes]) -> Iterable[bytes]:
    if isinstance(log, str):
        log = octets_of(log)
    if isinstance(log, bytes):
        return (log[start : start + BLOCK] for start in range(0, len(log), BLOCK))
    return log
