"""8-bit mail made 7-bit: what comes out says the same to the standard library's reader, and is 7-bit to the last octet."""

from __future__ import annotations

import email
import email.policy
import random
from email.message import Message

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from postroad.errors import LocalProtocolError
from postroad.message import parts
from postroad.message.encoding import ContentScan, Scan, SevenBitRecoder
from postroad.message.parts import Body, Delimiter, Header, PartWalker

UTF8 = "Grüße, 世界".encode()
LATIN = "Grüße".encode("latin-1")


def crlf(text: str | bytes) -> bytes:
    octets = text if isinstance(text, bytes) else text.encode()
    return octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def scanned(message: bytes, size: int = 65536) -> Scan:
    scan = ContentScan()
    for start in range(0, len(message), size):
        scan.feed(message[start : start + size])
    return scan.finish()


def recoded(message: bytes, size: int = 65536) -> bytes:
    recoder = SevenBitRecoder(scanned(message, size))
    out = [recoder.feed(message[start : start + size]) for start in range(0, len(message), size)]
    return b"".join([*out, recoder.finish()])


def leaves(message: bytes) -> list[tuple[str, bytes]]:
    """Type and decoded content of every part without parts, in the eyes of the email package."""
    found: list[tuple[str, bytes]] = []

    def walk(part: Message) -> None:
        payload = part.get_payload()
        if isinstance(payload, list):
            for each in payload:
                assert isinstance(each, Message)
                walk(each)
            return
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        found.append((part.get_content_type(), content))

    walk(email.message_from_bytes(message, policy=email.policy.compat32))
    return found


def is_seven_bit(message: bytes) -> bool:
    lines = message.split(b"\r\n")
    return (
        message.isascii()
        and b"\0" not in message
        and message.count(b"\r") == message.count(b"\n") == message.count(b"\r\n")
        and max(map(len, lines)) <= 998
    )


NESTED = crlf(b"""\
From: kana@example.net
Subject: x
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="out er"
Content-Transfer-Encoding: 8bit
DKIM-Signature: v=1

This is for old readers.
--out er
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit
X-Kept:   as   it is
\tfolded

""" + UTF8 + b""" \nnext = line\t
.
From here
--out er  \t
content-type: MULTIPART/alternative;
\tboundary=inner
Content-Transfer-Encoding: Binary

--inner
Content-Type: text/html; charset=iso-8859-1
content-TRANSFER-encoding:
 8BIT

<p>""" + LATIN + b"""</p>
--inner
Content-Type: text/plain

only seven bits
--inner--
epilogue
--out er
Content-Type: message/rfc822
Content-Transfer-Encoding: 8bit

Subject: inner message

plain 8-bit """ + UTF8 + b"""
--out er
Content-Type: application/octet-stream
Content-Transfer-Encoding: base64

AAECAw==
--out er
Content-Type: image/png
Content-Transfer-Encoding: binary

""" + bytes(range(128, 256)) * 3 + b"""
--out er--
the end
""")  # fmt: skip


NESTED_HEAD = b"A: 1\r\nDKIM-Signature: v=1\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"


def test_a_nested_message_says_the_same_afterwards() -> None:
    scan = scanned(NESTED)
    assert (scan.eight_bit, scan.binary, scan.utf8_header, scan.recodable) == (True, False, False, True)
    assert scan.is_dkim_signed
    assert scan.encode == {0, 1, 3, 5}
    result = recoded(NESTED)
    assert is_seven_bit(result)
    before = [(kind, content.replace(b"\r\n", b"\n")) for kind, content in leaves(NESTED)]
    after = [(kind, content.replace(b"\r\n", b"\n")) for kind, content in leaves(result)]
    assert [kind for kind, _ in after] == [
        "text/plain", "text/html", "text/plain", "text/plain", "application/octet-stream", "image/png",
    ]  # fmt: skip
    assert after == before


