"""``postroad``: finds the verb, runs it, and turns how it ended into words on standard error and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from io import TextIOWrapper
from typing import Final

import click

from postroad.cli.outcome import Exit, report, report_bug, say
from postroad.errors import PostroadError

#: Verb -> where it lives, and what the overview says; a verb's file is imported only when it is run.
VERBS: Final[dict[str, tuple[str, str]]] = {
    "serve": ("postroad.cli.serve", "Run the server; without --config a developer's inbox."),
    "send": ("postroad.cli.send", "Send a mail and see the dialogue, every refusal explained."),
    "diagnose": ("postroad.cli.diagnose", "Look at a mail server or a domain: no 220? what else, and what now."),
    "queue": ("postroad.cli.queue", "What waits, why, and what is to become of it."),
    "log": ("postroad.cli.log", "What was tried and what came of it; -f follows."),
    "inbox": ("postroad.cli.inbox", "List, show, wait for and clear the mail that was caught."),
    "chaos": ("postroad.cli.chaos", "Answer any reply code on demand (dev mode)."),
    "conditions": ("postroad.cli.conditions", "Which parameters are refused just now (455), and why."),
    "config": ("postroad.cli.config", "Check, show and explain the settings file."),
    "user": ("postroad.cli.user", "Passwords for [[user]] tables."),
    "token": ("postroad.cli.token", "Tokens with which programs use the API."),
    "bounce": ("postroad.cli.bounce", "Mail that came back: whom it names, why, and what to do."),
    "explain": ("postroad.cli.explain", "What a reply, a code or a transcript means, and what to do."),
    "compare": ("postroad.cli.compare", "Two reply codes side by side."),
    "reference": ("postroad.cli.reference", "The pages on every reply code, as a static site."),
    "status": ("postroad.cli.status", "How the running server is."),
    "version": ("postroad.cli.version", "Which release this is."),
}


class Verbs(click.Group):
    """A group whose commands are imported one by one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb's file; its command is `VERB_command`."""
        if cmd_name not in VERBS:
            return None
        found = getattr(import_module(VERBS[cmd_name][0]), f"{cmd_name}_command")
        return found if isinstance(found, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the verb that was likely meant."""
        if args and not args[0].startswith("-") and args[0] not in VERBS:
            near = get_close_matches(args[0], VERBS, n=1)
            raise click.UsageError(f"no verb `{args[0]}`" + (f", did you mean `{near[0]}`?" if near else ""), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The overview, from the table alone."""
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, summary) for verb, (_, summary) in VERBS.items()])


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def postroad() -> None:
    """An SMTP server, relay and client whose every reply explains itself."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit code of the table in ``outcome``."""
    _say_what_can_be_said()
    try:
        code = _run(list(arguments) if arguments is not None else sys.argv[1:])
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # who read us has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return Exit.OK


def _say_what_can_be_said() -> None:
    """A letter that the terminal's encoding lacks, or half of one from the command line, becomes `?`; never a fault."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def _run(arguments: list[str]) -> int:
    try:
        if arguments == ["--version"]:
            arguments = ["version"]
        ended = postroad.main(arguments or ["--help"], prog_name="postroad", standalone_mode=False)
        return ended if isinstance(ended, int) else Exit.OK
    except click.UsageError as fault:
        return _report_usage(fault)
    except click.ClickException as fault:
        say("error", fault.format_message())
        return Exit.USAGE
    except (click.Abort, KeyboardInterrupt):
        say("error", "interrupted")
        return Exit.INTERRUPTED
    except PostroadError as fault:
        return report(fault)
    except SystemExit as fault:  # click's way of saying that nobody reads any more
        raise BrokenPipeError from fault
    except BrokenPipeError:
        raise
    except Exception as fault:
        return report_bug(fault)


def _report_usage(fault: click.UsageError) -> Exit:
    message = fault.format_message().rstrip(".")
    path = fault.ctx.command_path if fault.ctx is not None else "postroad"
    say("error", message[:1].lower() + message[1:], f"{path} --help")
    return Exit.USAGE
