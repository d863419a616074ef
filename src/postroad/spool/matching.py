"""Which messages and recipients a query means, found by whichever index leaves the fewest to look at.

Conditions are put together from fixed parts of SQL; what the query says goes into bindings only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal

import apsw

from postroad.envelope import MessageId, RecipientState, StoredMessage
from postroad.errors import NotFound, SpoolError
from postroad.spool.ids import MESSAGE_ID
from postroad.spool.interface import AgeGroup, Ages, MessageQuery, QueueGroup
from postroad.spool.rows import load_message, report
from postroad.spool.schema import QUEUED, STATE_NUMBERS
from postroad.spool.transitions import code_fits, destination_fits

_NO_BOUND: Final = (1 << 63) - 1
#: An index that leaves more recipients than this to look at is no help.
_SELECTIVE: Final = 20_000
#: Values that a pattern may stand for; with more, every recipient is looked at.
_VALUES: Final = 2_000
_LOOKED_AT: Final = 20_000

_DISTINCT: Final = """
WITH RECURSIVE each(value) AS (
    SELECT min({0}) FROM recipient WHERE {0} >= :low AND {0} < :high
    UNION ALL
    SELECT (SELECT min({0}) FROM recipient WHERE {0} > each.value AND {0} < :high) FROM each WHERE each.value IS NOT NULL
)
SELECT CAST(value AS BLOB) FROM each WHERE value IS NOT NULL LIMIT :limit
"""
_DESTINATIONS: Final = _DISTINCT.format("destination")
_CAUSES: Final = _DISTINCT.format("cause")
#: Behind every text there is, since a blob sorts behind texts.
_END: Final = b""

_KEYS: Final = {
    "destination": "r.destination",
    "reply": "CASE WHEN r.reply IS NOT NULL THEN r.cause WHEN r.note <> '' THEN '-' || substr(r.note, 1, 200) END",
}
_GROUPS: Final = "SELECT {0} AS key, count(*) AS many, min(r.wake), min(r.message) FROM {1} GROUP BY key"
_LARGEST: Final = (
    'SELECT CAST(key AS BLOB), many, "min(r.wake)", (SELECT received_at FROM message WHERE sequence = "min(r.message)")'
    " FROM ({0}) WHERE key IS NOT NULL"
    " ORDER BY many DESC, CASE WHEN :notes AND key LIKE '-%' THEN substr(key, 2) ELSE key END LIMIT :limit"
)


#: Characters of an id are ASCII, so that ``~`` stands behind all that may follow the part.
_IDS: Final = """
SELECT CAST(id AS BLOB) AS octets FROM (
    SELECT id FROM message WHERE id >= :part AND id < :part || '~'
    UNION SELECT message FROM journal WHERE message >= :part AND message < :part || '~'
    UNION SELECT id FROM message WHERE substr(id, -:octets) = :part
    UNION SELECT message FROM journal WHERE substr(message, -:octets) = :part
) ORDER BY octets LIMIT :limit
"""


@dataclass(slots=True)
class _Conditions:
    """SQL of a query: about messages ``m``, about recipients ``r``, and which of the latter an index answers."""

    messages: list[str] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    indexed: list[tuple[str, str]] = field(default_factory=list)
    bindings: dict[str, Any] = field(default_factory=dict)

    def text(self, column: str, name: str, part: str) -> str:
        """``part`` somewhere in a column; SQLite's lower() knows ASCII only, other text goes to our own function."""
        self.bindings[name] = part.lower() if part.isascii() else part
        return f"instr(lower({column}), :{name})" if part.isascii() else f"contains_text({column}, :{name})"

    def among(self, column: str, name: str, values: list[str]) -> str:
        """One of the values."""
        names = [f"{name}{number}" for number in range(len(values))]
        self.bindings.update(zip(names, values, strict=True))
        return f"{column} IN ({', '.join(':' + one for one in names)})"

    def driver(self, connection: apsw.Connection) -> tuple[str, str] | None:
        """The index, and its condition, that leaves the fewest recipients to look at."""
        best, fewest = None, _SELECTIVE
        for index, condition in self.indexed:
            # sql: names of indexes and parts of conditions stand in this file
            some = f"SELECT 1 FROM recipient AS r INDEXED BY {index} WHERE {condition} LIMIT {_SELECTIVE}"
            # sql: only what was put together above
            found = connection.execute(f"SELECT count(*) FROM ({some})", self.bindings).get
            if found < fewest:
                best, fewest = (index, condition), found
        return best


