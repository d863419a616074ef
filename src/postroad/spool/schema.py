"""The tables of a shard, and the SQL that changes them.

A message, its content and its recipients are three tables, so that a listing reads no blobs and settling a recipient
rewrites none; the journal stands apart and outlives them. What each index is for:

recipient_wake   whose turn it is: ``wake`` is when a lease may take the recipient, NULL: never, so that a held or
                 delivered one costs the queue nothing; ``rank`` is the priority, turned round
recipient_site   the same within a destination, to step over destinations that are busy however much waits for them
recipient_cause  who has the same last reply or note; what was never tried costs nothing
recipient_state  the few that are not QUEUED
"""

from __future__ import annotations

from typing import Final

from postroad.envelope import RecipientState

#: "Prd\\n": lets file(1) and us tell a spool from any other database.
APPLICATION_ID: Final = 0x5072640A
VERSION: Final = 2

INDEXES: Final = """
CREATE INDEX recipient_wake ON recipient (rank, wake) WHERE wake IS NOT NULL;
CREATE INDEX recipient_site ON recipient (destination, wake);
CREATE INDEX recipient_cause ON recipient (cause, wake) WHERE cause IS NOT NULL;
CREATE INDEX recipient_state ON recipient (state) WHERE state <> 0;
"""

JOURNAL: Final = """
CREATE TABLE journal (
    line INTEGER PRIMARY KEY,
    start INTEGER NOT NULL,  -- octets of all lines before it
    octets INTEGER NOT NULL,
    message TEXT NOT NULL,
    reverse_path TEXT NOT NULL,
    paths TEXT NOT NULL,     -- JSON: number -> forward-path
    at REAL NOT NULL,
    seconds REAL NOT NULL,
    route TEXT NOT NULL,
    host TEXT NOT NULL,
    results TEXT NOT NULL,   -- JSON
    steps TEXT NOT NULL,     -- JSON
    security TEXT NOT NULL,
    transcript TEXT NOT NULL
) STRICT;
CREATE INDEX journal_message ON journal (message);
"""

CREATE: Final = (
    """
CREATE TABLE message (
    sequence INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    reverse_path TEXT NOT NULL,
    parameters TEXT NOT NULL,
    received_at REAL NOT NULL,
    size INTEGER NOT NULL,   -- octets of prefix and content
    origin TEXT NOT NULL,    -- JSON
    file TEXT,               -- content file; NULL: content.octets
    priority INTEGER NOT NULL DEFAULT 0
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
    rank INTEGER NOT NULL DEFAULT 0,   -- 0 - message.priority
    flags INTEGER NOT NULL DEFAULT 0,  -- EXPIRED, DELAY_TOLD
    cause TEXT,              -- '451 4.7.1' of the reply, else '-' and the note; NULL: nothing to be grouped by
    PRIMARY KEY (message, number)
) STRICT, WITHOUT ROWID;
"""
    + INDEXES
    + JOURNAL
    + """
CREATE TABLE counter (
    name TEXT PRIMARY KEY,   -- 'shard'; 'sequence', 'line': the highest ever given, written when it is deleted
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""
)

#: The number that stands for a state in the tables is its place here.
STATES: Final = (RecipientState.QUEUED, RecipientState.HELD, RecipientState.DELIVERED, RecipientState.FAILED)
QUEUED, HELD, DELIVERED, FAILED = range(4)
STATE_NUMBERS: Final = {state: number for number, state in enumerate(STATES)}

#: Bits of recipient.flags.
EXPIRED, DELAY_TOLD = 1, 2

MESSAGE_COLUMNS: Final = "sequence, id, reverse_path, parameters, received_at, size, origin"
RECIPIENT_COLUMNS: Final = (
    "number, forward_path, destination, parameters, state, attempts, next_due, reply, note, flags"
)
JOURNAL_COLUMNS: Final = "message, reverse_path, paths, at, seconds, route, host, results, steps, security, transcript"

SELECT_MESSAGE: Final = "SELECT " + MESSAGE_COLUMNS + " FROM message WHERE sequence = ?"
SELECT_RECIPIENTS: Final = "SELECT " + RECIPIENT_COLUMNS + " FROM recipient WHERE message = ? ORDER BY number"
SELECT_LEASED: Final = "SELECT " + RECIPIENT_COLUMNS + " FROM recipient WHERE message = ? AND token = ?"
SELECT_IN_STATE: Final = (
    "SELECT " + RECIPIENT_COLUMNS + " FROM recipient WHERE message = ? AND state = ? ORDER BY number"
)
LEND: Final = (
    "UPDATE recipient SET token = ?1, expires = ?2, wake = max(next_due, ?2)"
    " WHERE message = ?3 AND +destination = CAST(?4 AS TEXT) AND +wake <= ?5 RETURNING " + RECIPIENT_COLUMNS
)

TAKE: Final = (
    "UPDATE recipient SET token = ?1, expires = ?2, wake = CASE WHEN state = 0 THEN max(next_due, ?2) END"
    " WHERE message = ?3 AND number = ?4"
)

INSERT_MESSAGE: Final = (
    "INSERT INTO message (sequence, id, reverse_path, parameters, received_at, size, origin, file, priority)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
INSERT_CONTENT: Final = "INSERT INTO content (sequence, prefix, octets, transcript) VALUES (?, ?, ?, ?)"
INSERT_RECIPIENT: Final = (
    "INSERT INTO recipient (message, number, forward_path, destination, parameters, state, attempts, next_due, reply,"
    " note, token, expires, wake, rank) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
INSERT_LINE: Final = (
    "INSERT INTO journal (line, start, octets, "
    + JOURNAL_COLUMNS
    + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
