"""Who may come in by the web: people with a role and a password, their sign-ins, and the tokens of programs."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from postroad.admin.sign_ins import SignIn, SignIns
from postroad.admin.tokens import RoleName, Tokens
from postroad.clock import Clock, SystemClock

TOKENS_FILE: Final = "tokens.json"
SIGN_INS_FILE: Final = "sign-ins.json"


@dataclass(frozen=True, slots=True)
class Resident:
    """Somebody whom the settings give a role."""

    role: RoleName
    password_hash: str = field(repr=False)

    @property
    def mark(self) -> str:
        """Another one as soon as password or role is another."""
        return hashlib.sha256(f"{self.role}\0{self.password_hash}".encode()).hexdigest()


Residents = Mapping[str, Resident]
#: Name and password -> True or False; None: too many ask at once.
Verify = Callable[[str, str], Awaitable[bool | None]]


@dataclass(frozen=True, slots=True)
class PersonNow:
    """One person as the settings page shows them."""

    name: str
    role: RoleName
    sign_ins: Sequence[SignIn]
    """The latest seen first."""


async def _nobody(name: str, password: str) -> bool | None:
    return False


class Access:
    """See the module. ``tokens`` and ``sign_ins`` act at once."""

    def __init__(
        self,
        *,
        residents: Callable[[], Residents] = dict,
        verify: Verify = _nobody,
        folder: Path | None = None,
        keep_sign_ins: bool = True,
        clock: Clock | None = None,
    ) -> None:
        """``residents`` is asked each time, for a reload may change them; ``folder`` None: nothing is kept;
        ``keep_sign_ins`` False: they end with the process.

        ``verify`` takes as long for names that do not exist as for others.
        """
        self.clock = clock = clock or SystemClock()
        self._residents = residents
        self.verify = verify
        self.tokens = Tokens(folder / TOKENS_FILE if folder is not None else None, clock)
        self.sign_ins = SignIns(folder / SIGN_INS_FILE if folder is not None and keep_sign_ins else None, clock)

    def resident(self, name: str) -> Resident | None:
        """Who bears this name now and has a role."""
        return self._residents().get(name)

    def people(self) -> Sequence[PersonNow]:
        """Everybody with a role, by name, with the sign-ins that are good."""
        live = self.sign_ins.list()
        return [
            PersonNow(
                name, one.role, tuple(sign_in for sign_in in live if (sign_in.name, sign_in.mark) == (name, one.mark))
            )
            for name, one in sorted(self._residents().items())
        ]
