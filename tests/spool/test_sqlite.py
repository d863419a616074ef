"""The SQLite spool keeps the contract, and what only a spool with a disk can promise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from postroad.spool.interface import Spool
from postroad.spool.sqlite import SqliteSpool
from tests.spool.conformance import Conformance


class TestSqliteSpool(Conformance):
    async def open(self, folder: Path, **options: Any) -> Spool:
        return await SqliteSpool.open(folder, clock=self.clock, min_free=0, **options)
