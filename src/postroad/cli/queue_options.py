"""What the verbs of the queue share: filters, language, and the words in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import click

from postroad.cli.arguments import seconds
from postroad.cli.language import chosen
from postroad.replies.catalogue import catalogue
from postroad.replies.waiting import Waiting

F = TypeVar("F", bound=Callable[..., Any])

#: Option of the command line -> name in the API.
FILTERS: Final = ("to", "from", "destination", "code", "reason", "state", "older")


@dataclass(frozen=True, slots=True)
class Speech:
    """The words of one language, with this machine's clock."""

    language: str
    words: Mapping[str, Mapping[str, str]]
    waiting: Waiting


def speech(option: str | None) -> Speech:
    """The language that the option, or the surroundings, ask for; raises Failure."""
    known = catalogue()
    language = chosen(option, known.languages)
    words = known.texts("queue", language)
    return Speech(language, words, Waiting(words, known.vocabulary(language), clock, between))


def clock(stamp: str, now: datetime | None = None) -> str:
    """A moment of the API on this machine's clock: the time alone when it is today's."""
    try:
        moment = datetime.fromisoformat(stamp).astimezone()
    except ValueError:
        return stamp
    today = (now or datetime.now(UTC)).astimezone().date()
    return moment.strftime("%H:%M" if moment.date() == today else "%Y-%m-%d %H:%M")


def between(begin: str, end: str) -> float:
    """Seconds from one moment of the API to another; 0 for what is none."""
    try:
        return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()
    except (ValueError, TypeError):
        return 0.0


def plain_number(value: float) -> str:
    """A number of seconds as the API reads it: all of its digits, no exponent."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def filters(command: F) -> F:
    """The filters; the verb gets them as ``fields``, by the API's names."""
    import functools

    @functools.wraps(command)
    def with_fields(*args: Any, **options: Any) -> Any:
        given = {name: options.pop(f"filter_{name}") for name in FILTERS}
        fields = {name: plain_number(value) if name == "older" else value for name, value in given.items() if value}
        return command(*args, fields=fields, **options)

    for option in reversed(
        (
            click.option("--to", "filter_to", default="", help="The recipient holds this: kana@, @example.net."),
            click.option("--from", "filter_from", default="", help="The sender holds this."),
            click.option(
                "--destination",
                "filter_destination",
                default="",
                help="The recipient's domain: example.net, '*.example.net'.",
            ),
            click.option("--code", "filter_code", default="", help="The last reply's code: 451, '4*', '4.7.*'."),
            click.option(
                "--reason", "filter_reason", default="", help="Why it was refused: greylisted, rate-limited, …"
            ),
            click.option(
                "--state", "filter_state", default="", help="queued, deferred, held, delivered, failed; with commas."
            ),
            click.option("--older", "filter_older", type=seconds, help="Received longer ago than this: 90s, 2h, 3d."),
        )
    ):
        with_fields = option(with_fields)
    return with_fields  # type: ignore[return-value]


def language_option(command: F) -> F:
    """``--lang``."""
    return click.option("--lang", metavar="LANG", help="en, ja; else POSTROAD_LANG, then the locale.")(command)


def schema_option(command: F) -> F:
    """``--schema``: the forms of what --json prints."""
    return click.option(
        "--schema",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_print_schema,
        help="The JSON Schema of what --json prints.",
    )(command)


def _print_schema(context: click.Context, parameter: click.Parameter, asked: bool) -> None:
    if asked:
        from pathlib import Path

        import postroad

        click.echo((Path(postroad.__file__).parent / "reference" / "schemas" / "queue.json").read_text("utf-8"))
        context.exit()
