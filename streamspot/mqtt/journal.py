"""The journal: every event is on disk before it is published, and stays until the broker has it.

An SQLite database, one row an event. Killing the process at any instant loses nothing that was appended and repeats
at most two events. A power failure may cost what was appended since the last ``sync``.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from streamspot.errors import SettingsError
from streamspot.mqtt import database
from streamspot.mqtt.database import Database, DatabaseError, held_by_another, journal_file

_RETRY = 0.5
"""Seconds after which a database that could not be opened is tried again."""


class Journal:
    """Payloads in order, each kept until it is delivered and, as long as there is room, afterwards.

    Use it as a context manager, from one thread; one program at a time may hold a journal. While the disk is full
    or the file has gone, payloads wait in memory, ``error`` says so, and they are written once that is possible. A
    database that is damaged or was deleted is begun anew with what can still be read of it.

    Args:
        place: Folder of ``journal.sqlite``, made if missing, or a file that ends in ``.sqlite``.
        max_bytes: Size of all payloads together; beyond it the oldest goes, delivered or not.
        max_memory: Payloads kept in memory while they cannot be written; beyond it the oldest goes.
        fsync: Seconds between two ``sync``; 0 makes each payload outlive a power failure once it is appended, and
            delivers nothing that could not be written.

    Attributes:
        queued: Payloads not yet delivered.
        lost: Payloads dropped undelivered, by one of the bounds or by damage.
        error: What is wrong now, one sentence, or empty.
        messages: What has happened to the file, oldest first; emptied by whoever shows them.

    Raises:
        SettingsError: The journal cannot be used, or another program holds it (on entering).
    """

    def __init__(
        self,
        place: Path,
        *,
        max_bytes: int = 64 * 2**20,
        max_memory: int = 10_000,
        fsync: float = 1.0,
    ) -> None:
        self.queued = 0
        self.lost = 0
        self.error = ""
        self.messages: deque[str] = deque(maxlen=20)
        self._path = journal_file(place)
        self._max_bytes = max_bytes
        self._max_memory = max_memory
        self._fsync = fsync
        self._memory: deque[tuple[float, bytes]] = deque()  # time and payload of what is not on disk yet
        self._head: tuple[int, bytes] | None = (
            None  # what was last peeked; its number is 0 if it is in memory
        )
        self._file: Database | None = None
        self._dirty = False  # something was written since the last sync
        self._synced = self._tried = 0.0

    def __enter__(self) -> Self:
        try:
            self._open()
        except DatabaseError as error:
            if error.busy:  # it was quicker, while we opened the file
                raise held_by_another(self._path) from None
            if not error.full:
                raise SettingsError(
                    f"the journal {self._path} cannot be used ({error}); mend that or name another folder"
                ) from None
            self._wait(error)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._flush()
        if self._file is not None:
            self._file.close()

    def append(self, payload: bytes, time: float = 0.0) -> None:
        """Write a payload; afterwards a killed process loses nothing of it.

        Args:
            payload: What is to be delivered.
            time: Seconds since 1970, by which ``read`` chooses.
        """
        if self.queued or self._fsync == 0:  # else it is on its way at once, and ``keep`` looks every second
            self._look()
        self.queued += 1
        self._memory.append((time, payload))
        self._flush()
        while len(self._memory) > self._max_memory:
            if self._head == (0, self._memory.popleft()[1]):
                self._head = None
            self._lose(1)
            self.error = (
                f"more than {self._max_memory} events wait for the full disk, the oldest go; free space"
            )

    def peek(self) -> bytes | None:
        """Return the oldest undelivered payload, None if there is none."""
        if self._head is None:
            self._flush()
            self._try(self._find)
            if self._head is None and self._memory and self._fsync > 0:
                self._head = 0, self._memory[0][1]
        return None if self._head is None else self._head[1]

    def ack(self, payload: bytes) -> None:
        """Note that the broker has the payload last peeked; a payload dropped meanwhile is ignored."""
        if self._head is None or self._head[1] != payload:
            return
        number, self._head = self._head[0], None
        self.queued -= 1
        if number:
            self._try(lambda file: file.deliver(number))
            if not self.queued:  # now, so that the next row need not wait for it
                self._try(Database.note)
        else:
            self._memory.popleft()

    async def keep(self) -> None:
        """Look whether the file is still there, write what waits in memory, ``sync`` if due; call it every second."""
        self._look()
        self._flush()
        self._try(Database.note)
        if self._dirty and time.monotonic() - self._synced >= self._fsync:
            await self.sync()

    async def sync(self) -> None:
        """Make what was appended outlive a power failure."""
        self._synced, self._dirty = time.monotonic(), False
        if self._file is not None:
            await asyncio.to_thread(self._file.sync)

    @staticmethod
    def read(place: Path, since: float = float("-inf"), newest: int | None = None) -> Iterator[bytes]:
        """Yield the payloads of a journal, delivered or not, oldest first; another program may hold it.

        Args:
            place: As above.
            since: Seconds since 1970; what is earlier is left out.
            newest: How many at most; None for all.

        Raises:
            SettingsError: There is no such journal, or it cannot be read.
        """
        path = journal_file(place)
        if not path.is_file():
            raise SettingsError(
                f"there is no journal {path}; name the folder of --journal, or without it one of those below "
                "~/.local/state/streamspot/journal"
            )
        try:
            yield from database.read(path, since, newest)
        except DatabaseError as error:
            raise SettingsError(
                f"the journal {path} cannot be read ({error}); run a stream with it, which mends it"
            ) from None

    def _open(self) -> None:
        """Open the file, or set it aside if it is damaged, and begin anew.

        Raises:
            SettingsError: Another program holds it.
            DatabaseError: It cannot be opened.
        """
        self._tried = time.monotonic()
        try:
            self._file = Database(self._path, durable=self._fsync == 0)
        except DatabaseError as error:
            if not error.damage:
                raise
            self._rescue(database.undelivered(self._path), damaged=True)
            self._file = Database(self._path, durable=self._fsync == 0)
        self.queued = len(self._memory) + self._file.queued

    def _look(self) -> None:
        """See whether the file is still there: some microseconds."""
        if self._file is not None and self._file.gone():
            self._begin_anew(self._file, damaged=False)

    def _flush(self) -> None:
        """Write what waits in memory."""
        if self._file is None and time.monotonic() - self._tried >= _RETRY:
            try:
                self._open()
            except DatabaseError as error:
                self._wait(error)
            except SettingsError as error:
                self.error = str(error)
        while self._memory:
            if not self._try(self._store):
                return
        if self._file is not None:
            self.error = ""

    def _store(self, file: Database) -> None:
        when, payload = self._memory[0]
        number = file.append(when, payload)
        self._dirty = True
        self._memory.popleft()
        if file.delivered == number - 1:
            self._head = number, payload
        self._lose(file.trim(self._max_bytes))
        if self._head is not None and 0 < self._head[0] <= file.delivered:
            self._head = None

    def _find(self, file: Database) -> None:
        self._head = file.next()

    def _try(self, work: Callable[[Database], None]) -> bool:
        """Do something with the file; return whether that was possible."""
        if self._file is None:
            return False
        try:
            work(self._file)
        except DatabaseError as error:
            if error.damage:
                self._begin_anew(self._file, damaged=True)
            else:
                self._wait(error)
            return False
        return True

    def _wait(self, error: DatabaseError) -> None:
        self.error = (
            f"the journal {self._path} is not writable ({error}), events wait in memory; free some space"
        )

    def _begin_anew(self, file: Database, *, damaged: bool) -> None:
        """Give the file up and take what is undelivered in it into memory; ``_flush`` makes another."""
        known = self.queued - len(self._memory)
        # None: it will be found there again
        rescued = file.undelivered() if damaged or file.replaced() else None
        file.close()
        self._file, self._head, self._tried = None, None, 0.0
        if rescued is not None:
            self._lose(max(0, known - len(rescued)))
            self._rescue(rescued, damaged=damaged)
        else:
            self.messages.append(
                f"files of the journal {self._path} were deleted while it was in use; it goes on"
            )

    def _rescue(self, rescued: list[tuple[float, bytes]], *, damaged: bool) -> None:
        why = "was deleted or replaced while it was in use"
        if damaged:
            why = f"was damaged and is kept as {database.set_aside(self._path) or 'nothing'}"
        self._memory.extendleft(reversed(rescued))
        self.queued = len(self._memory)
        self.messages.append(
            f"the journal {self._path} {why}; a new one is begun with the {len(rescued)} undelivered events that "
            f"could be read ({self.lost} are lost in this run)"
        )

    def _lose(self, count: int) -> None:
        self.lost += count
        self.queued -= count
