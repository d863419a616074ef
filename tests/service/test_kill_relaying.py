"""`kill -9` while mail goes on to next hops that do everything: accept, defer, refuse, answer 455, cut at every stage.

Each round sessions send with all kinds of NOTIFY as fast as they are answered, at a moment that nobody chose the process
is killed, and started on the same state. At the end every recipient that was acknowledged is delivered, held, or in a
report that its sender got; what arrived twice did so only where RFC 1047 leaves no other choice, and the journal says so.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from tests.server_process import ServerProcess, until
from tests.service.account import Account, Line, Taken, files_of, read_report, trace_id
from tests.service.conftest import Serve
from tests.service.load import Compose, Envelope, Ledger, Load
from tests.service.sink import CUT, EXTENSIONS, TAKEN_AND_CUT, Moods, Sink, Whims

ROUNDS = 6
CONNECTIONS = 20
HOSTS = 3

MOODS: Moods = {
    "GREETING": [(0.01, CUT), (0.01, "421 4.3.2 too busy"), (0.01, "554 5.3.2 no service here")],
    "EHLO": [(0.01, CUT), (0.01, "421 4.3.2 not now")],
    "PARAMETERS": [(0.02, "455 4.5.4 these parameters not now"), (0.02, "555 5.5.4 these parameters never")],
    "MAIL": [(0.01, CUT), (0.01, "451 4.3.0 not now"), (0.01, "421 4.3.2 closing")],
    "RCPT": [(0.01, CUT), (0.15, "451 4.7.1 later"), (0.05, "550 5.7.1 unwanted"), (0.01, "421 4.3.2 closing")],
    "DATA": [(0.01, CUT), (0.01, "451 4.3.0 no room"), (0.01, "421 4.3.2 closing")],
    "HALFWAY": [(0.02, CUT)],
    "CONTENT": [(0.05, CUT), (0.05, TAKEN_AND_CUT), (0.05, "451 4.3.0 not kept"), (0.05, "554 5.6.0 not liked")],
    "AFTER": [(0.05, CUT)],
}
NOTIFY = ["", "", "NEVER", "SUCCESS", "FAILURE", "DELAY", "SUCCESS,FAILURE", "SUCCESS,FAILURE,DELAY"]


def config(mail: Path, knowing: int, plain: int) -> str:
    """Next hops at several addresses, so that they are sites of their own; half of them announce DSN."""
    ports = {"knowing": knowing, "plain": plain}
    hops = "".join(
        f'[[domain]]\nname = "{name}{host}.example"\ndeliver = "smtp:127.0.0.{host}:{port}"\n'
        for name, port in ports.items()
        for host in range(1, HOSTS + 1)
    )
    return f"""
        hostname = "mail.example.com"
        [mx]
        listen = ["127.0.0.1:0"]
        [[domain]]
        name = "senders.example"
        deliver = "maildir:{mail}/{{domain}}/{{user}}"
        [[domain]]
        name = "maildir.example"
        deliver = "maildir:{mail}/{{domain}}/box"
        [[domain]]
        name = "hold.example"
        deliver = "hold"
        {hops}
        [reports]
        postmaster = "postmaster@senders.example"
        [retry]
        schedule = ["1s"]
        """


def recipient(number: int, position: int, source: random.Random) -> str:
    """Its own address for each, so that it can be told wherever it is seen."""
    kind = source.choice(["knowing", "knowing", "knowing", "plain", "plain", "maildir", "hold"])
    if kind in ("maildir", "hold"):
        return f"{kind}{number}.{position}@{kind}.example"
    user = "no" if source.random() < 0.1 else "to"
    return f"{user}{number}.{position}@{kind}{source.randint(1, HOSTS)}.example"


def compose(number: int, source: random.Random) -> Envelope:
    """Up to three recipients, at most one of them in the mailbox, each with wishes of its own."""
    recipients: list[tuple[str, str]] = []
    for position in range(source.randint(1, 3)):
        address = recipient(number, position, source)
        if "@maildir" in address and any("@maildir" in one for one, _ in recipients):
            continue
        notify = source.choice(NOTIFY)
        given = [f"NOTIFY={notify}"] * bool(notify) + [f"ORCPT=rfc822;{address}"] * source.choice((True, False))
        recipients.append((address, " ".join(given)))
    parameters = source.choice(("", "", f"ENVID=m{number}", f"RET=HDRS ENVID=m{number}", "RET=FULL", "BODY=8BITMIME"))
    reverse_path = "" if source.random() < 0.05 else "ann@senders.example"
    return Envelope(reverse_path, tuple(recipients), parameters)


async def one_round(server: ServerProcess, ledger: Ledger, plan: Compose, seed: int) -> None:
    """Load, and a kill once some mail was taken; ends when every session has lost its connection."""
    load = asyncio.create_task(Load(ledger, plan, seed).run(server.address("mx"), CONNECTIONS))
    before = len(ledger.acked)
    while len(ledger.acked) < before + CONNECTIONS and not load.done():
        await asyncio.sleep(0.001)
    await asyncio.sleep(random.Random(seed).uniform(0.0, 1.0))
    assert server.process is not None and server.process.poll() is None
    server.kill()
    await load


@pytest.mark.parametrize("seed", [random.SystemRandom().randrange(2**32)])
def test_what_was_acknowledged_is_delivered_waiting_or_reported(seed: int, serve: Serve, tmp_path: Path) -> None:
    print("seed", seed)
    ledger, whims, mail = Ledger(), Whims(seed, MOODS), tmp_path / "mail"
    with (
        Sink(whims=whims, host="0.0.0.0", extensions=("DSN", *EXTENSIONS)) as knowing,
        Sink(whims=whims, host="0.0.0.0") as plain,
    ):
        server = serve(config(mail, knowing.port, plain.port))
        for number in range(ROUNDS):
            asyncio.run(one_round(server, ledger, compose, seed + number))
            knowing.era = plain.era = number + 1
            server.start()
        whims.calm()
        until(lambda: runs_empty(server), "the queue runs empty", pause=0.3)
        account = collect(ledger, server, [knowing, plain], mail)
        assert server.stop() == 0
    print(in_figures(ledger, account))
    assert not account.faults(), account.faults()[:20]
    assert not ledger.altered
    # Who sends again what got no reply: there are at most as many as were sent to the final dot.
    assert not [one for one, ids in ids_of(ledger, account).items() if len(ids) > ledger.transmitted[one]]
    assert len(ledger.acked) >= ROUNDS * CONNECTIONS
    assert account.told and account.stored and account.taken and account.waiting and account.uncertain
    assert any(one.cut for taken in account.taken.values() for one in taken)
    assert not [line for line in server.log() if line["level"] == "error"]


def runs_empty(server: ServerProcess) -> bool:
    """Whether nothing but what is held waits; what waits is tried now."""
    server.api("POST", "/queue/actions", {"action": "retry", "all": True})
    return bool(server.get("/queue", state="queued,deferred", limit=1)["matching"]["recipients"] == 0)


def in_figures(ledger: Ledger, account: Account) -> str:
    return (
        f"{len(ledger.sent)} sent, {len(ledger.acked)} acknowledged with {len(account.promised)} recipients,"
        f" {ROUNDS} kills: {len(account.lost)} lost; {len(account.taken)} handed over, {sum(account.stored.values())}"
        f" in mailboxes, {len(account.waiting)} held, {sum(account.told.values())} reported;"
        f" {account.duplicates} duplicates, {account.after_a_cut} of them after a cut; {account.uncertain} marked uncertain"
    )


# ── what can be found ───────────────────────────────────────────────────────


def collect(ledger: Ledger, server: ServerProcess, sinks: list[Sink], mail: Path) -> Account:
    """Everything that came to rest, wherever it did."""
    account = Account()
    promised(ledger, account)
    for sink in sinks:
        for arrived in sink.arrived:
            if arrived.content.find(b"X-Ledger:") >= 0:
                ledger.arrive(arrived.content)
            for address in arrived.recipients:
                account.taken[trace_id(arrived.content), address].append(Taken(arrived.cut, arrived.era))
    for octets in files_of(mail / "maildir.example" / "box"):
        number = ledger.arrive(octets.replace(b"\n", b"\r\n"))
        (address,) = (one for one, _ in ledger.envelopes[number].recipients if "@maildir" in one)
        account.stored[trace_id(octets), address] += 1
    for user in ("ann", "postmaster"):
        reports(account, mail / "senders.example" / user, f"{user}@senders.example")
    for row in pages(server, "/queue", "recipients"):
        account.waiting.add((row["id"], row["to"]))
        if row["number"] == 0:
            ledger.arrive(server.get(f"/queue/{row['id']}/raw"))
    for line in pages(server, "/log", "entries", after=0):
        account.journal[line["message"], line["to"]].append(Line(line["outcome"], line["uncertain"]))
    for (message, address), lines in account.journal.items():
        if any(line.outcome == "failed" for line in lines) and is_silent(ledger, address):
            account.asked_for_silence.add((message, address))
    return account


def promised(ledger: Ledger, account: Account) -> None:
    for number in ledger.acked:
        for message in ledger.ids[number]:
            account.promised |= {(message, address) for address, _ in ledger.envelopes[number].recipients}


def is_silent(ledger: Ledger, address: str) -> bool:
    """Whether this recipient's sender wants no report of failure."""
    if address.endswith("@senders.example"):
        return True  # a report itself
    number = int(address.lstrip("abcdefghijklmnopqrstuvwxyz").partition(".")[0])
    given = dict(ledger.envelopes[number].recipients)[address]
    return "NOTIFY=" in given and "FAILURE" not in given


