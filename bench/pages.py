"""How long pages take: the status reference, and the queue's pages over a queue that is full.

The pages are asked for over the operator's socket, one after the other on one connection, and compressed as for a
browser. ``/livez``, which does nothing, is asked for beside them: what it takes is HTTP's share.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.backlog import Backlog, Control, filled
from bench.measure import cpu_seconds
from bench.peers import BenchError

#: The share of a request that is not the page's.
NOTHING: Final = "/livez"
CODES: Final = ("/en/codes/455", "/ja/codes/220", "/en/codes/550", "/en/codes")
COMPARISONS: Final = ("/en/compare/220-vs-455", "/ja/compare/455-vs-555")
QUEUE: Final = ("/queue", "/queue?to=%40live0.example", "/queue?destination=dead1.example", "/queue?by=destination")
OTHERS: Final = ("/", "/destinations", "/destinations/dead1.example", "/queue/shape")
_LINKED: Final = re.compile(rb'(?:href|src)="(/static/[^"]+)"')
_WARM: Final = 3


@dataclass(frozen=True, slots=True)
class Page:
    """One address."""

    path: str
    waits: tuple[float, ...]
    """Seconds from the request to the last octet, sorted."""
    server_cpu: float
    """Seconds of the server for one of them."""
    octets: int
    """Compressed, with the stylesheets and scripts that it names: what a first visit loads."""


def measured(folder: Path, backlog: Backlog, requests: int) -> list[Page]:
    """Every page so many times, in a server whose queue is full and not due. Raises BenchError."""
    with filled(folder, backlog, due=time.time() + 86_400) as (server, _):
        server.start()
        connection = Control(str(folder / "state" / "control.sock"))
        try:
            paths = (NOTHING, *CODES, *COMPARISONS, *QUEUE, *OTHERS)
            return [_page(connection, server.pid, path, requests) for path in paths]
        finally:
            connection.close()


def _page(connection: Control, pid: int, path: str, requests: int) -> Page:
    for _ in range(_WARM):
        body, length = _get(connection, path)
    waits: list[float] = []
    cpu = cpu_seconds(pid)
    for _ in range(requests):
        began = time.perf_counter()
        _get(connection, path)
        waits.append(time.perf_counter() - began)
    cpu = (cpu_seconds(pid) - cpu) / requests
    named = set(_LINKED.findall(body))
    octets = length + sum(_get(connection, one.decode())[1] for one in named)
    return Page(path, tuple(sorted(waits)), cpu, octets)


def _get(connection: Control, path: str) -> tuple[bytes, int]:
    """The body as text, and how many octets of it travelled."""
    import gzip

    connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
    answer = connection.getresponse()
    octets = answer.read()
    if answer.status != 200:
        raise BenchError(f"{path} is answered {answer.status}")
    packed = answer.headers.get("content-encoding") == "gzip"
    return (gzip.decompress(octets) if packed else octets), len(octets)


def at(waits: tuple[float, ...], percent: int) -> float:
    """The percentile of sorted waits."""
    return waits[min(len(waits) * percent // 100, len(waits) - 1)]