def test_only_what_must_change_changes() -> None:
    result = recoded(NESTED).split(b"\r\n")
    assert result[:4] == NESTED.split(b"\r\n")[:4]
    text = b"\r\n".join(result)
    assert b"Content-Transfer-Encoding: 7bit\r\nDKIM-Signature: v=1\r\n\r\nThis is for old readers.\r\n" in text
    assert b"quoted-printable\r\nX-Kept:   as   it is\r\n\tfolded\r\n\r\nGr=C3=BC=C3=9Fe, " in text
    assert b"boundary=inner\r\nContent-Transfer-Encoding: 7bit\r\n\r\n--inner\r\n" in text
    assert b"Content-Type: text/plain\r\n\r\nonly seven bits\r\n--inner--\r\nepilogue\r\n--out er\r\n" in text
    assert b"base64\r\n\r\nAAECAw==\r\n--out er\r\n" in text
    assert b"--out er  \t\r\n" in text
    assert text.endswith(b"\r\n--out er--\r\nthe end\r\n")
    inner = b"Subject: inner message\r\nContent-Transfer-Encoding: quoted-printable\r\nMIME-Version: 1.0\r\n"
    assert inner + b"Content-Type: text/plain; charset=utf-8\r\n\r\nplain 8-bit" in text


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_blocks_of_any_size(size: int) -> None:
    assert scanned(NESTED, size) == scanned(NESTED)
    assert recoded(NESTED, size) == recoded(NESTED)


# --- plain text without MIME


@pytest.mark.parametrize(
    ("body", "charset"), [(UTF8, b"utf-8"), (LATIN, b"unknown-8bit"), (UTF8[:-1], b"unknown-8bit")]
)
def test_plain_text_is_labelled(body: bytes, charset: bytes) -> None:
    for size in (1, 1000):
        result = recoded(b"Subject: x\r\n\r\n" + body + b"\r\n", size)
        head, _, _ = result.partition(b"\r\n\r\n")
        assert head == (
            b"Subject: x\r\nContent-Transfer-Encoding: quoted-printable\r\nMIME-Version: 1.0\r\n"
            b"Content-Type: text/plain; charset=" + charset
        )
        assert leaves(result) == [("text/plain", body + b"\r\n")]


def test_seven_bit_mail_stays_octet_for_octet() -> None:
    message = b"Subject: x\r\n\r\nplain\r\n.\r\n"
    assert recoded(message) == message
    assert scanned(message) == Scan(longest_line=10)


def test_a_large_message_is_judged_like_a_small_one() -> None:
    filler = b"x" * 70 + b"\r\n"
    for body in (b"plain\r\n", UTF8 + b"\r\n"):
        small, large = NESTED_HEAD + body, NESTED_HEAD + filler * 2000 + body
        assert scanned(small).encode == scanned(large).encode == scanned(large, 1000).encode
        assert scanned(small).is_dkim_signed and scanned(large).is_dkim_signed
        assert leaves(recoded(large)) == [("text/plain", filler * 2000 + body)]


def test_a_signature_is_seen_wherever_it_stands() -> None:
    assert scanned(b"dkim-SIGNATURE: v=1\r\n\r\nx\r\n").is_dkim_signed
    assert scanned(b"A: 1\r\nDKIM-Signature: v=1\r\n").is_dkim_signed
    assert not scanned(b"A: 1\r\n\r\nDKIM-Signature: v=1\r\n").is_dkim_signed


def test_a_label_that_is_not_needed_is_taken_down() -> None:
    message = b"MIME-Version: 1.0\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: 8bit\r\n\r\nplain\r\n"
    assert recoded(message) == message.replace(b"8bit", b"7bit")


def test_mime_without_version_gets_it() -> None:
    message = b'Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n\xe9\r\n--b--\r\n'  # fmt: skip
    result = recoded(message)
    assert b"boundary=b\r\nMIME-Version: 1.0\r\n\r\n--b\r\n" in result
    assert b"--b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=E9\r\n--b--\r\n" in result


def test_an_empty_header() -> None:
    assert recoded(b"\r\n\xe9\r\n").endswith(b"charset=unknown-8bit\r\n\r\n=E9\r\n")
    assert scanned(b"") == Scan()
    assert recoded(b"") == b""


# --- binary


@pytest.mark.parametrize(
    ("body", "binary"),
    [(b"a\0b\r\n", True), (b"a\rb\r\n", True), (b"a\nb\r\n", True), (b"a\r", True), (b"x" * 998 + b"\r\n", False),
     (b"x" * 999 + b"\r\n", True), (b"x" * 999, True), (b"\r\r\n", True), (b"\n", True), (b"a\r\nb", False)],
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 5, 2000])
def test_what_only_binarymime_can_carry(body: bytes, binary: bool, size: int) -> None:
    message = b"MIME-Version: 1.0\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\n\r\n" + body
    scan = scanned(message, size)
    assert scan.binary is binary
    result = recoded(message, size)
    assert is_seven_bit(result)
    assert leaves(result)[0][1] == body


