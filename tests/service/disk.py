"""A file system of its own for a server's state, small, in a mount namespace that vanishes with the process that holds it."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.server_process import ServerProcess
from tests.service.conftest import Serve

KIB = 1024
MIB = 1024 * KIB


class Disk:
    """A tmpfs at ``path`` that only its holder and what is started by ``before`` can see; ``seen`` is where we see it."""

    def __init__(self, path: Path, options: str) -> None:
        path.mkdir()
        self.path = path
        script = 'mount -t tmpfs -o "$1" none "$2" && echo mounted && exec sleep 300'
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", options, str(path)]
        self._holder = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"mounted\n"
        self._root = Path(f"/proc/{self._holder.pid}/root")

    @property
    def before(self) -> list[str]:
        """What runs a program inside, in the same folder."""
        return ["nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt", "--", "env", f"--chdir={Path.cwd()}"]

    def seen(self, path: Path) -> Path:
        """A path inside, from outside."""
        return self._root / path.relative_to("/")

    @property
    def _filler(self) -> Path:
        return self.seen(self.path / "filler")

    def fill(self, leave: int) -> None:
        """Take all space but some octets."""
        disk = os.statvfs(self.seen(self.path))
        octets = disk.f_bavail * disk.f_frsize - leave
        with contextlib.suppress(OSError), self._filler.open("ab", buffering=0) as file:
            while octets > 0:
                octets -= file.write(bytes(min(octets, MIB)))

    def fill_inodes(self, leave: int) -> None:
        """Take all inodes but some."""
        self._filler.mkdir()
        for number in range(os.statvfs(self.seen(self.path)).f_favail - leave):
            (self._filler / str(number)).touch()

    def free(self) -> None:
        """Give all of it back."""
        subprocess.run(["rm", "-rf", str(self._filler)], check=True)

    def close(self) -> None:
        """It is gone when the last process inside is."""
        self._holder.kill()
        self._holder.wait()
        assert self._holder.stdout is not None
        self._holder.stdout.close()


MakeDisk = Callable[[str], Disk]


@pytest.fixture
def make_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeDisk]:
    with contextlib.ExitStack() as ending:

        def make(options: str) -> Disk:
            disk = Disk(tmp_path_factory.mktemp("disk") / "disk", options)
            ending.callback(disk.close)
            return disk

        yield make


def on_disk(serve: Serve, disk: Disk, text: str) -> ServerProcess:
    return serve(text, disk.path.parent, state=disk.path / "state", before=disk.before, control=disk.seen)
