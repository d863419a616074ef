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
    "TLS_NOT_OFFERED": "starttls-failed",
    "TLS_FAILED": "starttls-failed",
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


@pytest.mark.parametrize(
    ("note", "reason"),
    [
        ("no reply line: 'HTTP/1.1 400 Bad Request'", "system-error"),
        ("a bare CR or LF in a reply: '550 5.1.1 bad name\\rX: y'", "system-error"),
        ("a reply with lines of two codes: '250' and '550'", "system-error"),
        ("a reply that nothing asked for: 250 2.0.0 queued", "system-error"),
        ("a reply line of more than 4096 octets", "system-error"),
        ("a reply of more than 512 lines", "system-error"),
        ("the host offers no AUTH with PLAIN or LOGIN", "login-failed"),
    ],
)
def test_a_host_that_breaks_the_protocol_is_no_fault_of_the_sending_program(note: str, reason: str) -> None:
    assert (note, codes.classify(note).reason) == (note, reason)
