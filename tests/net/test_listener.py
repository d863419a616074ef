"""Listening sockets: ours with faults that name the cure, the service manager's taken as they are passed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from postroad.errors import SettingsError
from postroad.net import listener
from postroad.net.listener import AddressTaken, NoSuchAddress, listen, passed_sockets, shown

HAS_IPV6 = socket.has_ipv6 and os.path.exists("/proc/net/if_inet6")


def test_how_an_address_is_shown() -> None:
    assert shown("127.0.0.1", 25) == "127.0.0.1:25"
    assert shown("::1", 25) == "[::1]:25"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LocalHost"])
def test_the_system_chooses_a_port(host: str) -> None:
    with listen(host, 0) as bound:
        name, port = bound.getsockname()
        assert (name, bound.getblocking()) == ("127.0.0.1", False)
        assert bound.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        assert not bound.get_inheritable()
        with socket.create_connection(("127.0.0.1", port)):
            pass


@pytest.mark.skipif(not HAS_IPV6, reason="privileged: ipv6")
def test_ipv6_takes_no_ipv4() -> None:
    with listen("::1", 0) as bound:
        assert bound.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    with listen("::", 0) as six, listen("0.0.0.0", six.getsockname()[1]) as four:
        assert four.getsockname()[1] == six.getsockname()[1]


def test_a_port_that_is_taken() -> None:
    with listen("127.0.0.1", 0) as bound:
        port = bound.getsockname()[1]
        with pytest.raises(AddressTaken) as fault:
            listen("127.0.0.1", port)
    assert fault.value.message == f"port {port} on 127.0.0.1 is taken"
    assert fault.value.hint
    listen("127.0.0.1", port).close()  # and afterwards it is free, at once


def test_two_processes_may_share_a_port_when_both_say_so() -> None:
    with listen("127.0.0.1", 0, reuse_port=True) as bound:
        listen("127.0.0.1", bound.getsockname()[1], reuse_port=True).close()


def test_an_address_of_another_machine() -> None:
    with pytest.raises(NoSuchAddress, match=r"192\.0\.2\.1:25"):
        listen("192.0.2.1", 25)


def test_a_machine_without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(family: int, kind: int) -> socket.socket:
        raise OSError(97, "Address family not supported by protocol")

    monkeypatch.setattr(listener.socket, "socket", refuse)
    with pytest.raises(NoSuchAddress, match=r"\[::\]:25"):
        listen("::", 25)


@pytest.mark.parametrize("port", [-1, 65536, 10**9])
def test_a_port_that_is_none(port: int) -> None:
    with pytest.raises(SettingsError) as fault:
        listen("127.0.0.1", port)
    assert fault.value.hint


@pytest.mark.parametrize(
    "host", ["999.0.0.1", "mail.example.org", "", "*", "<broadcast>", "1", "127.1", "::1::2", "[::1]"]
)
def test_no_name_is_looked_up_and_nothing_but_an_address_is_bound(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """``socket.bind`` would ask the resolver for a name, and take "" for every address."""
    with pytest.raises(SettingsError) as fault:
        listen(host, 0).close()
    assert not isinstance(fault.value, NoSuchAddress)  # or a default that is optional would pass over it


def test_not_permitted(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(socket.socket):
        def bind(self, address: object) -> None:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(listener.socket, "socket", Refusing)
    with pytest.raises(SettingsError, match=r"127\.0\.0\.1:25: not permitted") as fault:
        listen("127.0.0.1", 25)
    assert "root" in fault.value.hint


# --- what the service manager passes (sd_listen_fds(3))


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[socket.socket]]:
    """Three listening sockets on descriptors that follow each other, as systemd passes them from 3 on."""
    originals = [listen("127.0.0.1", 0) for _ in range(3)]
    first = 400
    for index, one in enumerate(originals):
        os.dup2(one.fileno(), first + index)
    monkeypatch.setattr(listener, "_FIRST_PASSED_FD", first)
    yield originals
    for index, one in enumerate(originals):
        one.close()
        try:
            os.close(first + index)
        except OSError:
            pass  # the test has taken and closed it


def take(**environment: str) -> dict[str, list[socket.socket]]:
    return passed_sockets({"LISTEN_PID": "77", **environment}, 77)


def names(found: dict[str, list[socket.socket]]) -> dict[str, list[object]]:
    """The ports under each name; closes the sockets."""
    ports = {}
    for name, sockets in found.items():
        ports[name] = [one.getsockname() for one in sockets]
        for one in sockets:
            assert not one.getblocking()
            assert not one.get_inheritable()
            one.close()
    return ports


def test_sockets_go_by_their_names(passed: list[socket.socket]) -> None:
    mx, submission, second = (one.getsockname() for one in passed)
    found = take(LISTEN_FDS="3", LISTEN_FDNAMES="mx:submission:mx")
    assert names(found) == {"mx": [mx, second], "submission": [submission]}


def test_only_as_many_as_are_told(passed: list[socket.socket]) -> None:
    assert names(take(LISTEN_FDS="1", LISTEN_FDNAMES="mx:submission:mx")) == {"mx": [passed[0].getsockname()]}


def test_a_name_that_is_missing_is_unknown(passed: list[socket.socket]) -> None:
    first, second, third = (one.getsockname() for one in passed)
    assert names(take(LISTEN_FDS="3", LISTEN_FDNAMES="mx")) == {"mx": [first], "unknown": [second, third]}


@pytest.mark.parametrize("count", ["", "0", "-1", "1.5", " 1", "1 ", "²", "٣", "three"])
def test_no_number_no_sockets(count: str) -> None:
    assert take(LISTEN_FDS=count) == {}


@pytest.mark.parametrize("pid", [None, "", "78", "077", "x"])
def test_sockets_of_another_process_are_left_alone(pid: str | None, passed: list[socket.socket]) -> None:
    environment = {"LISTEN_FDS": "1"} | ({} if pid is None else {"LISTEN_PID": pid})
    assert passed_sockets(environment, 77) == {}


def test_a_descriptor_that_is_no_socket_is_a_fault_with_a_cure(passed: list[socket.socket]) -> None:
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 401)
    os.close(null)
    with pytest.raises(SettingsError, match="LISTEN_FDS"):
        take(LISTEN_FDS="3", LISTEN_FDNAMES="mx:mx:mx")


def test_more_descriptors_than_there_are_is_a_fault_with_a_cure(passed: list[socket.socket]) -> None:
    with pytest.raises(SettingsError, match="LISTEN_FDS"):
        take(LISTEN_FDS="4")


def test_a_real_child_gets_its_sockets() -> None:
    """Through fork and exec, from descriptor 3 on, as the service manager does it."""
    code = """
import os, sys
from postroad.net.listener import passed_sockets
found = passed_sockets(os.environ, os.getpid())
print({name: [one.getsockname()[1] for one in sockets] for name, sockets in found.items()})
"""
    launcher = f"import os, sys; os.environ['LISTEN_PID'] = str(os.getpid()); os.execv(sys.executable, [sys.executable, '-c', {code!r}])"
    with listen("127.0.0.1", 0) as bound:
        environment = os.environ | {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "mx"}
        wrapped = f"import os; os.dup2({bound.fileno()}, 3); os.set_inheritable(3, True); {launcher}"
        done = subprocess.run(
            [sys.executable, "-c", wrapped],
            env=environment,
            pass_fds=[bound.fileno()],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (done.stdout, done.stderr) == (f"{{'mx': [{bound.getsockname()[1]}]}}\n", "")
