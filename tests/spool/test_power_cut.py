"""The power goes: what the disk had not been asked to keep is lost, what was acknowledged is not.

ext4 on a loop device takes an ioctl that throws away everything that is not on the disk yet (the journal's unwritten
part, too), which is what a cut does to a machine whose disk is honest.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.spool.test_crash import Ledger, acceptor, check

EXT4_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = (2).to_bytes(4, "little")
CUTS = 3


class Disk:
    """An ext4 file system of its own, whose power can be cut."""

    def __init__(self, folder: Path) -> None:
        self.image = folder / "image"
        self.point = folder / "disk"
        self.point.mkdir()
        os.close(os.open(self.image, os.O_CREAT | os.O_WRONLY))
        # Sparse, and larger than the quickest machine fills within the test: a full disk is another test's matter.
        os.truncate(self.image, 1024 * 1024 * 1024)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(self.image)], check=True, stdin=subprocess.DEVNULL)

    def mount(self) -> str:
        """Mount it; gives what went wrong."""
        command = ["mount", "-o", "loop", str(self.image), str(self.point)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stderr.strip() or "unknown" if done.returncode else ""

    def cut(self) -> None:
        handle = os.open(self.point, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, EXT4_IOC_SHUTDOWN, NO_LOG_FLUSH)
        finally:
            os.close(handle)

    def unmount(self) -> None:
        """Unmount, and wait until the loop device is gone: a dead one would answer for the next mount."""
        end = time.monotonic() + 20
        while subprocess.run(["umount", str(self.point)], capture_output=True, check=False).returncode:
            assert time.monotonic() < end, "the disk stays busy"
            time.sleep(0.02)
        list_loops = ["losetup", "-j", str(self.image)]
        while subprocess.run(list_loops, capture_output=True, check=True).stdout and time.monotonic() < end:
            time.sleep(0.02)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if shutil.which("mkfs.ext4") is None:
        pytest.fail("mkfs.ext4 is missing: install e2fsprogs")
    made = Disk(tmp_path)
    fault = made.mount()
    if fault:
        pytest.skip(f"privileged: mount a loop device ({fault})")
    yield made
    subprocess.run(["umount", "--lazy", str(made.point)], capture_output=True, check=False)


def read_until(process: subprocess.Popen[bytes], ledger: Ledger, end: float) -> None:
    """Note what the process says until then, or until it has nothing more to say when that time is over."""
    assert process.stdout is not None
    handle = process.stdout.fileno()
    rest = b""
    while True:
        ready = select.select([handle], [], [], max(end - time.monotonic(), 0))[0]
        octets = os.read(handle, 65_536) if ready else b""
        if not octets:
            return
        *lines, rest = (rest + octets).split(b"\n")
        for line in lines:
            ledger.note(line.decode())


@pytest.mark.privileged("root", "mount")
def test_power_cuts_under_load(disk: Disk) -> None:
    ledger = Ledger()
    folder = disk.point / "state"
    chance = random.Random(os.urandom(8))
    for number in range(CUTS):
        before = len(ledger.acked)
        process = acceptor(folder, number, 10**9)
        end = time.monotonic() + 20
        while len(ledger.acked) == before and time.monotonic() < end:
            read_until(process, ledger, time.monotonic() + 0.02)
        read_until(process, ledger, time.monotonic() + chance.uniform(0.1, 0.5))
        (disk.point / "control").write_bytes(b"nobody asked for this to be kept" * 1000)
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        read_until(process, ledger, 0.0)  # only what was acknowledged before the cut counts
        disk.cut()
        process.kill()
        process.wait()
        disk.unmount()
        assert disk.mount() == ""
        control = disk.point / "control"
        assert not control.exists() or control.stat().st_size == 0, "the cut cut nothing"
        with suppress(FileNotFoundError):
            control.unlink()
        assert len(ledger.acked) > before
        asyncio.run(check(folder, ledger))
    assert ledger.errors == {}
