"""Logs on disk: gzip in all its forms, and following through rotation."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from postroad.diagnosis.logs_files import LogStream, follow
from postroad.diagnosis.logs_reading import BLOCK


def whole(octets: bytes) -> tuple[bytes, LogStream]:
    stream = LogStream(io.BytesIO(octets))
    return b"".join(stream.blocks()), stream


def test_plain_and_packed_are_read_alike() -> None:
    text = b"some line of a log\n" * 200_000
    assert whole(text)[0] == text
    read, stream = whole(gzip.compress(text))
    assert read == text
    assert stream.position == len(gzip.compress(text))
    assert not stream.damaged


def test_several_members_and_padding_are_one_log() -> None:
    assert (
        whole(gzip.compress(b"one\n") + gzip.compress(b"") + gzip.compress(b"two\n") + b"\0" * 512)[0] == b"one\ntwo\n"
    )


@pytest.mark.parametrize(
    "spoil", [lambda octets: octets[:-20], lambda octets: octets + b"rubbish", lambda octets: octets[:2]]
)
def test_a_damaged_file_is_read_up_to_the_damage(spoil: object) -> None:
    assert callable(spoil)
    read, stream = whole(spoil(gzip.compress(b"one\ntwo\n" * 5_000, mtime=0)))
    assert stream.damaged
    assert (b"one\ntwo\n" * 5_000).startswith(read)


def test_a_bomb_is_unpacked_block_by_block() -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(b"\0" * BLOCK) for _ in range(64)) + packer.flush()
    sizes = [len(block) for block in LogStream(io.BytesIO(bomb)).blocks()]
    assert sum(sizes) == 64 * BLOCK
    assert max(sizes) <= BLOCK


class Followed:
    """What a follower gives until it has nothing new."""

    def __init__(self, path: Path) -> None:
        self._blocks: Iterator[bytes] = follow(path)

    def new(self) -> bytes:
        return b"".join(iter(self._blocks.__next__, b""))


def test_following_a_file_that_grows(tmp_path: Path) -> None:
    path = tmp_path / "mail.log"
    path.write_bytes(b"one\n")
    log = Followed(path)
    assert log.new() == b"one\n"
    assert log.new() == b""
    with path.open("ab") as file:
        file.write(b"two\nthr")
    assert log.new() == b"two\nthr"
    with path.open("ab") as file:
        file.write(b"ee\n")
    assert log.new() == b"ee\n"


def test_following_through_renaming(tmp_path: Path) -> None:
    path = tmp_path / "mail.log"
    path.write_bytes(b"one\n")
    log = Followed(path)
    log.new()
    with path.open("ab") as writer:
        path.rename(tmp_path / "mail.log.1")
        writer.write(b"two, into the old one")
        writer.flush()
        assert log.new() == b"two, into the old one"  # there is no new one yet
        writer.write(b" still\n")
        writer.flush()
        path.write_bytes(b"three\n")
        assert log.new() == b" still\nthree\n"


def test_a_line_without_an_end_gets_one_when_its_file_is_left(tmp_path: Path) -> None:
    path = tmp_path / "mail.log"
    path.write_bytes(b"one")
    log = Followed(path)
    assert log.new() == b"one"
    path.rename(tmp_path / "mail.log.1")
    path.write_bytes(b"two\n")
    assert log.new() == b"\ntwo\n"


def test_following_a_file_that_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "mail.log"
    path.write_bytes(b"a long line of the old log\n")
    log = Followed(path)
    log.new()
    path.write_bytes(b"")
    assert log.new() == b""
    path.write_bytes(b"new\n")
    assert log.new() == b"new\n"


def test_what_is_not_there_cannot_be_followed(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        next(follow(tmp_path / "none"))
