"""BINARYMIME (RFC 3030 section 3): content of any octets, by BDAT only. Its BODY parameter is that of 8BITMIME."""

from postroad.replies import Reply
from postroad.smtp.extensions.body import BODY, Body
from postroad.smtp.parameters import Extension, Given, Traits

#: BODY=BINARYMIME where the extension is not offered (RFC 5321 section 4.1.1.11).
NOT_OFFERED = Reply(555, "Parameter value not implemented: BODY=BINARYMIME", "5.5.4")

BINARYMIME = Extension(keyword="BINARYMIME", rfc="RFC 3030")


def is_binary(given: Given) -> bool:
    """Whether the content may hold any octets, so that only BDAT can carry it."""
    return given.get(BODY) is Body.BINARYMIME


def judge_binary(given: Given, offered: Extension | None, traits: Traits) -> Reply | None:
    """BODY belongs to 8BITMIME, but its value BINARYMIME needs this extension."""
    if is_binary(given) and (offered is None or offered.line(traits) is None):
        return NOT_OFFERED
    return None
