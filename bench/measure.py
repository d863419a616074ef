"""What a process costs, asked of Linux: CPU of all its threads and children, memory; and on which core it runs."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_IN_MEMORY = ("tmpfs", "ramfs")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and all its descendants, threads that have ended included."""
    # clock_getcpuclockid(3): the clock of another process, in nanoseconds where /proc/<pid>/stat has ticks of 10 ms.
    return time.clock_gettime((~pid << 3) | 2) + sum(map(cpu_seconds, _children(pid))) + _of_dead_children(pid)


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def _of_dead_children(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return (int(fields[13]) + int(fields[14])) / _TICKS


def seconds_without_core(pid: int) -> float:
    """How long the main thread of a process was ready to run and others had the cores."""
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[1]) / 1e9


def memory_octets(pid: int) -> int:
    """The proportional set size of one process (Linux: PSS); socket buffers of the kernel are not in it."""
    found = re.search(r"^Pss:\s+([0-9]+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    if found is None:
        raise OSError(f"/proc/{pid}/smaps_rollup tells no Pss")
    return int(found[1]) * 1024


def busy_seconds() -> float:
    """CPU time that all cores together have spent on anything, since the machine's start."""
    user, nice, system, _idle, _iowait, irq, softirq, *_ = Path("/proc/stat").read_text().split()[1:9]
    return sum(map(int, (user, nice, system, irq, softirq))) / _TICKS


def client_seconds() -> float:
    """CPU time of this process and of the children it has waited for."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


@dataclass(frozen=True, slots=True)
class Cores:
    """Where the server and the load run."""

    server: int
    load: int

    @classmethod
    def of_this_machine(cls, shared: bool = False) -> Cores:
        """Two of those that we may use; ``shared``: the first for both."""
        cores = sorted(os.sched_getaffinity(0))
        if shared or len(cores) == 1:
            return cls(cores[0], cores[0])
        return cls(cores[0], cores[1])

    def __str__(self) -> str:
        if self.server == self.load:
            return f"server and load share core {self.server}"
        return f"server on core {self.server}, load on core {self.load}"


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """What is started within runs on ``core``, and so do we meanwhile."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def allow_many_files() -> None:
    """As many descriptors as the system permits, for us and for the servers that we start."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def machine() -> str:
    """One line about it."""
    model = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    name = model[1].strip() if model else platform.machine()
    return f"{os.cpu_count()} cores ({name}), Linux {platform.release()}, Python {platform.python_version()}"


def file_system(folder: Path) -> str:
    """The kind of file system that ``folder`` is on."""
    best, kind = "", "unknown"
    where = str(folder.resolve())
    for line in Path("/proc/self/mounts").read_text().split("\n"):
        words = line.split(" ")
        if len(words) > 2 and len(words[1]) >= len(best) and (f"{where}/").startswith(words[1].rstrip("/") + "/"):
            best, kind = words[1], words[2]
    return kind


def is_in_memory(kind: str) -> bool:
    """Whether a sync there costs nothing, so that a durable figure would be none."""
    return kind in _IN_MEMORY
