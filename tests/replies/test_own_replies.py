"""What we answer ourselves where no host was asked is understood by its own meaning, not by words it shares with others'."""

from __future__ import annotations

import pytest

from postroad import codes
from postroad.replies import Reply
from postroad.smtp import undeliverable

MEANT = {
    "NO_SUCH_DOMAIN": "host-unknown",
    "NO_DOMAIN_NAME": "host-unknown",
    "NO_MAIL_HOST": "host-unknown",
    "HOSTS_NOT_DIALLED": "host-unknown",
    "LOOPS_BACK": "host-unknown",
    "NULL_MX": "not-accepting",
    "DNS_FAILED": "network-error",
    "NO_COMMON_FAMILY": "network-error",
    "TLS_NOT_OFFERED": "security-error",
    "TLS_FAILED": "security-error",
    "TOO_LARGE": "message-too-big",
    "NEEDS_CONVERSION": "content-error",
    "CANNOT_BE_SAID": "content-error",
    "SENDER_NEEDS_UTF8": "parameters-refused",
    "RECIPIENT_NEEDS_UTF8": "parameters-refused",
    "HEADER_NEEDS_UTF8": "parameters-refused",
    "NEEDS_PARAMETER": "parameters-refused",
    "NEEDS_REQUIRETLS": "security-error",
    "NEEDS_DELIVERBY": "expired",
    "TIME_IS_OVER": "expired",
    "SENDER_UNREADABLE": "rejected-sender",
    "RECIPIENT_UNREADABLE": "syntax-error",
    "PARAMETERS_UNREADABLE": "parameters-refused",
}


def test_each_of_them_is_named_here() -> None:
    assert {name for name, value in vars(undeliverable).items() if isinstance(value, Reply)} == set(MEANT)


@pytest.mark.parametrize("name", MEANT)
def test_it_means_what_it_says(name: str) -> None:
    reply: Reply = getattr(undeliverable, name)
    found = codes.classify(f"{reply.code} {reply.enhanced} {reply.text}")
    assert (name, found.reason) == (name, MEANT[name])
