"""Run inside `unshare -n`: a network of one machine that drops, rejects or forbids, and one diagnosis in it, as JSON.

unshare -n python -m tests.diagnosis.in_namespace drop 192.0.2.25
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import struct
import subprocess
import sys

from postroad.diagnosis.diagnosing import diagnose
from postroad.diagnosis.telling import Teller
from postroad.diagnosis.watching import Waits

_TUNSETIFF = 0x400454CA
_IFF_TUN_NO_PI = 0x0001 | 0x1000

#: What an ICMP answer to a TCP packet says: type and code (RFC 792, RFC 1812).
_ANSWERS = {"reject": (3, 3), "prohibited": (3, 13), "host-unreachable": (3, 1)}


def run(*words: str) -> None:
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL)


def wire() -> int:
    """A network card that ends here: what is sent to 192.0.2.0/24 can be read, and answered or dropped."""
    card = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(card, _TUNSETIFF, struct.pack("16sH22x", b"d1", _IFF_TUN_NO_PI))
    run("ip", "address", "add", "192.0.2.1/24", "dev", "d1")
    run("ip", "link", "set", "d1", "up")
    return card


def checksum(octets: bytes) -> int:
    if len(octets) % 2:
        octets += b"\0"
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def icmp(packet: bytes, kind: int, code: int) -> bytes:
    """The firewall's refusal of an IPv4 packet."""
    body = packet[:28]
    head = struct.pack("!BBHI", kind, code, 0, 0)
    inner = struct.pack("!BBHI", kind, code, checksum(head + body), 0) + body
    source, destination = packet[16:20], packet[12:16]
    outer = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(inner), 1, 0, 64, 1, 0) + source + destination
    return outer[:10] + struct.pack("!H", checksum(outer)) + outer[12:] + inner


def prepare(case: str, loop: asyncio.AbstractEventLoop) -> None:
    run("ip", "link", "set", "lo", "up")
    if case in ("blackhole", "unreachable", "prohibit"):
        run("ip", "route", "add", case, "192.0.2.0/24")
        return
    if case == "no-route":
        return
    card = wire()

    def heard() -> None:
        packet = os.read(card, 2048)
        if case in _ANSWERS and packet[0] >> 4 == 4 and packet[9] == 6:
            os.write(card, icmp(packet, *_ANSWERS[case]))

    loop.add_reader(card, heard)


async def main(case: str, target: str) -> None:
    prepare(case, asyncio.get_running_loop())
    waits = Waits(connect=2.5, greeting=2, answer=2, tls_trial=1, quit=1, total=10)
    found = await diagnose(target, host_only=True, waits=waits)
    print(json.dumps(Teller().document(found)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