def _conditions(connection: apsw.Connection, query: MessageQuery) -> _Conditions | None:
    """None: nothing can match."""
    made = _Conditions()
    _about_messages(made, query)
    if query.state is not None:
        number = STATE_NUMBERS[query.state]
        made.recipients.append(f"+r.state = {number}")
        if number == QUEUED:
            made.indexed.append(("recipient_wake", "r.wake IS NOT NULL"))  # which nobody else has
        else:
            made.indexed.append(("recipient_state", f"r.state = {number} AND r.state <> 0"))
    if query.numbers:
        made.recipients.append(f"r.number IN ({', '.join(map(str, map(int, query.numbers)))})")
    if query.to:
        made.recipients.append(made.text("r.forward_path", "to", query.to))
    if query.note:
        made.recipients.append(made.text("r.note", "note", query.note))
    if query.destination:
        pattern = query.destination
        values = _values(connection, _DESTINATIONS, ("", _END), partial(destination_fits, pattern))
        if values is None:
            made.bindings["destination"] = pattern
            made.recipients.append("destination_fits(:destination, r.destination)")
        elif not _indexed(made, "destination", "recipient_site", values):
            return None
    if query.code:
        values = _values(connection, _CAUSES, ("2", "6"), partial(code_fits, query.code))
        if values is None:
            made.bindings["code"] = query.code
            made.recipients.append("r.reply IS NOT NULL AND code_fits(:code, r.cause)")
        elif not _indexed(made, "cause", "recipient_cause", values):
            return None
    return made


def _about_messages(made: _Conditions, query: MessageQuery) -> None:
    made.bindings |= {"after": query.after, "before": query.before or _NO_BOUND}
    made.messages.append("m.sequence > :after AND m.sequence < :before")
    if query.reverse_path:
        made.messages.append(made.text("m.reverse_path", "reverse_path", query.reverse_path))
    if query.received_before is not None:
        made.bindings["received_before"] = query.received_before
        made.messages.append("m.received_at < :received_before")


def _indexed(made: _Conditions, column: str, index: str, values: list[str]) -> bool:
    condition = made.among(f"r.{column}", column, values)
    made.recipients.append("+" + condition)
    made.indexed.append((index, condition))
    return bool(values)


def _values(
    connection: apsw.Connection, text: str, bounds: tuple[str, str | bytes], fits: Callable[[str], bool]
) -> list[str] | None:
    """The values of a column that fit, found by stepping through its index; None: too many."""
    found: list[str] = []
    bindings = {"low": bounds[0], "high": bounds[1], "limit": _LOOKED_AT + 1}
    for looked_at, (value,) in enumerate(connection.execute(text, bindings)):
        name = value.decode("utf-8", "replace")
        if fits(name):
            found.append(name)
        if looked_at >= _LOOKED_AT or len(found) > _VALUES:
            return None
    return found


def matching(connection: apsw.Connection, query: MessageQuery) -> list[int]:
    """Keys of messages that match, in the order asked for."""
    made = _conditions(connection, query)
    if made is None:
        return []
    where = list(made.messages)
    driver = made.driver(connection)
    if query.ids:
        where.append(_ids(connection, made, query))
    if driver is not None:
        index, condition = driver
        where.append(f"m.sequence IN (SELECT r.message FROM recipient AS r INDEXED BY {index} WHERE {condition})")
    if made.recipients:
        asked = " AND ".join(made.recipients)
        where.append(f"EXISTS (SELECT 1 FROM recipient AS r WHERE r.message = m.sequence AND {asked})")
    direction = "ASC" if query.oldest_first else "DESC"
    conditions = " AND ".join(where)
    # sql: parts of conditions stand in this file
    text = f"SELECT m.sequence FROM message AS m WHERE {conditions} ORDER BY m.sequence {direction} LIMIT :limit"
    made.bindings["limit"] = max(query.limit, 0)
    return [row[0] for row in connection.execute(text, made.bindings)]


def _ids(connection: apsw.Connection, made: _Conditions, query: MessageQuery) -> str:
    """A condition for the messages that have these ids; their keys are numbers, so that they may stand in the text."""
    keys: list[int] = []
    for message_id in query.ids:
        keys += [row[0] for row in connection.execute("SELECT sequence FROM message WHERE id = ?", (message_id,))]
    return f"m.sequence IN ({', '.join(map(str, keys))})"


def find_ids(connection: apsw.Connection, part: str, limit: int) -> list[MessageId]:
    """Ids of messages and of journal lines that begin or end with ``part``, each once, in order."""
    if MESSAGE_ID.match(part) is None or limit <= 0:
        return []
    found: list[tuple[Any, ...]] = connection.execute(
        _IDS, {"part": part, "octets": len(part), "limit": limit}
    ).fetchall()
    return [MessageId(row[0].decode("ascii", "replace")) for row in found]


