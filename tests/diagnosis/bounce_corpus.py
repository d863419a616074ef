"""The samples of ``bounces/`` with what is to be read in them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "bounces"


@dataclass(frozen=True)
class Sample:
    family: str
    name: str
    octets: bytes
    kind: str
    form: str
    recipients: tuple[dict[str, Any], ...]

    def __str__(self) -> str:
        return f"{self.family}/{self.name}"


def samples() -> Iterator[Sample]:
    for folder in sorted(path for path in FOLDER.iterdir() if path.is_dir()):
        for name, told in json.loads((folder / "expected.json").read_text("utf-8")).items():
            octets = (folder / f"{name}.eml").read_bytes()
            yield Sample(folder.name, name, octets, told["kind"], told.get("form", ""), tuple(told["recipients"]))


ALL = tuple(samples())