def reports(account: Account, maildir: Path, reader: str) -> None:
    """Each report is a message of its own, too."""
    seen: set[str] = set()
    for octets in files_of(maildir):
        told = read_report(octets)
        account.stored[told.id, reader] += 1
        if told.id not in seen:
            seen.add(told.id)
            account.told.update((told.message, address) for action, address in told.recipients if action == "failed")


def pages(server: ServerProcess, path: str, name: str, **query: Any) -> list[dict[str, Any]]:
    """All of what is given in pages."""
    rows: list[dict[str, Any]] = []
    while True:
        page = server.get(path, limit=1000, **query)
        rows += page[name]
        if not page[name] or not page["next"]:
            return rows
        query["after"] = page["next"]


def ids_of(ledger: Ledger, account: Account) -> dict[int, set[str]]:
    """By what ids each message of the ledger was seen."""
    found: dict[int, set[str]] = {}
    for message, address in {*account.promised, *account.journal, *account.waiting}:
        if not address.endswith("@senders.example"):
            number = int(address.lstrip("abcdefghijklmnopqrstuvwxyz").partition(".")[0])
            found.setdefault(number, set()).add(message)
    return found


# ── a harness that cannot fail proves nothing ───────────────────────────────

KEY = ("0-1", "to1.0@knowing1.example")
DELIVERED, FAILED = Line("delivered"), Line("failed")
UNCERTAIN = Line("deferred", uncertain=True)


