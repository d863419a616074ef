"""What ``postroad explain`` does with a mail or a log that is piped in: it hands over, and says what it took it for."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO, Final

from postroad.cli.columns import as_document
from postroad.cli.outcome import Exit
from postroad.diagnosis.recognising import as_mail, kind_of
from postroad.replies.catalogue import catalogue

BLOCK: Final = 1 << 18
_GROUPS: Final = 20


def say_kind(kind: str, language: str) -> None:
    """On standard error, so that what is read by programs stays as it is."""
    print(catalogue().texts("bounces", language)["took"][kind], file=sys.stderr)


def explain_piped(head: bytes, rest: BinaryIO, language: str, as_json: bool, colour: str) -> int | None:
    """Explain a mail or a log whose first octets are ``head``; None for what is to be explained reply by reply."""
    match kind_of(head):
        case "mail":
            return _mail(head, rest, language, as_json, colour)
        case "log":
            return _log(head, rest, language, as_json, colour)
        case "transcript":
            say_kind("transcript", language)
    return None


def _mail(head: bytes, rest: BinaryIO, language: str, as_json: bool, colour: str) -> int:
    from postroad.cli.bounce_shown import BounceScreen
    from postroad.cli.screen import screen
    from postroad.diagnosis.bounce_document import BounceExplainer
    from postroad.diagnosis.bounce_mail import MAX_OCTETS
    from postroad.diagnosis.bounces import read_bounce

    octets = as_mail(head + rest.read(max(MAX_OCTETS + 1 - len(head), 0)))
    explainer = BounceExplainer(catalogue(), language)
    document = explainer.document(read_bounce(octets))
    say_kind("mail" if document["kind"] == "other" else document["kind"], language)
    if as_json:
        print(as_document(document))
    else:
        out = BounceScreen(screen(colour), explainer.words)
        out.message(document)
        print(out.screen.text())
    return Exit.DATA if document["form"] == "mail" else Exit.OK


def _log(head: bytes, rest: BinaryIO, language: str, as_json: bool, colour: str) -> int:
    from postroad.cli.log_shown import LogScreen
    from postroad.cli.screen import screen
    from postroad.diagnosis.logs import explain_log

    say_kind("log", language)
    known = catalogue()
    document = explain_log(chain((head,), _blocks(rest)), language=language, limit=_GROUPS)
    if as_json:
        print(as_document(document))
        return Exit.OK
    out = LogScreen(screen(colour), known.texts("logs", language), known.vocabulary(language)["commands"])
    out.head("-", document)
    for group in document["groups"]:
        out.group(group)
    out.rest(document["rest"])
    print(out.screen.text())
    return Exit.OK


def _blocks(source: BinaryIO) -> Iterator[bytes]:
    while block := source.read(BLOCK):
        yield block
