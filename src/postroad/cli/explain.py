"""``postroad explain``: what a reply, a code, a keyword or a whole transcript means, and what to do."""

from __future__ import annotations

import sys
from pathlib import Path

import click

import postroad
from postroad.cli.columns import as_document
from postroad.cli.explanation import Explanation
from postroad.cli.language import chosen
from postroad.cli.outcome import Exit, Failure
from postroad.cli.screen import screen
from postroad.observe.printable import printable
from postroad.replies.catalogue import catalogue
from postroad.replies.documents import Document
from postroad.replies.explaining import Explainer
from postroad.replies.understanding import MAX_TEXT


@click.command("explain")
@click.argument("what", nargs=-1)
@click.option("--lang", metavar="LANG", help="en, ja, de …; else POSTROAD_LANG, then the locale.")
@click.option("--command", "command", metavar="VERB", default="", help="The command that was answered, such as RCPT.")
@click.option("--provider", metavar="NAME", default="", help="Who said it, such as gmail.")
@click.option("--short", is_flag=True, help="Two lines for each.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document (postroad.explanation/1).")
@click.option("--markdown", is_flag=True, help="Markdown.")
@click.option("--schema", is_flag=True, help="The JSON Schema of what --json prints.")
@click.option("--colour", "--color", type=click.Choice(["auto", "always", "never"]), default="auto", show_default=True)
def explain_command(
    what: tuple[str, ...],
    lang: str | None,
    command: str,
    provider: str,
    short: bool,
    as_json: bool,
    markdown: bool,
    schema: bool,
    colour: str,
) -> int:
    """Explain a code (455), an enhanced status (4.7.1), a reply, an EHLO keyword or a verb.

    With `-`, or nothing and something piped in, the text comes from standard input: a reply, a line of a log or of a
    bounce, or a transcript, in which each reply is explained.
    """
    if schema:
        print((Path(postroad.__file__).parent / "reference" / "schemas" / "reference.json").read_text("utf-8"))
        return Exit.OK
    known = catalogue()
    language = chosen(lang, known.languages)
    explainer = Explainer(known, language)
    words = list(what)
    if words in ([], ["-"]):
        found = explainer.explain(_standard_input(bool(words)), command=command.upper(), provider=provider)
    else:
        found = explainer.explain_words(words, command=command.upper(), provider=provider)
    if as_json:
        print(as_document(found))
    elif markdown:
        from postroad.reference.markdown import explanation

        text = explanation(found, known.vocabulary(language))
        print("\n".join(map(printable, text.split("\n"))))
    else:
        _show(Explanation(screen(colour), known.vocabulary(language)), found, short)
    return Exit.DATA if all(item["kind"] == "nothing" for item in found["items"]) else Exit.OK


def _show(out: Explanation, found: Document, short: bool) -> None:
    for number, item in enumerate(found["items"]):
        if number:
            out.screen.add()
        out.item(item, short)
    print(out.screen.text())


def _standard_input(asked: bool) -> str:
    if sys.stdin is None or sys.stdin.closed or (sys.stdin.isatty() and not asked):
        raise Failure(Exit.USAGE, "nothing to explain", "postroad explain 455, or pipe a reply or a transcript in")
    return sys.stdin.buffer.read(MAX_TEXT).decode("utf-8", "replace")