def test_binary_content_comes_back_octet_for_octet() -> None:
    content = random.Random(4).randbytes(20_000)
    message = b"MIME-Version: 1.0\r\nContent-Type: image/x\r\nContent-Transfer-Encoding: binary\r\n\r\n" + content
    result = recoded(message, 4096)
    assert is_seven_bit(result)
    assert max(map(len, result.split(b"\r\n"))) <= 76
    assert leaves(result)[0][1] == content


def test_the_longest_line_is_measured_wherever_blocks_end() -> None:
    for size in (1, 3, 11, 999):
        assert scanned(b"Subject: " + b"x" * 30 + b"\r\n\r\nabc\r\n", size).longest_line == 39


# --- what cannot be recoded


def signed(kind: str) -> bytes:
    return (
        b"MIME-Version: 1.0\r\nContent-Type: multipart/%s; boundary=s\r\n\r\n--s\r\nContent-Type: text/plain\r\n"
        b"Content-Transfer-Encoding: 8bit\r\n\r\n\xe9\r\n--s\r\nContent-Type: application/x\r\n\r\nsig\r\n--s--\r\n"
    ) % kind.encode()


REFUSED = {
    "signed": (signed("signed"), "signed or encrypted"),
    "encrypted": (signed("encrypted"), "signed or encrypted"),
    "encoded and not": (
        b"MIME-Version: 1.0\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n\xe9\r\n",
        "says it is encoded",
    ),
    "unknown encoding": (
        b"MIME-Version: 1.0\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: x-uue\r\n\r\n\xe9\r\n",
        "says it is encoded",
    ),
    "partial": (b"MIME-Version: 1.0\r\nContent-Type: message/partial; id=1\r\n\r\n\xe9\r\n", "message/partial"),
    "no boundary": (b"Content-Type: multipart/mixed\r\n\r\n\xe9\r\n", "without one plain boundary"),
    "two boundaries": (b"Content-Type: multipart/mixed; boundary=a; boundary=b\r\n\r\n\xe9\r\n", "one plain boundary"),
    "boundary in pieces": (b"Content-Type: multipart/mixed; boundary*0=a\r\n\r\n\xe9\r\n", "one plain boundary"),
    "bad boundary": (b'Content-Type: multipart/mixed; boundary="\xe9"\r\n\r\n\xe9\r\n', "a boundary that is none"),
    "two types": (b"Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\n\xe9\r\n", "two Content-Type"),
    "odd type": (b"Content-Type: text\r\n\r\n\xe9\r\n", "cannot be read"),
    "encoded multipart": (
        b"Content-Type: multipart/mixed; boundary=a\r\nContent-Transfer-Encoding: base64\r\n\r\n\xe9\r\n",
        "encoded as a whole",
    ),
    "8-bit preamble": (
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\n\xe9\r\n--a\r\n\r\n\xe9\r\n--a--\r\n",
        "outside of all parts",
    ),
    "part without empty line": (
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: text/plain\r\n--a--\r\n\r\n\xe9\r\n",
        "without an empty line",
    ),
    "long header line": (b"Subject: " + b"x" * 1000 + b"\r\n\r\n\xe9\r\n", "a header with"),
    "NUL in header": (b"Subject: \0\r\n\r\n\xe9\r\n", "a header with"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_made_seven_bit_says_why(name: str) -> None:
    message, reason = REFUSED[name]
    for size in (1, 10_000):
        scan = scanned(message, size)
        assert not scan.recodable
        assert reason in scan.reason
    with pytest.raises(LocalProtocolError, match="cannot be made 7-bit"):
        SevenBitRecoder(scan)


@pytest.mark.parametrize("name", [name for name in REFUSED if "header" not in name])
def test_the_same_in_seven_bits_needs_nothing(name: str) -> None:
    message = REFUSED[name][0].replace(b"\xe9", b"e")
    assert scanned(message).recodable
    assert not scanned(message).eight_bit


def test_a_signed_part_in_seven_bits_beside_an_eight_bit_one_stays_octet_for_octet() -> None:
    inner = signed("signed").replace(b"\xe9", b"e").removeprefix(b"MIME-Version: 1.0\r\n")
    message = (
        b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n" + inner
        + b"\r\n--o\r\nContent-Type: text/plain\r\n\r\n\xe9\r\n--o--\r\n"
    )  # fmt: skip
    result = recoded(message)
    assert inner in result
    assert b"Content-Transfer-Encoding: quoted-printable\r\n\r\n=E9\r\n--o--" in result


def test_eight_bit_headers_are_told_apart() -> None:
    assert scanned("Subject: ü\r\n\r\nx\r\n".encode()).utf8_header
    part = b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nX: \xc3\xbc\r\n\r\nx\r\n--a--\r\n"
    assert scanned(part).utf8_header
    assert not scanned(b"Subject: x\r\n\r\n\xc3\xbc\r\n").utf8_header


def test_a_digest_holds_messages() -> None:
    message = (
        b"MIME-Version: 1.0\r\nContent-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\nSubject: one\r\n\r\n\xc3\xa9\r\n"
        b"--d--\r\n"
    )
    result = recoded(message)
    assert b"--d\r\n\r\nSubject: one\r\nContent-Transfer-Encoding: quoted-printable\r\n" in result
    assert b"\r\n\r\n=C3=A9\r\n--d--\r\n" in result


def test_a_global_message_is_one_part_in_base64() -> None:
    message = b"MIME-Version: 1.0\r\nContent-Type: message/global\r\n\r\nSubject: \xc3\xbc\r\n\r\nx\r\n"
    assert b"Content-Transfer-Encoding: base64\r\n" in recoded(message)


# --- bounds


def test_depth_parts_and_delimiters_are_bounded() -> None:
    deep = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(80))
    assert "more parts" in scanned(deep + b"\r\n\xe9").reason
    wide = (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * (parts.MAX_PARTS + 1) + b"\xe9\r\n"
    )
    assert "more parts" in scanned(wide).reason
    dashes = (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--x\r\n" * (parts.MAX_DELIMITERS + 2) + b"\xe9\r\n"
    )
    assert "delimiters" in scanned(dashes).reason
    header = b"Content-Type: text/plain\r\n" + b"X: y\r\n" * 200_000
    assert "megabyte" in scanned(header + b"\r\n\xe9\r\n").reason


def test_little_is_held_back() -> None:
    walker = PartWalker()
    list(walker.feed(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n"))
    for _ in range(50):
        list(walker.feed(b"\r\n--b" + b"x" * 2000))
        assert len(walker._rest) <= 310


def test_a_line_that_only_begins_like_a_delimiter_is_none() -> None:
    message = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n--bb\r\n--b-\r\n--b x\r\n --b\r\n--b---\r\n\xe9\r\n--b--"
    assert recoded(message).endswith(b"\r\n\r\n--bb\r\n--b-\r\n--b x\r\n --b\r\n--b---\r\n=E9\r\n--b--")


def test_an_outer_delimiter_ends_what_is_open_within() -> None:
    message = (
        b"Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n--i\r\n\r\n"
        b"\xe9\r\n--o\r\n\r\n\xe8\r\n"
    )
    result = recoded(message)
    assert b"=E9\r\n--o\r\n" in result
    assert result.endswith(b"=E8\r\n")


# --- any octets

FRAGMENTS = [
    b"\r\n", b"--b", b"--b--", b"--o", b"Content-Type: multipart/mixed; boundary=b\r\n", b"\r\n\r\n", b"\xe9", b"x y", b"\r", b"\n",
    b"Content-Type: message/rfc822\r\n", b"Content-Transfer-Encoding: 8bit\r\n", b"Content-Type: text/plain\r\n", b"=", b"\0", b" ",
    b"Content-Type: multipart/mixed; boundary=o\r\n", b"MIME-Version: 1.0\r\n", b"Content-Type: image/x\r\n", b"x" * 80, b"x" * 999,
    b"\r\n--b\r\n\r\n", b"\r\n--b--\r\n", b"Content-Type: multipart/signed; boundary=b\r\n", b"-", b"--",
]  # fmt: skip
MESSAGES = st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=20), max_size=40).map(b"".join)


def octets_of(message: bytes, cuts: list[int]) -> bytes:
    walker = PartWalker()
    out: list[bytes] = []
    start = 0
    for end in [*sorted(cut % (len(message) + 1) for cut in cuts), len(message)]:
        for event in walker.feed(message[start:end]):
            out.append(event.section + event.end if isinstance(event, Header) else event.octets)
        start = end
    for event in walker.finish():
        assert isinstance(event, Header | Body | Delimiter)
        out.append(event.section + event.end if isinstance(event, Header) else event.octets)
    return b"".join(out)


@given(MESSAGES, st.lists(st.integers(0, 2000), max_size=12))
@settings(max_examples=400)
@example(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n\r", [])
def test_no_octet_is_lost_or_made_up(message: bytes, cuts: list[int]) -> None:
    assert octets_of(message, cuts) == message


@given(MESSAGES, st.integers(1, 50))
@settings(max_examples=400)
def test_any_message_is_made_seven_bit_or_refused(message: bytes, size: int) -> None:
    scan = scanned(message, size)
    assert scan == scanned(message)
    if not scan.recodable:
        assert scan.reason
        return
    result = recoded(message, size)
    assert result == recoded(message)
    again = scanned(result)
    assert not again.encode
    if not scan.utf8_header:
        assert not again.eight_bit
        assert not again.binary or (not scan.eight_bit and not scan.encode)


@pytest.mark.parametrize("behind", [b"--b\r\n", b"--b--\r\n", b"----b--\r\n", b"-" * 90 + b"--b\r\n"])
@pytest.mark.parametrize("start", [*range(60, 80), 4090, 4091, 4092, 4093, 4094, 4095, 4096, 4160, 4170])
def test_what_stands_in_the_middle_of_a_line_ends_no_part(start: int, behind: bytes) -> None:
    """A soft line break may fall before it (RFC 2045 section 6.7)."""
    content = b"\xe9" + b"x" * start + behind + b"more\r\n"
    message = b"MIME-Version: 1.0\r\n" + multipart_of(0, [part_of("text/plain", "8bit", content)]).replace(
        b"=_0_=", b"b"
    )
    changed = recoded(message)
    assert changed.count(b"\r\n--b\r\n") == 1
    assert leaves(changed) == leaves(message)
    assert max(map(len, changed.split(b"\r\n"))) <= 76


@given(st.binary(max_size=3000), st.sampled_from(["text/plain", "image/x"]), st.integers(1, 100), st.booleans())
@settings(max_examples=200)
@example(b"\xe9" + b" " * 80 + b"\r\n" + b"x" * 76 + b"\r\n", "text/plain", 100, False)
@example(b"x" * 75 + b"\xe9" * 4100 + b"y" * 76, "text/plain", 100, True)
def test_any_content_comes_back(content: bytes, kind: str, size: int, within: bool) -> None:
    head = f"MIME-Version: 1.0\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: binary\r\n\r\n".encode()
    message = head + content
    if within:
        message = b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=0b0\r\n\r\n--0b0\r\n" + head
        message += content + b"\r\n--0b0--\r\n"
    result = recoded(message, size)
    assert is_seven_bit(result)
    assert leaves(result) == [(kind, content)]
    if scanned(message).encode:
        assert max(map(len, result.split(b"\r\n"))) <= 76


def part_of(kind: str, label: str, content: bytes) -> bytes:
    encoding = f"Content-Transfer-Encoding: {label}\r\n" if label else ""
    return f"Content-Type: {kind}\r\n{encoding}\r\n".encode() + content


def multipart_of(number: int, children: list[bytes]) -> bytes:
    boundary = b"=_%d_=" % number
    between = b"\r\n--" + boundary + b"\r\n"
    head = b'Content-Type: multipart/mixed; boundary="%s"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n' % boundary
    return head + between[2:] + between.join(children) + b"\r\n--" + boundary + b"--\r\n"


CONTENT = st.lists(st.sampled_from([UTF8, LATIN, b"plain", b" \t", b"=", b"\r\n", b"x" * 75, b".", b"--"])).map(
    b"".join
)
LEAVES = st.builds(
    part_of, st.sampled_from(["text/plain", "text/html", "image/x"]), st.sampled_from(["", "8bit", "7bit"]), CONTENT
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.builds(multipart_of, st.integers(0, 10**9), st.lists(inner, min_size=1, max_size=4)),
    max_leaves=8,
)


@given(TREES, st.integers(1, 200))
@settings(max_examples=200)
def test_any_tree_of_parts_says_the_same_afterwards(tree: bytes, size: int) -> None:
    message = b"Subject: x\r\nMIME-Version: 1.0\r\n" + tree
    scan = scanned(message)
    assert scan.recodable, scan.reason
    result = recoded(message, size)
    assert is_seven_bit(result)
    assert leaves(result) == leaves(message)
