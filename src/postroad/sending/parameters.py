"""``KEY=VALUE`` as a person writes it: put on the command it belongs to, checked before anything is said.

What Postroad knows is checked by its own reading of the RFC. ``mail:KEY=VALUE`` and ``rcpt:KEY=VALUE`` go out as they
are, announced or not, to see what a host makes of them: only the grammar of RFC 5321 section 4.1.2 is held to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, Final

from postroad.errors import ParameterSyntaxError, PostroadError
from postroad.smtp.fitting import WISHES
from postroad.smtp.parameters import ExtensionSet, Given, OnRefusal, Parameter
from postroad.smtp.states import Verb

#: esmtp-keyword and esmtp-value of RFC 5321 section 4.1.2.
_KEYWORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*+\Z")
_VALUE: Final = re.compile(r"[!-<>-~]++\Z")
_FORCED: Final = {"mail": Verb.MAIL, "rcpt": Verb.RCPT}


class ParameterError(PostroadError):
    """A parameter that cannot be sent: which, why, and what there is."""


def place(words: Iterable[str], known: ExtensionSet = WISHES) -> tuple[Given, Given]:
    """The parameters of MAIL and of RCPT; raises ParameterError for one that is unknown, malformed or given twice."""
    placed: dict[Verb, dict[Parameter[Any], Any]] = {Verb.MAIL: {}, Verb.RCPT: {}}
    for word in words:
        parameter, value = _read(word, known)
        values = placed[parameter.command]
        if any(other.keyword == parameter.keyword for other in values):
            raise ParameterError(f"{parameter.keyword} is given twice", "a command takes each parameter once")
        values[parameter] = value
    mail, rcpt = Given(placed[Verb.MAIL]), Given(placed[Verb.RCPT])
    for extension in known.extensions:
        if extension.check is not None and (refusal := extension.check(mail)) is not None:
            raise ParameterError(refusal.text)
    return mail, rcpt


def _read(word: str, known: ExtensionSet) -> tuple[Parameter[Any], Any]:
    key, separator, text = word.partition("=")
    value = text if separator else None
    where, colon, rest = key.partition(":")
    if colon and where.lower() in _FORCED:
        return _forced(_FORCED[where.lower()], rest, value)
    keyword = key.upper()
    found = known.find(Verb.MAIL, keyword) or known.find(Verb.RCPT, keyword)
    if found is None:
        raise ParameterError(f"no parameter {key[:40]!r} is known", _hint(keyword, known))
    try:
        return found[1], found[1].parse(value)
    except ParameterSyntaxError as fault:
        raise ParameterError(
            f"{keyword}: not {(value or 'without a value')[:80]!r}", f"write {fault.message}"
        ) from fault


def _hint(keyword: str, known: ExtensionSet) -> str:
    names = sorted(p.keyword for e in known.extensions for p in e.parameters)
    names = list(dict.fromkeys(names))
    near = get_close_matches(keyword, names, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    return f"{meant}known are: {', '.join(names)}; mail:KEY=VALUE or rcpt:KEY=VALUE sends any other as it is"


def _forced(verb: Verb, keyword: str, value: str | None) -> tuple[Parameter[Any], str | None]:
    if _KEYWORD.match(keyword) is None:
        raise ParameterError(f"no keyword: {keyword[:40]!r}", "letters, digits and hyphens (RFC 5321 section 4.1.2)")
    if value is not None and _VALUE.match(value) is None:
        raise ParameterError(
            f"{keyword[:40]}: no value: {value[:40]!r}", "printable ASCII without space and = (RFC 5321 section 4.1.2)"
        )
    return _raw(verb, keyword.upper()), value


def _as_it_is(text: str | None) -> str | None:
    return text


def _raw(verb: Verb, keyword: str) -> Parameter[Any]:
    return Parameter(
        keyword=keyword,
        command=verb,
        parse=_as_it_is,
        encode=_as_it_is,
        on_refusal=OnRefusal.OMIT,
        octets=len(keyword) + 2,
        forced=True,
    )
