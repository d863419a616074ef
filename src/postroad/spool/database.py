"""Opening a shard's database, and refusing to go on when it would not keep its promise (C1).

WAL with ``synchronous=FULL``: WAL/NORMAL, and the rollback journal without EXTRA, both lost acknowledged messages in
simulated power cuts. Both settings are read back, since a PRAGMA that does not apply fails silently.
"""

from __future__ import annotations

import logging
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import apsw

from postroad.errors import SpoolError
from postroad.spool.migration import OLDER, migrate
from postroad.spool.schema import APPLICATION_ID, CREATE, VERSION
from postroad.spool.transitions import code_fits, contains, destination_fits

_LOG: Final = logging.getLogger("postroad.spool")

#: The first release without the race of a WAL reset against a second connection.
MIN_SQLITE: Final = (3, 51, 3)
#: No value in a spool is larger; a damaged length is refused before memory is taken.
_MAX_VALUE_OCTETS: Final = 16 * 1024 * 1024
#: A WAL that grew longer, while a reader held it, is cut when it begins anew.
_MAX_WAL_OCTETS: Final = 64 * 1024 * 1024
_CHECK_SECONDS: Final = 2.0
#: Two connections of one process wait for each other only while the WAL is recovered.
_BUSY_MILLISECONDS: Final = 10_000


#: A reply in JSON as coding.py writes it; inside a text the quotes would be escaped.
_REPLIES: Final = re.compile(r'"reply":\[([0-9]{3}),(?:"([0-9.]+)"|null)')


def check_version(version: str | None = None) -> None:
    """Raise SpoolError when the SQL engine is older than MIN_SQLITE."""
    version = apsw.sqlite_lib_version() if version is None else version
    numbers = tuple(int(part) for part in version.split(".") if part.isdecimal())
    if numbers < MIN_SQLITE:
        wanted = ".".join(map(str, MIN_SQLITE))
        raise SpoolError(f"SQLite {version} may damage a WAL; {wanted} or newer is needed", "upgrade the apsw package")


def open_writer(path: Path, shard: int) -> apsw.Connection:
    """The connection that changes things; creates the tables; raises SpoolError when it must not be used."""
    check_version()
    try:
        connection = apsw.Connection(str(path), statementcachesize=128)
    except apsw.Error as error:
        raise _unusable(path, error) from error
    try:
        _prepare(connection, path, shard)
    except apsw.Error as error:
        connection.close(True)
        raise _unusable(path, error) from error
    except BaseException:
        connection.close(True)
        raise
    return connection


def _prepare(connection: apsw.Connection, path: Path, shard: int) -> None:
    _configure(connection)
    if connection.pragma("journal_mode", "wal") != "wal":
        raise SpoolError(f"{path} does not go into WAL mode", "keep the state on a local disk")
    connection.pragma("synchronous", "full")
    if connection.pragma("journal_mode") != "wal" or connection.pragma("synchronous") != 2:
        raise SpoolError(f"{path} does not commit durably: journal_mode or synchronous does not hold")
    connection.pragma("cache_size", -32 * 1024)
    connection.pragma("journal_size_limit", _MAX_WAL_OCTETS)
    _create(connection, path, shard)
    # What another process, or we before a fault, left in the WAL may never have reached the disk, though it reads
    # well from the kernel's cache: it is written into the database, and synced, before anything comes behind it.
    with suppress(apsw.FullError):
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


def open_reader(path: Path) -> apsw.Connection:
    """A connection that only reads and never checkpoints; raises SpoolError."""
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, statementcachesize=64)
        _configure(connection)
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.pragma("query_only", 1)
    except apsw.Error as error:
        raise _unusable(path, error) from error
    return connection


