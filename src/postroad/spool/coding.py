"""Values to JSON and back, for columns that hold a whole value; what is read back is treated as untrusted."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from postroad.envelope import Origin, Result
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


def encode(value: Origin | Reply | tuple[Result, ...]) -> str:
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
