"""The whole way out, nothing pretended but the hosts: SQLite, name server, MX, transport, ladder, reports."""

from __future__ import annotations

import asyncio
from pathlib import Path

from postroad.delivery.dialling import Dialling
from postroad.delivery.maildir_transport import MaildirTransport
from postroad.delivery.mx import MxRouting
from postroad.delivery.notify import Notifier
from postroad.delivery.routing import Maildir, Mx, Routes, parse_route
from postroad.delivery.runner import Runner
from postroad.delivery.smtp_transport import SmtpTransport
from postroad.envelope import RecipientState
from postroad.net.resolver import Resolver, Timeouts
from postroad.net.smtp_client import ClientOptions
from postroad.spool.interface import JournalQuery, MessageQuery
from postroad.spool.sqlite import SqliteSpool
from tests.delivery.fixtures import CONTENT, PREFIX, HandClock, Peer, host, keep, until
from tests.delivery.test_runner import run
from tests.dns_stub import DnsStub, Zone, mail_zone

ZONE: Zone = {
    **mail_zone({"good.test": {"10 away.good.test": "127.0.0.9", "20 mx.good.test": "127.0.0.1"}}),
    **mail_zone({"same.test": {"10 away.good.test": "127.0.0.9", "20 mx.good.test": "127.0.0.1"}}),
    **mail_zone({"private.test": {"10 mx.private.test": "10.1.2.3"}}),
    "null.test": {"MX": ["0 ."]},
}


async def emptied(spool: SqliteSpool) -> None:
    for _ in range(5000):
        if not await spool.messages(MessageQuery(state=RecipientState.QUEUED)):
            return
        await asyncio.sleep(0.002)
    raise AssertionError("the queue does not empty")


def test_mail_finds_its_hosts_and_whoever_cannot_be_reached_is_reported(tmp_path: Path) -> None:
    contents: list[bytes] = []

    async def play(peer: Peer) -> None:
        await peer.greet(b"PIPELINING", b"SIZE", b"8BITMIME")
        await peer.serve({}, contents)

    async def work() -> tuple[list[Peer], dict[str, str]]:
        clock = HandClock()
        async with host(play) as (port, peers), DnsStub(dict(ZONE)) as stub:
            spool = await SqliteSpool.open(tmp_path / "spool", clock=clock)
            resolver = Resolver([stub.address], timeouts=Timeouts(attempt=0.5, total=2.0, rounds=1))
            smtp = SmtpTransport(ClientOptions("me.test"), clock=clock)
            runner = Runner(
                spool,
                Routes({"example.net": parse_route(f"maildir:{tmp_path}/mail/{{user}}")}, Mx()),
                {Mx: smtp, Maildir: MaildirTransport("me.test", clock)},
                clock,
                finder=MxRouting(resolver, "me.test", dialling=Dialling(["127.0.0.0/8"]), port=port),
                reports=Notifier("me.test", clock, languages="en"),
            )
            runner.start()
            people = ("a@good.test", "b@same.test", "c@null.test", "d@private.test", "e@nowhere.test")
            message = await keep(spool, *people)
            await emptied(spool)
            await until(lambda: runner.under_way == 0)
            said: dict[str, str] = {}
            for entry in await spool.journal(JournalQuery(message=message)):
                for result in entry.attempt.results:
                    said[entry.forward_paths[result.number]] = f"{result.outcome} {result.reply or ''}"
            await runner.stop()
            await spool.close()
            return peers, said

    peers, said = run(work())
    assert contents == [PREFIX + CONTENT]
    assert [line for line in peers[0].heard if line.startswith(b"RCPT")] == [
        b"RCPT TO:<a@good.test>\r\n",
        b"RCPT TO:<b@same.test>\r\n",
    ]
    assert said["a@good.test"] == said["b@same.test"] == "delivered 250 queued"
    assert said["c@null.test"].startswith("failed 556 5.1.10")
    assert said["d@private.test"].startswith("failed 550 5.4.4")
    assert said["e@nowhere.test"].startswith("failed 550 5.1.2")
    reports = [file.read_text() for file in (tmp_path / "mail" / "kana" / "new").iterdir()]
    assert len(reports) == 3
    for person in ("c@null.test", "d@private.test", "e@nowhere.test"):
        assert sum(f"Final-Recipient: rfc822; {person}" in report for report in reports) == 1
