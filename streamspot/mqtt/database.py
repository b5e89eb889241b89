"""The journal's file: SQLite with a write-ahead log, held by one program at a time.

Who begins is for a moment alone with the file, by SQLite's exclusive lock, and leaves a number in it. SQLite's shared
lock, which an open write-ahead log keeps to the end, stops the next one from doing the same. No other file is needed
for that, and the system lets go of it however a process ends.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from streamspot.errors import SettingsError
from streamspot.files import make_private

_TABLE = (
    "CREATE TABLE event (id INTEGER PRIMARY KEY, time REAL NOT NULL, "
    "delivered INTEGER NOT NULL DEFAULT 0, payload BLOB NOT NULL)"
)
_INSERT = "INSERT INTO event (id, time, payload) VALUES (?, ?, ?)"
_NOTE = "UPDATE event SET delivered = 1 WHERE id BETWEEN ? AND ?"
_BUSY = 0.5
"""Seconds to wait for whoever else uses the file: ``read``, some rows at a time."""
_LONG = 16000
"""Pages of the write-ahead log (64 MiB) after which writing waits some 50 ms for the disk, so that the log begins at
its start again; below 500 events a second it does so by itself."""
_LONGEST = 2**18
"""Bytes of a row; subscribers take events of 64 KiB."""
_STRANGE = (
    "SELECT id FROM event WHERE id NOT BETWEEN 1 AND 1 << 53 OR typeof(time) != 'real' "
    "OR typeof(delivered) != 'integer' OR typeof(payload) != 'blob' OR length(payload) > ? LIMIT 1"
)
"""Finds a row that no stream has written and on which numbering or delivery would fail."""
_REST = (
    "SELECT id, time, payload FROM event WHERE NOT delivered AND id > ? AND length(payload) <= ? ORDER BY id"
)
_KEPT = 3
"""Damaged files that are kept, the newest."""


class DatabaseError(Exception):
    """What SQLite or the system says.

    Attributes:
        damage: Whether the file is damaged.
        full: Whether there is no room.
        busy: Whether another program uses the file just now.
    """

    def __init__(self, error: sqlite3.Error | OSError) -> None:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        self.damage = code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
        self.full = code == sqlite3.SQLITE_FULL or getattr(error, "errno", None) == errno.ENOSPC
        self.busy = code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
        words = error.strerror if isinstance(error, OSError) else str(error)
        # the second: none for the index of the log, after which SQLite does not let go of the file in this process
        no_room = self.full or getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_IOERR_SHMSIZE
        super().__init__("No space left on device" if no_room else words)


class Database:
    """Rows of payloads, numbered upwards; deliveries in that order.

    Args:
        path: Made if missing, with its folder; only its owner may read them.
        durable: Whether a row outlives a power failure as soon as it is appended.

    Attributes:
        queued: Rows that were undelivered when it was opened.
        delivered: Number up to which everything is delivered or dropped.

    Raises:
        SettingsError: Another program holds it.
        DatabaseError: It cannot be used.
    """

    def __init__(self, path: Path, *, durable: bool) -> None:
        self._path = path
        self._names = str(path), f"{path}-wal"
        self._durable = durable
        self._syncing = threading.Lock()
        with contextlib.ExitStack() as stack:
            stack.enter_context(_TRANSLATED)
            make_private(path.parent)
            path.touch(0o600)  # the log beside it gets the same mode
            self._rows = stack.enter_context(contextlib.closing(_connect(path)))
            self._hold()
            self._sync = stack.enter_context(contextlib.closing(_connect(path)))
            self._rows.execute("PRAGMA wal_autocheckpoint = 0")
            self._rows.execute(f"PRAGMA journal_size_limit = {_LONG * 4096}")
            # or the first row after each ``sync`` waits for the disk
            self._rows.execute("PRAGMA synchronous = OFF")
            query = "SELECT coalesce(min(id), 1), coalesce(max(id), 0), coalesce(sum(length(payload)), 0) FROM event"
            self._last: int
            first, self._last, self._bytes = self._one(query)
            query = "SELECT coalesce((SELECT id FROM event WHERE delivered ORDER BY id DESC LIMIT 1), ?)"
            self.delivered = self._noted = self._one(query, first - 1)[0]
            self.queued: int = self._one("SELECT count(*) FROM event WHERE id > ?", self.delivered)[0]
            self._identity = self._stat()
            stack.pop_all()

    def append(self, time: float, payload: bytes) -> int:
        """Write a row; return its number.

        Raises:
            DatabaseError: That is impossible now; every method may raise it.
        """
        row = self._last + 1, time, payload
        with _TRANSLATED:
            if self._durable:
                self._rows.execute("PRAGMA synchronous = FULL")
            if self._noted == self.delivered:
                self._rows.execute(_INSERT, row)
            else:  # one transaction costs little more than half as much as two
                with self._rows:
                    self._rows.execute("BEGIN IMMEDIATE")
                    self._rows.execute(_NOTE, (self._noted + 1, self.delivered))
                    self._rows.execute(_INSERT, row)
                self._noted = self.delivered
        self._last += 1
        self._bytes += len(payload)
        return self._last

    def trim(self, most: int) -> int:
        """Delete the oldest rows, but the newest, while there are more bytes; return how many were undelivered."""
        lost = 0
        if self._bytes <= most:
            return lost
        with _TRANSLATED:
            while self._bytes > most:
                number, size = self._one("SELECT id, length(payload) FROM event ORDER BY id LIMIT 1")
                if number == self._last:
                    break
                self._rows.execute("DELETE FROM event WHERE id = ?", (number,))
                self._bytes -= size
                if number > self.delivered:
                    self.delivered = number
                    lost += 1
        return lost

    def next(self) -> tuple[int, bytes] | None:
        """Return number and payload of the oldest undelivered row, None if there is none."""
        found: tuple[int, bytes] | None = None
        if self.delivered < self._last:
            with _TRANSLATED:
                query = "SELECT id, payload FROM event WHERE id > ? ORDER BY id LIMIT 1"
                found = self._one(query, self.delivered)
        return found

    def deliver(self, number: int) -> None:
        """Note that everything up to a number is delivered; of the last one that is written with the next row."""
        self.delivered = number
        if number > self._noted + 1:
            self.note()

    def note(self) -> None:
        """Write down what is delivered; the system may forget that in a power failure."""
        if self._noted < self.delivered:
            with _TRANSLATED:
                if self._durable:
                    self._rows.execute("PRAGMA synchronous = OFF")
                self._rows.execute(_NOTE, (self._noted + 1, self.delivered))
                self._noted = self.delivered

    def undelivered(self) -> list[tuple[float, bytes]]:
        """Return time and payload of everything undelivered that can be read."""
        return _undelivered(self._rows, self.delivered)

    def sync(self) -> None:
        """Bring everything to the disk; may be called in another thread, trouble shows when appending."""
        with self._syncing, contextlib.suppress(sqlite3.Error):
            pages = self._sync.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
            if pages > _LONG:
                self._sync.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def gone(self) -> bool:
        """Tell whether the file, or the log beside it, has been deleted or replaced."""
        return self._identity != self._stat()

    def replaced(self) -> bool:
        """Tell whether the file itself has been."""
        return self._identity[:1] != self._stat()[:1]

    def close(self) -> None:
        """Bring everything to the disk and let go, once a ``sync`` in another thread has ended."""
        with contextlib.suppress(DatabaseError):
            self.note()
        for connection in (self._sync, self._rows):
            with self._syncing, contextlib.suppress(sqlite3.Error):
                connection.execute("PRAGMA synchronous = FULL")
                connection.close()

    def _hold(self) -> None:
        """Become the only holder."""
        token = secrets.randbelow(2**31)
        rows = self._rows
        try:
            rows.execute("PRAGMA locking_mode = EXCLUSIVE")
            rows.execute("PRAGMA journal_mode = DELETE")  # alone from here on
            if not _is_ours(rows):
                raise SettingsError(f"{self._path} is the database of something else; name another file")
            rows.execute(_TABLE.replace("TABLE", "TABLE IF NOT EXISTS", 1))
            rows.execute(f"PRAGMA user_version = {token}")
            found = self._one("PRAGMA quick_check")[0]
            if found != "ok" or self._one(_STRANGE, _LONGEST // 2) is not None:
                damage = sqlite3.DatabaseError(found)
                damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
                raise damage
            rows.execute("PRAGMA locking_mode = NORMAL")
            rows.execute("PRAGMA journal_mode = WAL")  # others may read, and one may have been quicker
            held = self._one("PRAGMA user_version") != (token,)
        except sqlite3.OperationalError as error:
            if not DatabaseError(error).busy:
                raise
            held = True
        if held:
            raise held_by_another(self._path)

    def _one(self, query: str, *values: object) -> Any:
        return self._rows.execute(query, values).fetchone()

    def _stat(self) -> list[tuple[int, int]]:
        """Return what tells the files from others of their names."""
        found = []
        with contextlib.suppress(OSError):
            for name in self._names:
                state = os.stat(name)  # noqa: PTH116 - before every append, and a Path takes ten times as long
                found.append((state.st_dev, state.st_ino))
        return found


def held_by_another(path: Path) -> SettingsError:
    """Return the error of who finds that another program holds a journal."""
    return SettingsError(f"the journal {path} is held by another streamspot; stop it or name another folder")


def journal_file(place: Path) -> Path:
    """Return the file of a journal that a user names by its folder or by the file itself."""
    return place if place.suffix == ".sqlite" else place / "journal.sqlite"


def read(path: Path, since: float, newest: int | None = None) -> Iterator[bytes]:
    """Yield the payloads of a file, which another program may hold, from a time on or only the newest, oldest first.

    Raises:
        DatabaseError: It cannot be read.
        SettingsError: It is none of ours.
    """
    if path.exists() and not os.access(path.parent, os.W_OK):  # where it cannot write SQLite does not read
        with tempfile.TemporaryDirectory() as folder:
            with _TRANSLATED:
                for one in (path, path.with_name(f"{path.name}-wal")):
                    if one.exists():
                        shutil.copyfile(one, Path(folder, one.name))
            yield from read(Path(folder, path.name), since, newest)
        return
    query = "SELECT id, payload FROM event WHERE id > ? AND time >= ? ORDER BY id LIMIT 100"
    last: int | None = None if newest else 0
    while True:
        # closed soon: whoever begins waits for it
        with _TRANSLATED, contextlib.closing(_connect(path)) as rows:
            if not _is_ours(rows):
                raise SettingsError(f"{path} is the database of something else; name a journal")
            if last is None:
                (last,) = rows.execute("SELECT coalesce(max(id), 0) - ? FROM event", (newest,)).fetchone()
            found = rows.execute(query, (last, since)).fetchall()
        if not found:
            return
        last = found[-1][0]
        yield from (payload for _, payload in found if isinstance(payload, bytes))


def undelivered(path: Path) -> list[tuple[float, bytes]]:
    """Return time and payload of everything undelivered that can be read of a damaged file."""
    with contextlib.suppress(sqlite3.Error), contextlib.closing(_connect(path)) as rows:
        return _undelivered(rows)
    return []


def set_aside(path: Path) -> str:
    """Give a damaged file another name, and return that; nothing if that is impossible."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    target = path.with_name(f"{path.stem}.damaged-{stamp}{path.suffix}")
    with contextlib.suppress(OSError):
        path.replace(target)
    for end in ("-wal", "-shm", "-journal"):
        with contextlib.suppress(OSError):
            path.with_name(path.name + end).replace(f"{target}{end}")
    for old in sorted(path.parent.glob(f"{path.stem}.damaged-*{path.suffix}"))[:-_KEPT]:
        for one in old.parent.glob(f"{old.name}*"):
            one.unlink(missing_ok=True)
    return target.name if target.exists() else ""


