"""Whether a peer spoke first: one look at the receive buffer that takes nothing out of it."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from postroad.net.early import has_input


class Transport:
    """What ``has_input`` asks of one."""

    def __init__(self, connected: socket.socket | None) -> None:
        self._connected = connected

    def get_extra_info(self, name: str) -> socket.socket | None:
        assert name == "socket"
        return self._connected


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_silence(pair: tuple[socket.socket, socket.socket]) -> None:
    assert not has_input(Transport(pair[0]))  # type: ignore[arg-type]


def test_octets_are_seen_and_stay(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall(b"E")
    assert has_input(Transport(ours))  # type: ignore[arg-type]
    assert has_input(Transport(ours))  # type: ignore[arg-type]
    assert ours.recv(10) == b"E"
    assert not has_input(Transport(ours))  # type: ignore[arg-type]


def test_a_multiple_of_a_machine_word_is_input_too(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall(b"x" * 65536)
    assert has_input(Transport(ours))  # type: ignore[arg-type]


def test_a_peer_that_has_gone_and_a_transport_without_socket_are_silent(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    theirs.close()
    assert not has_input(Transport(ours))  # type: ignore[arg-type]
    assert not has_input(Transport(None))  # type: ignore[arg-type]


def test_what_is_no_stream_is_silent() -> None:
    with open("/dev/null", "rb") as nothing:
        assert not has_input(Transport(nothing))  # type: ignore[arg-type]
