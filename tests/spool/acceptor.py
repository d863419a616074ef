"""A process that uses a spool until it is killed, and tells a pipe what it was told: the ledger of the crash tests.

    python -m tests.spool.acceptor FOLDER SEED MESSAGES

A line is written before and after each promise: ``sent ID SHA256``, ``acked ID``, ``error ID CLASS``,
``settling ID``, ``settled ID True|False``; ``reporting ID REPORT NUMBERS`` and ``reported REPORT`` for what was given up.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import sys
import time
from pathlib import Path

from postroad.envelope import Attempt, Batch, Draft, NewRecipient, Outcome, Result
from postroad.errors import SpoolError
from postroad.spool.interface import ContentWriter
from postroad.spool.sqlite import SqliteSpool

IN_FLIGHT = 20


def tell(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


class Load:
    def __init__(self, spool: SqliteSpool, seed: int, messages: int) -> None:
        self.spool = spool
        self.random = random.Random(seed)
        self.left = messages
        self.running = 0
        self.finished = asyncio.Event()

    def begin(self) -> None:
        """Hand in one message, and the next one when its outcome is known."""
        if not self.left:
            if not self.running:
                self.finished.set()
            return
        self.left -= 1
        self.running += 1
        size = self.random.choice([0, 500, 5000, 5000, 65_536, 65_537, 200_000])
        body = self.random.randbytes(size)
        recipients = tuple(
            NewRecipient(f"user{number}@example.org", "example.org", hold=self.random.choice(["", "", "kept"]))
            for number in range(self.random.randint(1, 3))
        )
        draft = Draft(self.spool.new_id(), "kana@example.net", recipients, time.time(), b"Received: x\r\n")
        tell("sent", draft.id, hashlib.sha256(draft.prefix + body).hexdigest())

        def done(error: SpoolError | None) -> None:
            tell("acked", draft.id) if error is None else tell("error", draft.id, type(error).__name__)
            self.running -= 1
            self.begin()

        try:
            content = self.spool.open_content()
            for start in range(0, size, 16_384):
                content.write(body[start : start + 16_384])
            self.spool.accept(draft, content, done)
        except SpoolError as error:
            done(error)

    async def work(self) -> None:
        """Deliver a part of what was accepted."""
        while True:
            for batch in await self.spool.lease(time.time(), 3, 60):
                if self.random.random() < 0.5:
                    await self.deliver(batch)
            await asyncio.sleep(0.005)

    async def deliver(self, batch: Batch) -> None:
        name = batch.message.id
        gone = batch.message.reverse_path != "" and self.random.random() < 0.3
        outcome = Outcome.FAILED if gone else Outcome.DELIVERED
        results = tuple(Result(one.number, outcome) for one in batch.message.recipients)
        tell("settling", name)
        reports = [self.report(batch)] if gone else []
        settled = await self.spool.settle(batch, Attempt(time.time(), 0.1, "", "", results), reports)
        tell("settled", name, settled)
        for draft, _ in reports if settled else ():
            tell("reported", draft.id)

    def report(self, batch: Batch) -> tuple[Draft, ContentWriter]:
        """What the sender is told in the same transaction."""
        body = self.random.randbytes(self.random.choice([500, 5000, 100_000]))
        kana = NewRecipient("kana@example.net", "example.net")
        draft = Draft(self.spool.new_id(), "", (kana,), time.time(), b"Received: x\r\n")
        numbers = ",".join(str(one.number) for one in batch.message.recipients)
        tell("sent", draft.id, hashlib.sha256(draft.prefix + body).hexdigest())
        tell("reporting", batch.message.id, draft.id, numbers)
        content = self.spool.open_report()
        content.write(body)
        return draft, content


async def main(folder: str, seed: int, messages: int) -> None:
    spool = await SqliteSpool.open(Path(folder), min_free=0)
    load = Load(spool, seed, messages)
    worker = asyncio.create_task(load.work()) if messages > 1000 else None
    for _ in range(IN_FLIGHT if messages > 1000 else 1):
        load.begin()
    await load.finished.wait()
    if worker is not None:
        worker.cancel()
    await spool.close()
    tell("closed")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