def quick_check(connection: apsw.Connection, path: Path, seconds: float = _CHECK_SECONDS) -> None:
    """Raise SpoolError when the database is damaged, as far as ``seconds`` of looking tell.

    A spool of hundreds of megabytes takes longer; then the rest is found when it is read, row by row.
    """
    end = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > end, 10_000)
    try:
        found = connection.execute("PRAGMA quick_check(3)").fetchall()
    except apsw.InterruptError:
        _LOG.info("%s is large: checked for %s seconds, no damage found", path, seconds)
        return
    except apsw.Error as error:
        raise _unusable(path, error) from error
    finally:
        connection.set_progress_handler(None)
    if found != [("ok",)]:
        raise SpoolError(
            f"{path} is damaged: " + "; ".join(str(row[0])[:200] for row in found),
            "copy the state folder away, then restore it, or recover the copy with sqlite3's .recover",
        )


def _configure(connection: apsw.Connection) -> None:
    connection.set_busy_timeout(_BUSY_MILLISECONDS)
    connection.limit(apsw.SQLITE_LIMIT_LENGTH, _MAX_VALUE_OCTETS)
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    connection.pragma("trusted_schema", 0)
    connection.pragma("cell_size_check", 1)
    connection.pragma("temp_store", "memory")
    connection.pragma("wal_autocheckpoint", 0)  # the committer decides when
    connection.pragma("fullfsync", 1)  # macOS, where fsync alone does not reach the disk
    connection.pragma("checkpoint_fullfsync", 1)
    connection.create_scalar_function("contains_text", _contains, 2, deterministic=True)
    connection.create_scalar_function("code_fits", _code_fits, 2, deterministic=True)
    connection.create_scalar_function("destination_fits", _destination_fits, 2, deterministic=True)
    connection.create_scalar_function("replies_fit", _replies_fit, 2, deterministic=True)


def _contains(*values: Any) -> bool:
    text, part = values
    return isinstance(text, str) and contains(text, part)


def _code_fits(*values: Any) -> bool:
    pattern, key = values
    return isinstance(key, str) and code_fits(pattern, key)


def _destination_fits(*values: Any) -> bool:
    pattern, destination = values
    return isinstance(destination, str) and destination_fits(pattern, destination)


def _replies_fit(*values: Any) -> bool:
    """Whether the JSON of an attempt's results has a reply that fits a pattern; quicker than reading all of it."""
    pattern, results = values
    return isinstance(results, str) and any(
        code_fits(pattern, " ".join(filter(None, reply))) for reply in _REPLIES.findall(results)
    )


def _create(connection: apsw.Connection, path: Path, shard: int) -> None:
    kind, version = connection.pragma("application_id"), connection.pragma("user_version")
    if version == 0 and not connection.execute("SELECT count(*) FROM sqlite_schema").get:
        with connection:
            connection.execute(CREATE)
            connection.execute("INSERT INTO counter VALUES ('shard', ?)", (shard,))
            connection.pragma("application_id", APPLICATION_ID)
            connection.pragma("user_version", VERSION)
        return
    if kind == APPLICATION_ID and version in OLDER:
        migrate(connection, version)
    check_format(connection, path, shard)


def check_format(connection: apsw.Connection, path: Path, shard: int) -> None:
    """Raise SpoolError when this is no spool of that shard in this program's format."""
    kind, version = connection.pragma("application_id"), connection.pragma("user_version")
    if kind != APPLICATION_ID:
        raise SpoolError(f"{path} is no spool of Postroad", "give another state folder")
    if version in OLDER:
        raise SpoolError(
            f"{path} is of the older format {version}", "start the server once: it brings the spool up to date"
        )
    if version != VERSION:
        raise SpoolError(
            f"{path} is of format {version}, this program reads {VERSION}", "use the release that wrote it"
        )
    if connection.execute("SELECT value FROM counter WHERE name = 'shard'").get != shard:
        raise SpoolError(f"{path} belongs to another shard than {shard}", "put the folder back where it was")


def _unusable(path: Path, error: apsw.Error) -> SpoolError:
    return SpoolError(f"cannot use {path}: {error}", "check its owner and rights, and the disk it is on")
