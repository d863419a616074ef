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
from postroad.replies.catalogue import Catalogue, catalogue
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

    With `-`, or nothing and something piped in, the text comes from standard input: a reply, a transcript, in which
    each reply is explained, a mail that came back (as `postroad bounce explain`), or a log (as `postroad log explain`).
    """
    if schema:
        print((Path(postroad.__file__).parent / "reference" / "schemas" / "reference.json").read_text("utf-8"))
        return Exit.OK
    known = catalogue()
    language = chosen(lang, known.languages)
    explainer = Explainer(known, language)
    asked = {"command": command.upper(), "provider": provider}
    if what in ((), ("-",)):
        head = _standard_input(bool(what))
        if b"\n" in head.strip() and not markdown:  # one line is a reply, or has one
            from postroad.cli.explain_piped import explain_piped

            ended = explain_piped(head, sys.stdin.buffer, language, as_json, colour)
            if ended is not None:
                return ended
        found = explainer.explain(head.decode("utf-8", "replace"), **asked)
    else:
        found = explainer.explain_words(list(what), **asked)
    _say(found, known, language, as_json, markdown, short, colour)
    return Exit.DATA if all(item["kind"] == "nothing" for item in found["items"]) else Exit.OK


def _say(
    found: Document, known: Catalogue, language: str, as_json: bool, markdown: bool, short: bool, colour: str
) -> None:
    if as_json:
        print(as_document(found))
    elif markdown:
        from postroad.reference.markdown import explanation

        text = explanation(found, known.vocabulary(language))
        print("\n".join(map(printable, text.split("\n"))))
    else:
        _show(Explanation(screen(colour), known.vocabulary(language)), found, short)


def _show(out: Explanation, found: Document, short: bool) -> None:
    for number, item in enumerate(found["items"]):
        if number:
            out.screen.add()
        out.item(item, short)
    print(out.screen.text())


def _standard_input(asked: bool) -> bytes:
    if sys.stdin is None or sys.stdin.closed or (sys.stdin.isatty() and not asked):
        raise Failure(Exit.USAGE, "nothing to explain", "postroad explain 455, or pipe a reply or a transcript in")
    return sys.stdin.buffer.read(MAX_TEXT)
