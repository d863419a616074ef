"""What may and what may not be said with each parameter of each extension."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from postroad.smtp import extensions
from postroad.smtp.extensions.auth import AUTH
from postroad.smtp.extensions.body import BODY, Body
from postroad.smtp.extensions.deliverby import BY, DeliverBy
from postroad.smtp.extensions.dsn import ENVID, NOTIFY, ORCPT, RET, Notify, OriginalRecipient, Ret
from postroad.smtp.extensions.futurerelease import HOLDFOR, HOLDUNTIL
from postroad.smtp.extensions.mtpriority import PRIORITY
from postroad.smtp.extensions.requiretls import TLS_REQUIRED
from postroad.smtp.extensions.size import SIZE
from postroad.smtp.extensions.smtputf8 import UTF8
from postroad.smtp.parameters import Parameter

ALL = (
    extensions.size(1000),
    extensions.PIPELINING,
    extensions.EIGHTBITMIME,
    extensions.SMTPUTF8,
    extensions.ENHANCEDSTATUSCODES,
    extensions.CHUNKING,
    extensions.BINARYMIME,
    extensions.STARTTLS,
    extensions.auth(("PLAIN", "LOGIN")),
    extensions.limits(recipients=1000),
    extensions.HELP,
    extensions.DSN,
    extensions.REQUIRETLS,
    extensions.MT_PRIORITY,
    extensions.deliver_by(),
    extensions.future_release(timedelta(days=30), lambda: datetime(2098, 12, 2, tzinfo=UTC)),
)
PARAMETERS = [parameter for extension in ALL for parameter in extension.parameters]

PRINTABLE = "".join(chr(c) for c in range(32, 127))
ADDRESS_TYPES = st.sampled_from(["rfc822", "RFC822", "x400", "unknown", "x-local"])
mailboxes = st.builds(
    "{}@{}".format, st.text("abz09+=!'-", min_size=1, max_size=20), st.sampled_from(["a", "example.net", "[127.0.0.1]"])
)

#: What may be said with each parameter.
VALUES: dict[Parameter[Any], st.SearchStrategy[Any]] = {
    SIZE: st.integers(0, 10**20 - 1),
    BODY: st.sampled_from(Body),
    UTF8: st.just(True),
    TLS_REQUIRED: st.just(True),
    AUTH: st.one_of(st.just(""), mailboxes),
    RET: st.sampled_from(Ret),
    ENVID: st.text(PRINTABLE, min_size=1, max_size=100),
    NOTIFY: st.integers(0, 7).map(Notify),
    ORCPT: st.one_of(
        st.builds(OriginalRecipient, ADDRESS_TYPES, st.text(PRINTABLE, min_size=1, max_size=100)),
        st.builds(
            OriginalRecipient, st.just("utf-8"), st.sampled_from(["kana@example.net", "かな@例え.example", r"\x{E9}@b"])
        ),
    ),
    HOLDFOR: st.integers(1, 999_999_999).map(lambda seconds: timedelta(seconds=seconds)),
    HOLDUNTIL: st.integers(0, 250_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    BY: st.one_of(
        st.builds(DeliverBy, st.integers(1, 999_999_999), st.just(True), st.booleans()),
        st.builds(DeliverBy, st.integers(-999_999_999, 999_999_999), st.just(False), st.booleans()),
    ),
    PRIORITY: st.integers(-9, 9),
}

#: Text on the wire (None: the keyword alone) -> its value.
GOOD: list[tuple[Parameter[Any], str | None, Any]] = [
    (SIZE, "0", 0),
    (SIZE, "000", 0),
    (SIZE, "1000", 1000),
    (SIZE, "99999999999999999999", 99999999999999999999),  # RFC 1870 section 4: 20 digits
    (BODY, "7BIT", Body.SEVENBIT),
    (BODY, "8bitmime", Body.EIGHTBITMIME),
    (BODY, "BinaryMime", Body.BINARYMIME),
    (UTF8, None, True),
    (TLS_REQUIRED, None, True),
    (AUTH, "<>", ""),
    (AUTH, "kana@example.org", "kana@example.org"),
    (AUTH, "e+3Dmc2@example.com", "e=mc2@example.com"),  # the example of RFC 4954 section 5
    (AUTH, "+22a+20b+22@example.com", '"a b"@example.com'),
    (RET, "FULL", Ret.FULL),
    (RET, "hdrs", Ret.HDRS),
    (ENVID, "QQ314159", "QQ314159"),
    (ENVID, "a+2Bb+3Dc+20d", "a+b=c d"),
    (NOTIFY, "NEVER", Notify.NEVER),
    (NOTIFY, "never", Notify.NEVER),
    (NOTIFY, "SUCCESS,FAILURE,DELAY", Notify.SUCCESS | Notify.FAILURE | Notify.DELAY),
    (NOTIFY, "Delay,failure", Notify.FAILURE | Notify.DELAY),
    (ORCPT, "rfc822;bob@example.net", OriginalRecipient("rfc822", "bob@example.net")),
    (ORCPT, "RFC822;a+2Bb@example.net", OriginalRecipient("RFC822", "a+b@example.net")),
    (ORCPT, "x400;/C+3DJP/", OriginalRecipient("x400", "/C=JP/")),
    (ORCPT, "rfc822;a;b", OriginalRecipient("rfc822", "a;b")),
    (ORCPT, "utf-8;かな@例え.example", OriginalRecipient("utf-8", "かな@例え.example")),
    (ORCPT, r"utf-8;\x{304B}@example.net", OriginalRecipient("utf-8", r"\x{304B}@example.net")),
    (HOLDFOR, "1", timedelta(seconds=1)),
    (HOLDFOR, "999999999", timedelta(seconds=999999999)),
    (HOLDUNTIL, "2030-01-01T00:00:00Z", datetime(2030, 1, 1, tzinfo=UTC)),
    (HOLDUNTIL, "2030-01-01t00:00:00z", datetime(2030, 1, 1, tzinfo=UTC)),
    (HOLDUNTIL, "2030-01-01T09:00:00+09:00", datetime(2030, 1, 1, tzinfo=UTC)),
    (HOLDUNTIL, "2029-12-31T19:30:00-04:30", datetime(2030, 1, 1, tzinfo=UTC)),
    (HOLDUNTIL, "2028-02-29T12:00:00Z", datetime(2028, 2, 29, 12, tzinfo=UTC)),
    (BY, "120;R", DeliverBy(120, True, False)),
    (BY, "+120;R", DeliverBy(120, True, False)),  # RFC 2852 section 4
    (BY, "120;rt", DeliverBy(120, True, True)),
    (BY, "0;N", DeliverBy(0, False, False)),
    (BY, "-999999999;NT", DeliverBy(-999999999, False, True)),
    (PRIORITY, "0", 0),
    (PRIORITY, "-9", -9),
    (PRIORITY, "9", 9),
]

BAD: list[tuple[Parameter[Any], str | None]] = [
    *(
        (SIZE, text)
        for text in (
            None,
            "",
            " ",
            "x",
            "-1",
            "+1",
            " 1",
            "1 ",
            "1\n",
            "1_0",
            "1.0",
            "1e3",
            "0x1",
            "\u0661",
            "²",
            "9" * 21,
        )
    ),
    *((BODY, text) for text in (None, "", "8BIT", "7BIT ", " 7BIT", "BINARY", "8BITMIME,7BIT", "ﬀ")),
    *((UTF8, text) for text in ("", "1", "yes", "SMTPUTF8")),
    *((TLS_REQUIRED, text) for text in ("", "1", "no")),
    *(
        (AUTH, text)
        for text in (
            None,
            "",
            "<",
            ">",
            "<>x",
            "<> ",
            "<>\n",
            "kana",
            "<kana@example.org>",
            "a@b@c",
            "a+2b@c",
            "a+@c",
            "a=b@c",
        )
    ),
    *((AUTH, text) for text in ("a+0D+0A@c", "a+00@c", "a+FF@c", "a+7F@c", "a b@c", "ü@c", "a@", "@c", "a..b@c")),
    *((RET, text) for text in (None, "", "BODY", "FULL,HDRS", "FULL ")),
    *(
        (ENVID, text)
        for text in (None, "", "a+b", "a=b", "a b", "+0D+0A", "+00", "+FF", "+7F", "+2b", "a\n", "é", "e" * 101)
    ),
    *(
        (NOTIFY, text)
        for text in (None, "", ",", "ALWAYS", "NEVER,DELAY", "DELAY,NEVER", "NEVER,NEVER", "SUCCESS,SUCCESS")
    ),
    *(
        (NOTIFY, text)
        for text in ("SUCCESS,", ",SUCCESS", "SUCCESS,,DELAY", "SUCCESS DELAY", "SUCCESS, DELAY", "SUCCESS;DELAY")
    ),
    *(
        (ORCPT, text)
        for text in (
            None,
            "",
            ";",
            "rfc822",
            "rfc822;",
            ";bob@example.net",
            "bob@example.net",
            "rfc 822;b",
            "rfc822;a b",
        )
    ),
    *(
        (ORCPT, text)
        for text in ("rfc822;a+b", "rfc822;a=b", "rfc822;+0D+0A", "rfc822;ü@b", "r=c;a", "r+c;a", "rfc822;" + "a" * 500)
    ),
    *((ORCPT, text) for text in ("utf-8;", "utf-8;a b", "utf-8;a=b", r"utf-8;\x{zz}", "utf-8;a\x00")),
    *(
        (HOLDFOR, text)
        for text in (None, "", "0", "00", "01", "-1", "+1", "1.5", "1 ", "1\n", "1_0", "1234567890", "\u0661")
    ),
    *(
        (HOLDUNTIL, text)
        for text in (None, "", "tomorrow", "2030", "2030-01-01", "2030-01-01T00:00:00", "2030-01-01 00:00:00Z")
    ),
    *(
        (HOLDUNTIL, f"2030-{rest}")
        for rest in ("13-01T00:00:00Z", "02-30T00:00:00Z", "00-01T00:00:00Z", "01-01T24:00:01Z")
    ),
    *(
        (HOLDUNTIL, f"2030-01-01T{rest}")
        for rest in ("00:60:00Z", "00:00:00+9:00", "00:00:00+0900", "00:00Z", "00:00:00.Z", "00:00:00Z\n")
    ),
    *(
        (HOLDUNTIL, text)
        for text in (
            "0000-01-01T00:00:00Z",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-14:00",
            "٢٠٣٠-01-01T00:00:00Z",
        )
    ),
    *(
        (BY, text)
        for text in (None, "", "120", ";R", "120;", "120;X", "120;T", "120;TR", "120;RTT", "120;RN", "120 ;R", "120;R ")
    ),
    *(
        (BY, text)
        for text in ("++120;R", "1.5;R", "1234567890;R", "--1;N", "-;N", "0;R", "-1;R", "120,R", "120;R\n", "\u0661;R")
    ),
    *(
        (PRIORITY, text)
        for text in (None, "", "10", "-10", "+1", "-0", "00", "01", "1 ", "1\n", "high", "1.0", "\u0661", "²")
    ),
]
