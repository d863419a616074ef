"""Values to JSON and back, for columns that hold a whole value; what is read back is treated as untrusted."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from postroad.envelope import Attempt, JournalEntry, MessageId, Origin, Result, Step
from postroad.replies import Reply


def _encode_reply(value: Any) -> Any:
    if isinstance(value, Reply):
        enhanced = None if value.enhanced is None else str(value.enhanced)
        return [value.code, enhanced, value.text]
    raise NotImplementedError(f"the spool has no JSON for {type(value).__name__}")


def _decode_reply(kind: type, value: Any) -> Any:
    if kind is Reply:
        match value:
            case [int(code), None | str() as enhanced, str(text)]:
                return Reply(code, text, enhanced)
        raise ValueError("no reply")
    raise NotImplementedError(f"the spool reads no {kind.__name__}")


_ENCODER: Final = msgspec.json.Encoder(enc_hook=_encode_reply)
_ORIGIN: Final = msgspec.json.Decoder(Origin)
_REPLY: Final = msgspec.json.Decoder(Reply, dec_hook=_decode_reply)
_RESULTS: Final = msgspec.json.Decoder(tuple[Result, ...], dec_hook=_decode_reply)
_STEPS: Final = msgspec.json.Decoder(tuple[Step, ...], dec_hook=_decode_reply)
_PATHS: Final = msgspec.json.Decoder(dict[int, str])

#: What a line of the journal takes beside its texts, roughly.
_LINE_OCTETS: Final = 100

#: message, reverse_path, paths, at, seconds, route, host, results, steps, security, transcript
EntryColumns = tuple[str, str, str, float, float, str, str, str, str, str, str]


def encode(value: Origin | Reply | tuple[Result, ...] | tuple[Step, ...] | dict[int, str] | str) -> str:
    """JSON text; raises UnicodeEncodeError when a text holds half of a surrogate pair."""
    return _ENCODER.encode(value).decode()


def decode_origin(text: str) -> Origin:
    """Raises ValueError (msgspec's errors are) for anything else than an origin's JSON."""
    return _ORIGIN.decode(text)


def decode_reply(text: str) -> Reply:
    """Raises ValueError for anything else than a reply's JSON."""
    return _REPLY.decode(text)


def decode_results(text: str) -> tuple[Result, ...]:
    """Raises ValueError for anything else than the JSON of an attempt's results."""
    return _RESULTS.decode(text)


def encode_entry(
    message: MessageId, reverse_path: str, forward_paths: dict[int, str], attempt: Attempt
) -> tuple[EntryColumns, int]:
    """A journal line as columns, and about how many octets it takes."""
    columns: EntryColumns = (
        message,
        reverse_path,
        encode(forward_paths),
        attempt.at,
        attempt.seconds,
        attempt.route,
        attempt.host,
        encode(attempt.results),
        encode(attempt.steps) if attempt.steps else "[]",
        attempt.security,
        attempt.transcript,
    )
    return columns, _LINE_OCTETS + sum(len(column) for column in columns if isinstance(column, str))


def decode_entry(line: int, columns: EntryColumns) -> JournalEntry:
    """Raises ValueError when a column holds other JSON than ``encode_entry`` writes."""
    message, reverse_path, paths, at, seconds, route, host, results, steps, security, transcript = columns
    attempt = Attempt(at, seconds, route, host, decode_results(results), transcript, security, _STEPS.decode(steps))
    return JournalEntry(line, MessageId(message), reverse_path, _PATHS.decode(paths), attempt)
