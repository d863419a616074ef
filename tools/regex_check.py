r"""Can this regular expression backtrack? A heuristic on Python's own parse of it.

It finds the two shapes that cost more than linear time on hostile text: a repetition within a repetition, and two
long repetitions behind each other that can share characters. A possessive quantifier (`a*+`) or an atomic group
(`(?>…)`) gives nothing back.

Beware of a possessive quantifier behind a group: before Python 3.11.5 (Debian 12 has 3.11.2), `(?:\.a++)*+` swallows the
dot of ".b", because a failed turn of the group does not go back to its beginning. `(?>(?:\.a++)*)` is right everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

#: A repetition that may be this long counts as endless.
LONG = 50
ALPHABET = frozenset([*range(256), 0x100, 0x3000, 0xFF10, 0x10FFFF])
CATEGORIES = {
    op.CATEGORY_DIGIT: r"\d",
    op.CATEGORY_NOT_DIGIT: r"\D",
    op.CATEGORY_SPACE: r"\s",
    op.CATEGORY_NOT_SPACE: r"\S",
    op.CATEGORY_WORD: r"\w",
    op.CATEGORY_NOT_WORD: r"\W",
}

Item = tuple[Any, Any]


def faults(pattern: str | bytes, flags: int = 0) -> list[str]:
    """What protocol code may not have in a pattern: `\\d`, `$`, and anything that can backtrack."""
    tree = parser.parse(pattern, flags)
    found = []
    for code, argument in walk(tree):
        if code is op.AT and argument is op.AT_END:
            found.append(r"$ also matches before a final newline: write \Z")
        if code is op.IN and (op.CATEGORY, op.CATEGORY_DIGIT) in argument:
            found.append(r"\d also matches other scripts' digits: write [0-9]")
    if any(nested(item) for item in walk(tree)):
        found.append("a repetition within a repetition can backtrack: make the inner one possessive (*+, ++) or atomic")
    if any(overlapping(sequence) for sequence in sequences(tree)):
        found.append("two long repetitions share characters and can backtrack: make the first one possessive or atomic")
    return list(dict.fromkeys(found))


def broken(pattern: str | bytes, flags: int = 0) -> list[str]:
    """What the oldest Pythons we support get wrong: a possessive group whose turn can fail midway."""
    for code, argument in walk(parser.parse(pattern, flags)):
        if code is op.POSSESSIVE_REPEAT and not is_simple_turn(argument[2]):
            return [
                "a possessive group with more than characters in it matches too much before 3.11.5: write (?>(?:…)*)"
            ]
    return []


def is_simple_turn(body: Sequence[Item]) -> bool:
    """Only characters, or alternatives of only characters: those Pythons get them right."""
    if len(body) == 1 and body[0][0] is op.SUBPATTERN:
        return is_simple_turn(body[0][1][3])
    if len(body) == 1 and body[0][0] is op.BRANCH:
        return all(map(is_characters, bodies(body[0])))
    return is_characters(body)


def is_characters(body: Sequence[Item]) -> bool:
    return all(
        code in (op.LITERAL, op.NOT_LITERAL, op.IN, op.ANY) or (code is op.SUBPATTERN and is_characters(argument[3]))
        for code, argument in body
    )


def walk(tree: Sequence[Item]) -> Iterator[Item]:
    for item in tree:
        yield item
        for inner in bodies(item):
            yield from walk(inner)


def sequences(tree: Sequence[Item]) -> Iterator[Sequence[Item]]:
    yield tree
    for item in tree:
        for inner in bodies(item):
            yield from sequences(inner)


def bodies(item: Item) -> list[Sequence[Item]]:
    """The sequences within one item."""
    code, argument = item
    if code in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
        return [argument[2]]
    if code is op.SUBPATTERN:
        return [argument[3]]
    if code is op.ATOMIC_GROUP:
        return [argument]
    if code is op.BRANCH:
        return list(argument[1])
    if code in (op.ASSERT, op.ASSERT_NOT):
        return [argument[1]]
    if code is op.GROUPREF_EXISTS:
        return [body for body in argument[1:] if body]
    return []


def gives_back(item: Item) -> bool:
    return item[0] in (op.MAX_REPEAT, op.MIN_REPEAT)


def is_long(item: Item) -> bool:
    return gives_back(item) and item[1][1] >= LONG


def nested(item: Item) -> bool:
    return is_long(item) and any(varies(inner) for inner in yielding(item[1][2]))


def varies(item: Item) -> bool:
    return gives_back(item) and item[1][1] > 1 and item[1][0] != item[1][1]


def yielding(tree: Sequence[Item]) -> Iterator[Item]:
    """Like walk, but not into what never gives back."""
    for item in tree:
        yield item
        if item[0] not in (op.POSSESSIVE_REPEAT, op.ATOMIC_GROUP):
            for inner in bodies(item):
                yield from yielding(inner)


def overlapping(sequence: Sequence[Item]) -> bool:
    flat = list(flatten(sequence))
    for position, item in enumerate(flat):
        if not is_long(item):
            continue
        own = characters(item[1][2])
        for following in flat[position + 1 :]:
            if following[0] in (op.AT, op.ASSERT, op.ASSERT_NOT):
                continue
            shared = own & characters([following])
            if shared and (is_long(following) or (following[0] is op.POSSESSIVE_REPEAT and following[1][1] >= LONG)):
                return True
            if not shared and not may_be_empty(following):
                break
    return False


def flatten(sequence: Sequence[Item]) -> Iterator[Item]:
    """Groups that are only brackets do not hide what stands beside them."""
    for item in sequence:
        if item[0] is op.SUBPATTERN:
            yield from flatten(item[1][3])
        else:
            yield item


def may_be_empty(item: Item) -> bool:
    code, argument = item
    if code in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
        return argument[0] == 0 or all(map(may_be_empty, argument[2]))
    if code is op.BRANCH:
        return any(all(map(may_be_empty, body)) for body in argument[1])
    if code in (op.SUBPATTERN, op.ATOMIC_GROUP):
        return all(map(may_be_empty, bodies(item)[0]))
    return code in (op.AT, op.ASSERT, op.ASSERT_NOT, op.GROUPREF)


def characters(tree: Sequence[Item]) -> frozenset[int]:
    """All characters of the sample alphabet that can occur in a match."""
    found: set[int] = set()
    for code, argument in walk(tree):
        if code is op.LITERAL:
            found.add(argument)
        elif code is op.NOT_LITERAL:
            found |= ALPHABET - {argument}
        elif code is op.ANY or code is op.GROUPREF:
            found |= ALPHABET
        elif code is op.IN:
            found |= members(argument)
    return frozenset(found)


def members(members: Sequence[Item]) -> frozenset[int]:
    found: set[int] = set()
    for code, argument in members:
        if code is op.LITERAL:
            found.add(argument)
        elif code is op.RANGE:
            found |= {each for each in ALPHABET if argument[0] <= each <= argument[1]}
        elif code is op.CATEGORY:
            found |= {each for each in ALPHABET if re.match(CATEGORIES[argument], chr(each))}
    negated = members[0][0] is op.NEGATE
    return frozenset(ALPHABET - found if negated else found)