@pytest.mark.parametrize(
    ("account", "fault"),
    [
        (Account(promised={KEY}), "lost"),
        (Account(promised={KEY}, journal={KEY: [DELIVERED]}), "nobody has it"),
        (Account(promised={KEY}, journal={KEY: [FAILED]}), "reported 0 times"),
        (Account({KEY}, {KEY: [Taken()]}, journal={KEY: [DELIVERED, UNCERTAIN]}), "after its end"),
        (Account({KEY}, {KEY: [Taken()]}, waiting={KEY}, journal={KEY: [DELIVERED]}), "after its end"),
        (Account({KEY}, {KEY: [Taken(), Taken(era=1)]}, journal={KEY: [DELIVERED]}), "2 arrivals"),
        (Account({KEY}, {KEY: [Taken(), Taken()]}, journal={KEY: [UNCERTAIN, DELIVERED]}), "nothing was killed"),
        (Account({KEY}, {KEY: [Taken(cut=True)]}, journal={KEY: [DELIVERED]}), "nobody has it"),
        (Account({KEY}, {KEY: [Taken()]}, journal={KEY: [DELIVERED, FAILED]}), "more than once"),
    ],
)
def test_the_account_finds(account: Account, fault: str) -> None:
    assert any(fault in found for found in account.faults())


@pytest.mark.parametrize(
    "account",
    [
        Account({KEY}, {KEY: [Taken()]}, journal={KEY: [DELIVERED]}),
        Account({KEY}, {KEY: [Taken(), Taken(era=1)]}, journal={KEY: [UNCERTAIN, DELIVERED]}),
        Account({KEY}, {KEY: [Taken(cut=True), Taken()]}, journal={KEY: [UNCERTAIN, DELIVERED]}),
        Account(promised={KEY}, waiting={KEY}),
        Account(promised={KEY}, asked_for_silence={KEY}, journal={KEY: [FAILED]}),
    ],
)
def test_the_account_leaves_alone(account: Account) -> None:
    assert account.faults() == []
