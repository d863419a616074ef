"""The name by which this host greets when the operator gave none (RFC 5321 section 4.1.1.1)."""

from __future__ import annotations

import socket
import threading
from ipaddress import ip_address

from postroad.address import normal_domain, parse_domain
from postroad.errors import AddressSyntaxError


def default_hostname(timeout: float = 1.0) -> tuple[str, str]:
    """This host's name, and why it is doubtful (empty when it is not); takes ``timeout`` seconds at most.

    The machine's own name when it is fully qualified, else what the resolver makes of it, else an address literal,
    else ``localhost``.
    """
    own = socket.gethostname()
    if _qualified(own):
        return normal_domain(own), ""
    found: list[str] = []
    asking = threading.Thread(target=lambda: found.append(socket.getfqdn(own)), daemon=True)
    asking.start()
    asking.join(timeout)
    if found and _qualified(found[0]):
        return normal_domain(found[0]), ""
    why = "this machine has no fully qualified name" if found else f"the resolver did not answer within {timeout:g} s"
    return _literal() or "localhost", why


def _qualified(name: str) -> bool:
    """True for a name with a dot that is no ``localhost`` and no address."""
    try:
        parse_domain(name)
    except AddressSyntaxError:
        return False
    labels = name.lower().split(".")
    return (
        len(labels) > 1
        and labels[0] != "localhost"
        and labels[-1] not in ("localdomain", "arpa")
        and not (labels[-1].isdecimal())
    )


def _literal() -> str:
    """The address from which this machine would speak, as a literal; nothing is sent."""
    for family, target in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((target, 9))
                own = ip_address(probe.getsockname()[0].partition("%")[0])
        except OSError:
            continue
        if not own.is_loopback and not own.is_unspecified:
            return f"[{own}]" if own.version == 4 else f"[IPv6:{own}]"
    return ""
