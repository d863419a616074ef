"""A local part or domain as one file name: injective, plain, short; whatever a peer writes stays inside its directory.

``[A-Za-z0-9_+=-]`` and dots but the first stand as they are, every other octet of the UTF-8 form as ``%XX`` (the
percent sign too, so that nothing decodes to something else). A result of more than MAX_OCTETS is cut and ends with
``~`` and a hash of the whole; ``~`` occurs in no other name, and alone it is the name of the empty text.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

#: Octets of one name; file systems take 255, and Maildir++ tools append to names.
MAX_OCTETS: Final = 200
_HASH: Final = 32  # hexadecimal digits, 128 bits

_PLAIN: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+=-")


def encode_component(text: str) -> str:
    """One path component for ``text``; never empty, ``.`` or ``..``, and without ``/`` and NUL."""
    if not text:
        return "~"
    octets = text.encode("utf-8", "surrogatepass")
    encoded = "".join(chr(octet) if octet in _PLAIN else f"%{octet:02X}" for octet in octets)
    if encoded.startswith("."):
        encoded = "%2E" + encoded[1:]
    if len(encoded) > MAX_OCTETS:
        encoded = encoded[: MAX_OCTETS - _HASH - 1] + "~" + sha256(octets).hexdigest()[:_HASH]
    return encoded
