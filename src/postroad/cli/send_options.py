"""The options of ``postroad send``, as one decorator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from postroad.cli.arguments import seconds

F = TypeVar("F", bound=Callable[..., Any])

TLS: Final = ("auto", "never", "opportunistic", "require", "verify", "implicit")
STAGES: Final = ("connect", "ehlo", "tls", "auth", "mail", "rcpt", "data")
_FILE: Final = click.Path(path_type=Path)

_OPTIONS: Final = (
    # where to
    click.option("--server", metavar="HOST[:PORT]", default="", help="Send here; else by MX of each recipient's domain."),
    click.option("--via", metavar="ROUTE", default="", help="The same as the settings write it: smtp:HOST:PORT, mx."),
    click.option("--socket", metavar="PATH", default="", help="A UNIX socket that speaks LMTP."),
    click.option("--lmtp", is_flag=True, help="Speak LMTP."),
    click.option("-4", "ipv4", is_flag=True, help="Only IPv4."),
    click.option("-6", "ipv6", is_flag=True, help="Only IPv6."),
    click.option("--source", metavar="ADDRESS", default="", help="Connect from this IP address."),
    # who
    click.option("--from", "sender", metavar="ADDRESS", help="The sender; `<>` is the null reverse-path."),
    click.option("--to", metavar="ADDRESS", multiple=True, help="A recipient, or several with commas; repeatable."),
    click.option("--cc", metavar="ADDRESS", multiple=True, help="The same, named in the Cc field."),
    click.option("--bcc", metavar="ADDRESS", multiple=True, help="The same, named nowhere in the message."),
    # what
    click.option("--data", metavar="FILE|-", help="The whole message, from a file or standard input."),
    click.option("--subject", metavar="TEXT", help="Subject of a message that is made here."),
    click.option("--body", metavar="TEXT", help="Its text."),
    click.option("--header", metavar="'NAME: VALUE'", multiple=True, help="A field of its header; repeatable."),
    click.option("--attach", metavar="FILE", multiple=True, type=_FILE, help="Attach a file; repeatable."),
    # how
    click.option("--param", metavar="KEY=VALUE", multiple=True, help="RET=HDRS, NOTIFY=NEVER …; mail:X=1 goes as it is."),
    click.option("--no-adapt", is_flag=True, help="Leave nothing out when a parameter is refused."),
    click.option("--retry", metavar="FOR", type=seconds, default=0.0, help="Try again on temporary results: 10m, 2h."),
    click.option("--retry-pause", type=seconds, default=5.0, metavar="TIME", help="Before the second try; then doubled."),
    click.option("--quit-after", type=click.Choice(STAGES), help="Send nothing, end there."),
    click.option("--ehlo", metavar="NAME", default="", help="Our name; else this machine's."),
    click.option("--timeout", metavar="TIME", type=seconds, help="For each wait; else as RFC 5321 says (minutes)."),
    click.option("--pipeline/--no-pipeline", default=True, help="Several commands at once where that is offered."),
    click.option("--bdat", is_flag=True, help="Content by BDAT where CHUNKING is offered."),
    click.option("--tls", type=click.Choice(TLS), default="auto", show_default=True),
    click.option("--tls-ca", type=_FILE, metavar="FILE", help="Trust the authorities in this PEM file."),
    click.option("--auth", "user", metavar="USER", default="", help="Log in. Password: POSTROAD_PASSWORD, file or prompt."),
    click.option("--password-file", metavar="FILE", help="The password is the first line of this file, `-` is stdin."),
    click.option("--auth-mechanism", metavar="NAME", default="", help="PLAIN or LOGIN."),
    # what is shown
    click.option("--json", "as_json", is_flag=True, help="One JSON document (postroad.send/1) and no dialogue."),
    click.option("--schema", is_flag=True, help="The JSON Schema of what --json prints."),
    click.option("-q", "--quiet", is_flag=True, help="Only what went wrong."),
    click.option("--lang", metavar="LANG", help="en, ja …; else POSTROAD_LANG, then the locale."),
    click.option("--colour", "--color", type=click.Choice(["auto", "always", "never"]), default="auto", show_default=True),
)  # fmt: skip


def send_options(command: F) -> F:
    """All of them; the command gets them by name."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
