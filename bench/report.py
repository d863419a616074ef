"""Rows of one run to Markdown: medians, ratios to each peer of the same run, and what was promised."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

Row = dict[str, Any]
OURS = ("postroad-none", "postroad-sqlite")


@dataclass(frozen=True, slots=True)
class Goal:
    """What was promised: less than the floor is a fault, the aim is ambitious."""

    floor: float | None
    aim: float
    at_most: bool = False

    def words(self, value: float) -> list[str]:
        """Floor and aim, each with what became of it."""
        return [_judged(self.floor, value, self.at_most), _judged(self.aim, value, self.at_most)]


def _judged(goal: float | None, value: float, at_most: bool) -> str:
    if goal is None:
        return ""
    reached = value <= goal if at_most else value >= goal
    return f"{'≤ ' if at_most else ''}{goal:,g} {'reached' if reached else '**missed**'}"


DURABLE = Goal(3_500, 6_000)
#: (server, kept connections) -> messages a second of its CPU.
RATES = {
    ("postroad-none", True): Goal(8_000, 15_000),
    ("postroad-none", False): Goal(None, 7_000),
    ("postroad-sqlite", True): DURABLE,
    ("postroad-sqlite", False): DURABLE,
}
#: Milliseconds at the 95th percentile: pages of the reference, and those that look at a full queue.
READING = Goal(None, 20, at_most=True)
LOOKING = Goal(None, 150, at_most=True)
#: KB that a first visit loads.
FIRST_VISIT = Goal(None, 100, at_most=True)
#: TLS -> KiB for each idle connection.
IDLE = {False: Goal(None, 4, at_most=True), True: Goal(None, 32, at_most=True)}


def report(rows: list[Row], titles: dict[str, str]) -> str:
    """All tables for which there are rows."""
    parts = [
        _throughput(rows, titles),
        _relay(rows, titles),
        _backlog(rows),
        _backlog_goals(rows),
        _idle(rows, titles),
        _greeting(rows, titles),
        _logs(rows),
        _pages(rows),
        _noise(rows),
    ]
    return "\n\n".join(part for part in parts if part)


def _throughput(rows: list[Row], titles: dict[str, str]) -> str:
    mine = [row for row in rows if row["figure"] == "throughput"]
    peers = [name for name in titles if name not in OURS and any(row["server"] == name for row in mine)]
    header = [
        "connections", "server", "messages / CPU s", "least – most", "messages / s",
        *(f"x {name}" for name in peers), "floor", "aim",
    ]  # fmt: skip
    lines: list[list[str]] = []
    for kept, sessions in dict.fromkeys((row["kept"], row["sessions"]) for row in mine):
        here = [row for row in mine if (row["kept"], row["sessions"]) == (kept, sessions)]
        rate = {name: median(_of(here, name, per_cpu)) for name in titles if _of(here, name, per_cpu)}
        for name, value in rate.items():
            spread = _of(here, name, per_cpu)
            ratios = [f"{value / rate[peer]:.2f}" if name in OURS and peer in rate else "" for peer in peers]
            goal = RATES.get((name, kept))
            lines.append([
                f"{sessions}, {'kept' if kept else 'one a message'}", titles[name], f"{value:,.0f}",
                f"{min(spread):,.0f} – {max(spread):,.0f}", f"{median(_of(here, name, per_wall)):,.0f}",
                *ratios, *(goal.words(value) if goal else ["", ""]),
            ])  # fmt: skip
    return _table("Messages of 5 KB for each second of the server's CPU", header, lines)


#: Times Postfix's rate.
RELAY: Final = Goal(2.5, 6)


def _relay(rows: list[Row], titles: dict[str, str]) -> str:
    mine = [row for row in rows if row["figure"] == "relay"]
    header = ["connections", "server", "messages / s", "least – most", "CPU s / 1,000", "x Postfix", "floor", "aim"]
    lines: list[list[str]] = []
    for kept, sessions in dict.fromkeys((row["kept"], row["sessions"]) for row in mine):
        here = [row for row in mine if (row["kept"], row["sessions"]) == (kept, sessions)]
        rate = {name: median(_of(here, name, per_wall)) for name in titles if _of(here, name, per_wall)}
        for name, value in rate.items():
            spread = _of(here, name, per_wall)
            ratio = value / rate["postfix-relay"] if name == "postroad-relay" and "postfix-relay" in rate else None
            lines.append([
                f"{sessions}, {'kept' if kept else 'one a message'}", titles[name], f"{value:,.0f}",
                f"{min(spread):,.0f} – {max(spread):,.0f}", f"{1000 / median(_of(here, name, per_cpu)):.2f}",
                *([f"{ratio:.2f}", *RELAY.words(ratio)] if ratio is not None else ["", "", ""]),
            ])  # fmt: skip
    return _table("Relayed messages of 5 KB, until the last has arrived", header, lines)


#: Times the seconds without the dead half; times the memory with a tenth of the messages; ms of CPU, the command's and
#: the server's.
DEAD_HALF: Final = Goal(1.3, 1.1, at_most=True)
MEMORY: Final = Goal(3, 1.5, at_most=True)
LOOK: Final = Goal(200, 150, at_most=True)
_RUNS: Final = {
    "alone": "the living half alone",
    "whole": "with the dead half",
    "tenth": "a tenth of it, dead half too",
    "rest": "all of it, nothing due",
}


def _backlog(rows: list[Row]) -> str:
    header = ["", "messages", "delivered", "seconds", "messages / s", "CPU s / 1,000", "most memory, MiB"]
    lines = []
    destinations = 0
    for run, mine in _backlog_runs(rows).items():
        first, destinations = mine[0], mine[0]["destinations"]
        here = first["messages"] // 2 if run == "alone" else first["messages"]
        delivered = first.get("delivered", 0)
        done = [""] * 4
        if delivered:
            wall, cpu = _median(mine, "wall"), _median(mine, "server_cpu")
            done = [f"{delivered:,}", f"{wall:.1f}", f"{delivered / wall:,.0f}", f"{1000 * cpu / delivered:.2f}"]
        lines.append([_RUNS[run], f"{here:,}", *done, f"{_median(mine, 'peak') / 2**20:.0f}"])
    return _table(f"A backlog for {destinations:,} destinations, half of them dead", header, lines)


def _backlog_goals(rows: list[Row]) -> str:
    """What was promised of it, as far as there are rows."""
    runs = _backlog_runs(rows)
    lines: list[list[str]] = []
    if "alone" in runs and "whole" in runs:
        ratio = _median(runs["whole"], "wall") / _median(runs["alone"], "wall")
        lines.append(["seconds with the dead half, x without", f"{ratio:.2f}", *DEAD_HALF.words(ratio)])
        undisturbed = {
            run: median(row["wall"] - row["without_core"] for row in runs[run]) for run in ("alone", "whole")
        }
        ratio = undisturbed["whole"] / undisturbed["alone"]
        lines.append(["the same, but for its waiting for a core", f"{ratio:.2f}", *DEAD_HALF.words(ratio)])
        ratio = _median(runs["whole"], "server_cpu") / _median(runs["alone"], "server_cpu")
        lines.append(["the same, CPU of the server", f"{ratio:.2f}", "", ""])
    for run, when in (("rest", "nothing due"), ("whole", "the living half gone")):
        for word in ("list", "why"):
            if run in runs:
                value = 1000 * _median(runs[run], f"{word}_cpu")
                lines.append([f"`queue {word}`, {when}, ms of CPU", f"{value:.0f}", *LOOK.words(value)])
    if "whole" in runs and "tenth" in runs:
        ratio = _median(runs["whole"], "peak") / _median(runs["tenth"], "peak")
        lines.append(["most memory, x that with a tenth", f"{ratio:.2f}", *MEMORY.words(ratio)])
    return _table("A backlog: what was promised", ["", "", "floor", "aim"], lines)


def _backlog_runs(rows: list[Row]) -> dict[str, list[Row]]:
    mine = [row for row in rows if row["figure"] == "backlog"]
    return {run: found for run in _RUNS if (found := [row for row in mine if row["run"] == run])}


def _median(rows: list[Row], key: str) -> float:
    return float(median(row[key] for row in rows))


def per_cpu(row: Row) -> float:
    return float(row["messages"] / row["server_cpu"])


def per_wall(row: Row) -> float:
    return float(row["messages"] / row["wall"])


def _idle(rows: list[Row], titles: dict[str, str]) -> str:
    mine = [row for row in rows if row["figure"] == "idle"]
    lines: list[list[str]] = []
    for tls, name in dict.fromkeys((row["tls"], row["server"]) for row in mine):
        here = [row for row in mine if row["tls"] == tls]
        value = median(_of(here, name, _kib))
        goal = IDLE[tls] if name in OURS else None
        words = goal.words(value) if goal else ["", ""]
        held = f"{here[0]['connections']:,}"
        lines.append(["STARTTLS" if tls else "plain", titles[name], held, f"{value:.1f}", words[1]])
    return _table(
        "Memory of an idle connection, greeted, EHLO said", ["", "server", "connections", "KiB each", "aim"], lines
    )


def _kib(row: Row) -> float:
    return float(row["octets"] / 1024)


def _greeting(rows: list[Row], titles: dict[str, str]) -> str:
    mine = [row for row in rows if row["figure"] == "greeting"]
    lines = [
        [titles[name], *(f"{median(_of(mine, name, _milliseconds(key))):.3f}" for key in ("p50", "p99"))]
        for name in dict.fromkeys(row["server"] for row in mine)
    ]
    return _table("From connect to the 220, one client at a time", ["server", "p50 ms", "p99 ms"], lines)


def _milliseconds(key: str) -> Callable[[Row], float]:
    return lambda row: float(row[key] * 1e3)


#: Megabytes of a Postfix log for each second of CPU.
LOGS: Final = Goal(None, 15)


def _logs(rows: list[Row]) -> str:
    mine = [row for row in rows if row["figure"] == "logs"]
    lines: list[list[str]] = []
    for size in dict.fromkeys(row["size"] for row in mine):
        here = [row for row in mine if row["size"] == size]
        rates = [row["octets"] / 1e6 / row["cpu"] for row in here]
        peak = max(row["peak"] for row in here) / 1e6
        lines.append([
            f"{size:,} MB", f"{here[0]['lines']:,}", f"{median(rates):.0f}", f"{min(rates):.0f} – {max(rates):.0f}",
            f"{peak:.0f}", LOGS.words(median(rates))[1],
        ])  # fmt: skip
    header = ["Postfix log", "lines", "MB / CPU s", "least – most", "peak MB", "aim"]
    return _table("A log explained (`postroad log explain`)", header, lines)


def _pages(rows: list[Row]) -> str:
    lines = []
    for row in (row for row in rows if row["figure"] == "pages"):
        goal = READING if "/codes" in row["path"] or "/compare" in row["path"] else LOOKING
        p50, p95, size = row["p50"] * 1000, row["p95"] * 1000, row["octets"] / 1000
        judged = (goal.words(p95)[1], FIRST_VISIT.words(size)[1]) if row["path"] != "/livez" else ("", "")
        cpu = f"{row['server_cpu'] * 1000:.1f}"
        lines.append([f"`{row['path']}`", f"{p50:.1f}", f"{p95:.1f}", judged[0], cpu, f"{size:.0f}", judged[1]])
    header = ["page", "p50, ms", "p95, ms", "aim", "server's CPU, ms", "first visit, KB", "aim"]
    queued = next((f"{row['messages']:,}" for row in rows if row["figure"] == "pages"), "")
    return _table(f"Pages, {queued} messages queued", header, lines) if lines else ""


def _noise(rows: list[Row]) -> str:
    """Who measures beside other work should know it."""
    cores = [row["other_cpu"] / row["wall"] for row in rows if row.get("other_cpu") is not None]
    if not cores or median(cores) < 0.1:
        return ""
    return (
        f"Other work took {median(cores):.1f} cores meanwhile (most: {max(cores):.1f}): trust ratios more than rates."
    )


def _of(rows: Iterable[Row], name: str, figure: Callable[[Row], float]) -> list[float]:
    return [figure(row) for row in rows if row["server"] == name]


def _table(title: str, header: list[str], lines: list[list[str]]) -> str:
    if not lines:
        return ""
    cells = [header, *lines]
    widths = [max(len(line[column]) for line in cells) for column in range(len(header))]
    written = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    written.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join([f"## {title}", "", *written])
