"""``postroad status``: how the running server is; ``--ready`` for health checks."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from postroad.cli.client import Server, server_options
from postroad.cli.columns import as_document, octets, span
from postroad.cli.outcome import Exit
from postroad.observe.printable import printable


@click.command("status")
@click.option("--ready", is_flag=True, help="Exit code 75 when no mail is taken now.")
@server_options
def status_command(ready: bool, server: Server, as_json: bool) -> int:
    """Say what the running server is, how it is, and what it keeps."""
    status = server.get("/status")
    click.echo(as_document(status) if as_json else printable_status(status))
    return Exit.TRY_AGAIN if ready and not status["ready"] else Exit.OK


def printable_status(status: dict[str, Any]) -> str:
    """The status in lines."""
    up = (datetime.fromisoformat(status["now"]) - datetime.fromisoformat(status["started_at"])).total_seconds()
    state = "ready" if status["ready"] else f"not taking mail: {status['why']}"
    lines = [
        f"{status['hostname']}  postroad {status['version']}, {status['mode']} mode, up {span(up)}",
        f"state     {state}",
    ]
    for listener in status["listeners"]:
        address = f"[{listener['host']}]" if ":" in listener["host"] else listener["host"]
        lines.append(f"listens   {listener['name']} {address}:{listener['port']}, TLS {listener['tls']}")
    keep = f" (the newest {status['keep']} are kept)" if status["keep"] is not None else ""
    lines.append(f"keeps     {status['messages']} messages, {octets(status['octets'])}{keep}")
    recipients = ", ".join(f"{count} {name}" for name, count in status["recipients"].items() if count)
    lines.append(f"          recipients: {recipients or 'none'}")
    lines.append(f"sessions  {status['sessions']} since the start")
    return "\n".join(map(printable, lines))
