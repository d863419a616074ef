"""What hosts refused is remembered for a while, and not for more hosts than there is room for."""

from __future__ import annotations

from postroad.smtp.host_memory import HostMemory


def test_a_memory_expires_keyword_by_keyword() -> None:
    memory = HostMemory()
    memory.learn("mx.example", {"NOTIFY", "RET"}, now=1000.0, seconds=60.0)
    memory.learn("mx.example", {"SIZE"}, now=1030.0, seconds=60.0)
    assert memory.refused("mx.example", 1059.9) == {"NOTIFY", "RET", "SIZE"}
    assert memory.refused("mx.example", 1060.0) == {"SIZE"}
    assert memory.refused("mx.example", 1090.0) == frozenset()
    assert memory.refused("other.example", 1000.0) == frozenset()


def test_what_is_refused_again_is_believed_longer() -> None:
    memory = HostMemory()
    memory.learn("mx.example", {"NOTIFY"}, now=0.0, seconds=60.0)
    memory.learn("mx.example", {"NOTIFY"}, now=50.0, seconds=60.0)
    assert memory.refused("mx.example", 100.0) == {"NOTIFY"}


def test_an_hour_unless_said_otherwise() -> None:
    memory = HostMemory()
    memory.learn("mx.example", {"NOTIFY"}, now=0.0)
    assert memory.refused("mx.example", 3599.0) == {"NOTIFY"}
    assert memory.refused("mx.example", 3600.0) == frozenset()


def test_the_host_that_was_asked_longest_ago_goes_first() -> None:
    memory = HostMemory(most=2)
    memory.learn("a.example", {"SIZE"}, now=0.0)
    memory.learn("b.example", {"SIZE"}, now=0.0)
    assert memory.refused("a.example", 1.0) == {"SIZE"}
    memory.learn("c.example", {"SIZE"}, now=2.0)
    assert [memory.refused(host, 3.0) for host in ("a.example", "b.example", "c.example")] == [
        {"SIZE"},
        set(),
        {"SIZE"},
    ]


def test_forgotten_on_request_and_nothing_learnt_of_nothing() -> None:
    memory = HostMemory(most=1)
    memory.learn("a.example", {"SIZE"}, now=0.0)
    memory.learn("b.example", (), now=0.0)  # takes no room
    assert memory.refused("a.example", 1.0) == {"SIZE"}
    memory.forget("a.example")
    memory.forget("a.example")
    assert memory.refused("a.example", 1.0) == frozenset()
