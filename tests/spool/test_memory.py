"""The reference keeps the contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from postroad.spool.interface import Spool
from postroad.spool.memory import MemorySpool
from tests.spool.conformance import Conformance


class TestMemorySpool(Conformance):
    async def open(self, folder: Path, **options: Any) -> Spool:
        return MemorySpool(clock=self.clock, **options)