def list_messages(connection: apsw.Connection, query: MessageQuery) -> list[StoredMessage]:
    """Messages that match; what cannot be read is left out and reported, never raised."""
    found: list[StoredMessage] = []
    for sequence in matching(connection, query):
        try:
            found.append(load_message(connection, sequence))
        except (SpoolError, NotFound) as error:
            report(error)
    return found


def summary(
    connection: apsw.Connection,
    by: Literal["destination", "reply"],
    query: MessageQuery,
    limit: int,
    postponed: Mapping[str, float],
) -> list[QueueGroup]:
    """Recipients that match, in groups, the largest first."""
    text, bindings = _grouping(connection, by, query)
    if not text:
        return []
    bindings |= {"limit": max(limit, 0), "notes": by == "reply"}
    groups: list[QueueGroup] = []
    # sql: parts of it stand in this file
    for key, many, wake, oldest in connection.execute(_LARGEST.format(text), bindings):
        name = key.decode("utf-8", "replace")
        if by == "reply":
            name = name.removeprefix("-")
        elif wake is not None:
            wake = max(wake, postponed.get(name, wake))
        groups.append(QueueGroup(name, many, oldest or 0.0, wake))
    return groups


def ages(connection: apsw.Connection, query: MessageQuery, moments: Sequence[float], limit: int) -> Ages:
    """Recipients that match by destination and age, the largest destination first."""
    number = len(moments)
    text, bindings = _scope(connection, query)
    if not text:
        return Ages(AgeGroup("", 0, (0,) * number), 0, ())
    bindings |= {f"moment{index}": moment for index, moment in enumerate(moments)}
    bindings["limit"] = max(limit, 0)
    counts = "".join(f", total(m.received_at < :moment{index}) AS c{index}" for index in range(number))
    sums = "".join(f", total(c{index})" for index in range(number))
    each = "".join(f", c{index}" for index in range(number))
    # sql: the same
    grouped = f"SELECT r.destination AS key, count(*) AS many{counts} FROM {text} GROUP BY key"
    asked = (
        f"WITH each AS MATERIALIZED ({grouped}) SELECT NULL, count(*), total(many){sums} FROM each UNION ALL SELECT * FROM"
        f" (SELECT CAST(key AS BLOB), 1, many{each} FROM each ORDER BY many DESC, key LIMIT :limit)"
    )
    # sql: parts of conditions stand in this file
    rows: list[tuple[Any, ...]] = connection.execute(asked, bindings).fetchall()
    _, destinations, *whole = rows[0]
    largest = [_age_group(key.decode("utf-8", "replace"), found) for key, _, *found in rows[1:]]
    return Ages(_age_group("", whole), int(destinations), tuple(largest))


def _age_group(key: str, found: Sequence[float]) -> AgeGroup:
    return AgeGroup(key, int(found[0]), tuple(int(one) for one in found[1:]))


def _grouping(connection: apsw.Connection, by: str, query: MessageQuery) -> tuple[str, dict[str, Any]]:
    """The SELECT of the groups, in no order, with its bindings; ``""``: there are none."""
    whole = MessageQuery(state=query.state, limit=query.limit, oldest_first=query.oldest_first)
    if query == whole and query.state in (None, RecipientState.QUEUED):
        # What is asked most often is answered by one index alone.
        index = "recipient_site" if by == "destination" else "recipient_cause"
        column = "r.destination" if by == "destination" else "r.cause"
        from_ = f"recipient AS r INDEXED BY {index} WHERE r.wake IS NOT NULL AND {column} IS NOT NULL"
        return _GROUPS.format(column, from_), {}
    text, bindings = _scope(connection, query)
    return (_GROUPS.format(_KEYS[by], text), bindings) if text else ("", {})


def _scope(connection: apsw.Connection, query: MessageQuery) -> tuple[str, dict[str, Any]]:
    """What follows FROM for the recipients ``r`` that match and their messages ``m``, with its bindings; ``""``: none."""
    made = _conditions(connection, query)
    if made is None:
        return "", {}
    if query.state is None:
        made.recipients.append("+r.state = 0")
    where = made.messages + made.recipients
    driver = made.driver(connection)
    indexed = ""
    if query.ids:
        where.append(_ids(connection, made, query))
    elif driver is not None:
        indexed = f" INDEXED BY {driver[0]}"
        where.append(driver[1])
    tables = f"recipient AS r{indexed} CROSS JOIN message AS m ON m.sequence = r.message"
    if query.ids:
        tables = "message AS m CROSS JOIN recipient AS r ON r.message = m.sequence"
    return f"{tables} WHERE {' AND '.join(where)}", made.bindings
