"""What a submission server adds to a message, when it lets it go, and whose haste counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email import message_from_bytes

import pytest

from postroad.smtp import extensions as ext
from postroad.smtp.parameters import ExtensionSet
from tests.inbound.house import OFFERED, START, House, looped
from tests.inbound.test_content import sent
from tests.inbound.wires import BODY

NOW = datetime.fromtimestamp(START, UTC)


def house(name: str, trusted: bool = True) -> House:
    offered = (*OFFERED, ext.deliver_by(), ext.MT_PRIORITY, ext.future_release(timedelta(days=30), lambda: NOW))
    return House(config={"extensions": ExtensionSet(offered)}, name=name, trusts=lambda host: trusted)


@pytest.mark.parametrize(
    ("fields", "added"),
    [
        (b"Subject: x\r\n", {"Date", "Message-ID"}),
        (b"Subject: Date: x\r\nX-Message-ID: <a@b>\r\n", {"Date", "Message-ID"}),
        (b"DATE: Mon, 1 Jan 2001 00:00:00 +0000\r\nSubject: x\r\n", {"Message-ID"}),
        (b"Subject: x\r\nmessage-id : <a@b>\r\n", {"Date"}),
        (b"Date: Mon, 1 Jan 2001 00:00:00 +0000\r\nMessage-ID: <a@b>\r\n", set()),
    ],
)
@pytest.mark.parametrize("name", ["submission", "submissions", "mx", "dev"])
def test_date_and_message_id_are_added_on_submission_only(name: str, fields: bytes, added: set[str]) -> None:
    @looped
    async def check() -> None:
        there = house(name)
        _, codes = await sent(there, fields + b"\r\nhello\r\n")
        assert codes == ["250"]
        [draft] = there.spool.drafts
        own = message_from_bytes(draft.prefix)
        assert {"Received"} | (added if name.startswith("submission") else set()) == set(own.keys())
        if "Message-ID" in own:
            assert own["Message-ID"] == f"<{draft.id}@mx.example.net>"
        if "Date" in own:
            assert own["Date"] == "Tue, 24 Nov 2026 05:31:46 +0000"

    check()


@pytest.mark.parametrize(
    ("parameters", "due"),
    [
        ("", None),
        (" HOLDFOR=90", START + 90),
        (" HOLDUNTIL=2026-11-24T06:00:00Z", datetime(2026, 11, 24, 6, tzinfo=UTC).timestamp()),
        (" HOLDUNTIL=2001-11-24T06:00:00Z", None),
    ],
)
def test_a_message_is_held_until_its_time(parameters: str, due: float | None) -> None:
    """RFC 4865 section 4.2."""

    @looped
    async def check() -> None:
        there = house("submission")
        await sent(there, BODY, f"MAIL FROM:<kana@example.org>{parameters}", "RCPT TO:<bob@example.net>")
        [draft] = there.spool.drafts
        assert [one.due for one in draft.recipients] == [due]

    check()


@pytest.mark.parametrize(
    ("parameters", "trusted", "priority"),
    [
        ("", True, 0),
        (" MT-PRIORITY=9", True, 9),
        (" MT-PRIORITY=9", False, 0),
        (" MT-PRIORITY=-4", True, -4),
        (" MT-PRIORITY=-4", False, -4),
    ],
)
def test_strangers_cannot_put_their_mail_before_others(parameters: str, trusted: bool, priority: int) -> None:
    """RFC 6710 section 5.1."""

    @looped
    async def check() -> None:
        there = house("mx", trusted)
        await sent(there, BODY, f"MAIL FROM:<kana@example.org>{parameters}", "RCPT TO:<bob@example.net>")
        [draft] = there.spool.drafts
        assert draft.priority == priority

    check()