def _undelivered(rows: sqlite3.Connection, delivered: int = 0) -> list[tuple[float, bytes]]:
    """Read up to the damage from the one side, and from the other."""
    found: dict[int, tuple[float, bytes]] = {}
    for order in ("ASC", "DESC"):
        with contextlib.suppress(sqlite3.Error):
            for number, time, payload in rows.execute(f"{_REST} {order}", (delivered, _LONGEST // 2)):
                if number in found:
                    break
                if isinstance(payload, bytes) and isinstance(time, float):
                    found[number] = time, payload
    return [found[number] for number in sorted(found)]


def _is_ours(rows: sqlite3.Connection) -> bool:
    """Tell whether a file is empty or holds our table alone: a view or a trigger would run a stranger's program."""
    return rows.execute("SELECT sql FROM sqlite_master LIMIT 2").fetchall() in ([], [(_TABLE,)])


def _connect(path: Path) -> sqlite3.Connection:
    address = f"{path.absolute().as_uri()}?mode=rw"
    rows = sqlite3.connect(address, _BUSY, isolation_level=None, check_same_thread=False, uri=True)
    rows.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
    # pages: by itself it keeps 2 MB, which is memory that grows for an hour
    rows.execute("PRAGMA cache_size = 50")
    return rows


class _Translated:
    """A block in which errors of SQLite and of the system become a DatabaseError; one object serves all blocks."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, sqlite3.Error | OSError):
            raise DatabaseError(error) from None


_TRANSLATED = _Translated()
