"""The tables of a shard, and the SQL that changes them.

A message, its content and its recipients are three tables, so that a listing reads no blobs and settling a recipient
rewrites none. ``wake`` is the one indexed column: when a lease may take the recipient (NULL: never), so that a held or
delivered recipient costs the queue nothing.
"""

from __future__ import annotations

from typing import Final

from postroad.envelope import RecipientState

#: "Prd\\n": lets file(1) and us tell a spool from any other database.
APPLICATION_ID: Final = 0x5072640A
VERSION: Final = 1

CREATE: Final = """
CREATE TABLE message (
    sequence INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    reverse_path TEXT NOT NULL,
    parameters TEXT NOT NULL,
    received_at REAL NOT NULL,
    size INTEGER NOT NULL,   -- octets of prefix and content
    origin TEXT NOT NULL,    -- JSON
    file TEXT                -- content file; NULL: content.octets
) STRICT;
CREATE TABLE content (
    sequence INTEGER PRIMARY KEY,
    prefix BLOB NOT NULL,
    octets BLOB,
    transcript TEXT NOT NULL
) STRICT;
CREATE TABLE recipient (
    message INTEGER NOT NULL,
    number INTEGER NOT NULL,
    forward_path TEXT NOT NULL,
    destination TEXT NOT NULL,
    parameters TEXT NOT NULL,
    state INTEGER NOT NULL,  -- an index into STATES
    attempts INTEGER NOT NULL,
    next_due REAL,
    reply TEXT,              -- JSON
    note TEXT NOT NULL,
    token INTEGER NOT NULL,  -- of the last lease; 0: none
    expires REAL NOT NULL,   -- of the last lease; 0: none
    wake REAL,
    PRIMARY KEY (message, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX recipient_wake ON recipient (wake) WHERE wake IS NOT NULL;
CREATE TABLE attempt (
    message INTEGER NOT NULL,
    line INTEGER NOT NULL,
    at REAL NOT NULL,
    seconds REAL NOT NULL,
    route TEXT NOT NULL,
    host TEXT NOT NULL,
    results TEXT NOT NULL,   -- JSON
    transcript TEXT NOT NULL,
    PRIMARY KEY (message, line)
) STRICT, WITHOUT ROWID;
CREATE TABLE counter (
    name TEXT PRIMARY KEY,   -- 'shard'; 'sequence': the highest ever given, written when its message is deleted
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""

#: The number that stands for a state in the tables is its place here.
STATES: Final = (RecipientState.QUEUED, RecipientState.HELD, RecipientState.DELIVERED, RecipientState.FAILED)
QUEUED, HELD, DELIVERED, FAILED = range(4)
STATE_NUMBERS: Final = {state: number for number, state in enumerate(STATES)}

MESSAGE_COLUMNS: Final = "sequence, id, reverse_path, parameters, received_at, size, origin"
RECIPIENT_COLUMNS: Final = "number, forward_path, destination, parameters, state, attempts, next_due, reply, note"

SELECT_MESSAGE: Final = "SELECT " + MESSAGE_COLUMNS + " FROM message WHERE sequence = ?"
SELECT_RECIPIENTS: Final = "SELECT " + RECIPIENT_COLUMNS + " FROM recipient WHERE message = ? ORDER BY number"
SELECT_LEASED: Final = "SELECT " + RECIPIENT_COLUMNS + " FROM recipient WHERE message = ? AND token = ?"
SELECT_HELD: Final = "SELECT " + RECIPIENT_COLUMNS + " FROM recipient WHERE message = ? AND state = 1 ORDER BY number"
LEND: Final = (
    "UPDATE recipient SET token = ?1, expires = ?2, wake = max(next_due, ?2)"
    " WHERE message = ?3 AND destination = CAST(?4 AS TEXT) AND wake <= ?5 RETURNING " + RECIPIENT_COLUMNS
)

INSERT_MESSAGE: Final = (
    "INSERT INTO message (sequence, id, reverse_path, parameters, received_at, size, origin, file)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
INSERT_CONTENT: Final = "INSERT INTO content (sequence, prefix, octets, transcript) VALUES (?, ?, ?, ?)"
INSERT_RECIPIENT: Final = (
    "INSERT INTO recipient (message, number, forward_path, destination, parameters, state, attempts, next_due, reply,"
    " note, token, expires, wake) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
INSERT_ATTEMPT: Final = (
    "INSERT INTO attempt (message, line, at, seconds, route, host, results, transcript) VALUES"
    " (?1, (SELECT coalesce(max(line), 0) + 1 FROM attempt WHERE message = ?1), ?2, ?3, ?4, ?5, ?6, ?7)"
)

_MATCHING: Final = """
SELECT m.sequence FROM message AS m
WHERE m.sequence > :after AND m.sequence < :before
AND (:reverse_path = '' OR (:reverse_path_ascii AND instr(lower(m.reverse_path), :reverse_path))
    OR (NOT :reverse_path_ascii AND contains_text(m.reverse_path, :reverse_path)))
AND (:anyone OR EXISTS (
    SELECT 1 FROM recipient AS r WHERE r.message = m.sequence
    AND (:state IS NULL OR r.state = :state)
    AND (:to = '' OR (:to_ascii AND instr(lower(r.forward_path), :to))
        OR (NOT :to_ascii AND contains_text(r.forward_path, :to)))
    AND (:destination = '' OR (:destination_ascii AND instr(lower(r.destination), :destination))
        OR (NOT :destination_ascii AND contains_text(r.destination, :destination)))))
"""
MATCHING_NEWEST_FIRST: Final = _MATCHING + "ORDER BY m.sequence DESC LIMIT :limit"
MATCHING_OLDEST_FIRST: Final = _MATCHING + "ORDER BY m.sequence LIMIT :limit"
