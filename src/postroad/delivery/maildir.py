"""Writing one message into a Maildir: in ``tmp``, synced, renamed into ``new``, the directory synced. Blocking.

Whoever reads ``new`` never sees part of a message; whatever this promised is still there after a power cut. Only the
directories that the operator wrote out are opened by name; those made from addresses, and what stands behind them, are
opened one by one relative to a handle of the one before, and a symbolic link among them is a fault, never followed.
"""

from __future__ import annotations

import itertools
import os
import re
import secrets
import socket
from collections.abc import Iterable
from typing import Final

from postroad.delivery.path_encoding import encode_component

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NO_LINK: Final = _DIRECTORY | os.O_NOFOLLOW
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_counter = itertools.count(1)


class UncertainDelivery(OSError):
    """The message was renamed into ``new``, and then the directory could not be synced."""


def expand(template: str, user: str, domain: str) -> tuple[str, tuple[str, ...]]:
    """The operator's own part of the path, and the names below it that are opened without following links."""
    parts = [part for part in template.split("/") if part]
    dynamic = next((n for n, part in enumerate(parts) if "{" in part), len(parts))
    values = {"{user}": encode_component(user), "{domain}": encode_component(domain)}
    filled = (re.sub(r"\{user\}|\{domain\}", lambda found: values[found[0]], part) for part in parts[dynamic:])
    return "/" + "/".join(parts[:dynamic]), tuple(_not_dotted(part) for part in filled)


def _not_dotted(name: str) -> str:
    """``.{user}`` is the operator's word; that it never becomes ``..`` is ours."""
    return name if name.strip(".") else "%2E" * len(name)


class MaildirFile:
    """One delivery: ``write`` any number of times, then ``commit`` or ``discard``; each may raise OSError."""

    def __init__(self, base: str, names: tuple[str, ...], host: str, now: float) -> None:
        self._name = _unique_name(host, now)
        self._size = 0
        self._held_cr = b""
        self._file = -1
        self._maildir = _open_maildir(base, names)
        try:
            tmp = os.open("tmp", _NO_LINK, dir_fd=self._maildir)
            try:
                self._file = os.open(self._name, _NEW_FILE, 0o600, dir_fd=tmp)
            finally:
                os.close(tmp)
        except BaseException:
            os.close(self._maildir)
            raise

    def write(self, block: bytes) -> None:
        """Append octets with CRLF, as LF: readers of Maildirs take a line to end with LF."""
        block = self._held_cr + block
        self._held_cr = b"\r" if block.endswith(b"\r") else b""
        self._append(block[: len(block) - len(self._held_cr)].replace(b"\r\n", b"\n"))

    def commit(self) -> str:
        """Make it durable and visible; gives its name in ``new``. Nothing is left behind when it raises OSError.

        UncertainDelivery: it is visible, but may be gone after a power cut.
        """
        try:
            self._append(self._held_cr)
            os.fsync(self._file)
            final = f"{self._name},S={self._size}"
            tmp, new = self._open("tmp"), self._open("new")
            try:
                os.rename(self._name, final, src_dir_fd=tmp, dst_dir_fd=new)
                try:
                    os.fsync(new)
                except OSError as fault:
                    raise UncertainDelivery(fault.errno, fault.strerror) from fault
            finally:
                os.close(tmp)
                os.close(new)
        except UncertainDelivery:
            raise
        except BaseException:
            self._unlink()
            raise
        finally:
            self._close()
        return final

    def discard(self) -> None:
        """Leave nothing behind."""
        self._unlink()
        self._close()

    def _append(self, octets: bytes) -> None:
        view = memoryview(octets)
        while view:
            written = os.write(self._file, view)
            self._size += written
            view = view[written:]

    def _open(self, name: str) -> int:
        return os.open(name, _NO_LINK, dir_fd=self._maildir)

    def _unlink(self) -> None:
        try:
            tmp = self._open("tmp")
        except OSError:
            return
        try:
            os.unlink(self._name, dir_fd=tmp)
        except OSError:
            pass
        finally:
            os.close(tmp)

    def _close(self) -> None:
        for handle in (self._file, self._maildir):
            if handle >= 0:
                os.close(handle)
        self._file = self._maildir = -1


def _open_maildir(base: str, names: Iterable[str]) -> int:
    """A handle of the Maildir, made with its three directories where it is missing."""
    handle = _open_base(base)
    for name in names:
        try:
            below = _open_below(handle, name)
        finally:
            os.close(handle)
        handle = below
    try:
        for name in ("tmp", "new", "cur"):
            os.close(_open_below(handle, name))
    except BaseException:
        os.close(handle)
        raise
    return handle


def _open_base(base: str) -> int:
    """The operator's own directories; links in them are the operator's, too."""
    handle = os.open("/", _DIRECTORY)
    for name in base.split("/"):
        if name:
            handle = _step(handle, name)
    return handle


def _open_below(handle: int, name: str) -> int:
    """A directory in a directory, made when missing, its entry synced; a symbolic link raises OSError."""
    try:
        return os.open(name, _NO_LINK, dir_fd=handle)
    except FileNotFoundError:
        pass
    try:
        os.mkdir(name, 0o700, dir_fd=handle)
    except FileExistsError:
        pass  # another worker was quicker, or a dangling link, which the next line refuses
    os.fsync(handle)
    return os.open(name, _NO_LINK, dir_fd=handle)


def _step(handle: int, name: str) -> int:
    try:
        return os.open(name, _DIRECTORY, dir_fd=handle)
    except FileNotFoundError:
        return _open_below(handle, name)
    finally:
        os.close(handle)


def _unique_name(host: str, now: float) -> str:
    """``seconds.MmicrosPpidQcounterRrandom.host`` (the Maildir rules of cr.yp.to/proto/maildir.html)."""
    seconds, micros = divmod(int(now * 1_000_000), 1_000_000)
    host = (host or socket.gethostname()).replace("/", "\\057").replace(":", "\\072")[:100]
    return f"{seconds}.M{micros:06d}P{os.getpid()}Q{next(_counter)}R{secrets.token_hex(8)}.{host}"
