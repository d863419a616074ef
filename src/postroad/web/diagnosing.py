"""Diagnoses as jobs: begun, followed as they go on, kept for a while. The API and the pages share them.

At most MAX_RUNNING run at once. Where strangers might reach us, only public addresses and the ports of mail are dialled;
a way that the settings name is the operator's own, and is looked at wherever it leads.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from postroad.errors import NotFound
from postroad.web.problems import Refusal, words

if TYPE_CHECKING:
    from postroad.diagnosis.diagnosing import Diagnosis, Progress
    from postroad.diagnosis.telling import Teller

MAX_RUNNING: Final = 4
#: Jobs that are remembered, and events of one of them.
MAX_KEPT: Final = 20
_MAX_EVENTS: Final = 5_000
_MAIL_PORTS: Final = (25, 465, 587, 2525)


@dataclass(slots=True, eq=False)
class Job:
    """One diagnosis, under way or over."""

    id: str
    target: str
    wishes: Mapping[str, Any] = field(default_factory=dict)
    """The keywords of ``diagnose`` that were asked for."""
    trusted: bool = False
    """It looks at a way that the settings name."""
    began_at: float = 0.0
    """Seconds since the epoch."""
    about: str = ""
    """The destination for whose sake it is made; ``""``: none is known."""
    events: list[Progress] = field(default_factory=list)
    diagnosis: Diagnosis | None = None
    fault: str = ""
    task: asyncio.Task[None] | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def state(self) -> str:
        """``running``, ``done`` or ``failed``."""
        if self.diagnosis is not None:
            return "done"
        return "failed" if self.fault else "running"

    def hear(self, progress: Progress) -> None:
        """One more event."""
        if len(self.events) < _MAX_EVENTS:
            self.events.append(progress)
        self.wake()

    def wake(self) -> None:
        """Whoever follows looks again."""
        self.changed.set()
        self.changed = asyncio.Event()


class Diagnoses:
    """All jobs of an application; ``near``: only the operator can reach us."""

    def __init__(self, *, near: bool) -> None:
        self.near = near
        self._jobs: OrderedDict[str, Job] = OrderedDict()

    @property
    def jobs(self) -> list[Job]:
        """Those that are remembered, the newest first."""
        return list(reversed(self._jobs.values()))

    @property
    def running(self) -> int:
        """How many are under way."""
        return sum(job.state == "running" for job in self._jobs.values())

    def begin(self, target: str, wishes: Mapping[str, Any], *, trusted: bool = False, about: str = "") -> Job:
        """Start a job with the keywords of ``diagnose``; ``trusted``: the settings name this target.

        Raises Refusal for what is not dialled from here and while too many are under way, and what ``diagnose`` raises
        before it begins.
        """
        wishes = dict(wishes)
        bound = {} if trusted or self.near else self._bound(target, wishes)
        if self.running >= MAX_RUNNING:
            raise Refusal(429, f"{MAX_RUNNING} diagnoses are under way", "wait for one of them, or DELETE it")
        job = Job(secrets.token_hex(8), target, wishes, trusted, time.time(), about)
        run = _runner(job, {**wishes, **bound})
        self._jobs[job.id] = job
        self._forget_old()
        job.task = asyncio.get_running_loop().create_task(run)
        return job

    def job(self, name: str) -> Job:
        """The job with this id; raises NotFound."""
        job = self._jobs.get(name)
        if job is None:
            raise NotFound("there is no such diagnosis", "it may have been forgotten; POST /api/v1/diagnose begins one")
        return job

    def end(self, name: str) -> None:
        """End a job and forget it; raises NotFound."""
        job = self.job(name)
        del self._jobs[job.id]
        if job.task is not None:
            job.task.cancel()
        job.fault = job.fault or "ended on demand"
        job.wake()

    def close(self) -> None:
        """End all jobs, and the streams that follow them: the server stops."""
        for job in self._jobs.values():
            if job.state == "running":
                job.fault = "the server stops"
                if job.task is not None:
                    job.task.cancel()
            job.wake()

    def _bound(self, target: str, wishes: Mapping[str, Any]) -> dict[str, Any]:
        """What is asked for on top, so that nobody makes us dial what is near; raises Refusal, TargetError."""
        from postroad.delivery.dialling import Dialling
        from postroad.diagnosis.targets import read_target

        port = read_target(target).port or wishes.get("port", 25)
        if port not in _MAIL_PORTS:
            ports = ", ".join(map(str, _MAIL_PORTS))
            raise Refusal(
                403, f"port {port} is not looked at from here", f"only {ports}; `postroad diagnose` has no such bound"
            )
        return {"objection": Dialling().objection}

    def _forget_old(self) -> None:
        for name in [job.id for job in self._jobs.values() if job.state != "running"]:
            if len(self._jobs) <= MAX_KEPT:
                return
            del self._jobs[name]


def _runner(job: Job, wishes: dict[str, Any]) -> Coroutine[Any, Any, None]:
    """The work, once what was asked for has been checked; raises what ``diagnose`` raises before it begins."""
    from postroad.diagnosis.diagnosing import Diagnosing, Inquiry
    from postroad.diagnosis.targets import read_target

    diagnosing = Diagnosing(read_target(job.target), Inquiry(**wishes, listener=job.hear))

    async def run() -> None:
        try:
            job.diagnosis = await diagnosing.run()
        except asyncio.CancelledError:
            job.fault = job.fault or "ended"
            raise
        except Exception as fault:  # a bug: told by an incident id, the rest is in the log
            job.fault = words(fault)[0]
        finally:
            job.wake()

    return run()


def teller(language: str) -> Teller:
    """Who says what was found, in one language; its texts are read when they are first asked for."""
    from postroad.diagnosis.telling import Teller

    return Teller(language)
