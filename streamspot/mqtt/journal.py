"""The journal: every event is on disk before it is published, and stays until the broker has it.

A folder of JSON-lines files (``00000001.jsonl``, ...), each line the CloudEvent that MQTT carries, and a file
``cursor`` with the place up to which the broker has acknowledged. Killing the process at any instant loses
nothing that was appended and repeats at most one event. A power failure may lose what the last ``fsync`` did
not cover: one second's events by default.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections import deque
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from streamspot.errors import SettingsError
from streamspot.mqtt.lock import try_lock

_SEGMENTS = 8
"""The bounds are kept by dropping whole files, of which there are about this many."""
_CURSOR = "{:012d} {:015d}\n"


class Journal:
    """Append-only log of payloads with a cursor of what has been delivered.

    Use it as a context manager, from one thread. A full disk does not stop the stream: what cannot be written
    waits in memory, ``error`` says so, and it is written once there is room.

    Args:
        folder: Made if missing; one program at a time may hold it.
        max_bytes: Size of the whole journal; beyond it the oldest file goes, delivered or not.
        max_age: Seconds after which a delivered file goes, and an undelivered one too.
        max_memory: Events kept in memory while the disk is full; beyond it the oldest goes.
        fsync: Seconds between two ``fsync``; 0 means one for every event, before it is published.

    Attributes:
        queued: Events not yet delivered.
        lost: Events dropped by one of the bounds before they were delivered.
        error: One sentence, or empty.
        fsync: As given; whoever owns the journal calls ``sync`` that often.

    Raises:
        SettingsError: The folder cannot be used (on entering).
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int = 64 * 2**20,
        max_age: float = 7 * 86400.0,
        max_memory: int = 10_000,
        fsync: float = 1.0,
    ) -> None:
        self.queued = 0
        self.lost = 0
        self.error = ""
        self.fsync = fsync
        self._folder = folder
        self._segment_bytes = max(max_bytes // _SEGMENTS, 1)
        self._segment_age = max_age / _SEGMENTS
        self._max_bytes = max_bytes
        self._max_age = max_age
        self._memory: deque[bytes] = deque()
        self._max_memory = max_memory
        self._dirty = False  # something was written since the last fsync
        self._syncing = asyncio.Lock()
        self._open = contextlib.ExitStack()
        self._last = 1  # number of the file written to
        self._tail: FileIO  # that file
        self._size = 0  # its length
        self._born = 0.0  # when it was begun
        self._at = (1, 0)  # cursor: number of the file, offset
        self._reader: BinaryIO | None = None  # the file under the cursor
        self._head: bytes | None = None  # the payload under the cursor

    def __enter__(self) -> Self:
        with self._open:
            try:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._lock()
                self._cursor = self._open.enter_context(self._private(self._folder / "cursor"))
                numbers = self._numbers()
                self._last = numbers[-1] if numbers else 1
                self._begin(self._last)
                self._mend()
                self._resume(numbers)
                self._bound()
            except OSError as error:
                raise SettingsError(
                    f"the journal {self._folder} cannot be used ({error.strerror}); name another folder"
                ) from None
            self._open = self._open.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._flush_memory()
        with contextlib.suppress(OSError):
            os.fsync(self._tail.fileno())
        if self._reader is not None:
            self._reader.close()
        self._tail.close()
        self._open.close()

    def append(self, payload: bytes) -> None:
        """Write one payload (no line end in it); afterwards a killed process loses nothing of it."""
        self.queued += 1
        self._memory.append(payload)
        self._flush_memory()
        while len(self._memory) > self._max_memory:
            self._forget(self._memory.popleft())
            self.error = (
                f"more than {self._max_memory} events wait for the full disk, the oldest go; free space"
            )

    async def sync(self) -> None:
        """Make what was appended outlive a power failure."""
        async with self._syncing:
            if self._dirty:
                self._dirty = False
                await asyncio.to_thread(self._sync)

    def peek(self) -> bytes | None:
        """Return the oldest undelivered payload, None if there is none."""
        if self._head is None:
            self._flush_memory()
            self._head = self._read()
        return self._head

    def ack(self, payload: bytes) -> None:
        """Note that the broker has the payload last peeked; a payload dropped meanwhile is ignored."""
        if payload != self._head:
            return
        self._head = None
        self.queued -= 1
        if self._memory and self._memory[0] == payload and not self._behind():
            self._memory.popleft()
            return
        self._move(self._at[0], self._at[1] + len(payload) + 1)

    @staticmethod
    def read(folder: Path, since: str = "") -> Iterator[bytes]:
        """Yield the payloads of a journal, delivered or not, oldest first; another program may hold it.

        Args:
            folder: The journal.
            since: RFC 3339 time in UTC; earlier events are left out.
        """
        for path in sorted(folder.glob("*.jsonl")):
            with path.open("rb") as file:
                yield from (line[:-1] for line in file if line.endswith(b"\n") and _time(line) >= since)

    def _lock(self) -> None:
        lock = self._open.enter_context(self._private(self._folder / "lock"))
        if not try_lock(lock):
            raise SettingsError(
                f"the journal {self._folder} is held by another streamspot; stop it or name another folder"
            )

    @staticmethod
    def _private(path: Path) -> FileIO:
        """Open a file only its owner may read, in binary: who smiled when is nobody else's business."""
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
        return FileIO(os.open(path, flags, 0o600), "r+b")

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:08d}.jsonl"

    def _numbers(self) -> list[int]:
        return sorted(int(path.stem) for path in self._folder.glob("*.jsonl") if path.stem.isdigit())

    def _begin(self, number: int) -> None:
        tail = self._private(self._path(number))
        self._size = tail.seek(0, os.SEEK_END)
        self._tail, self._last = tail, number
        self._born = os.fstat(tail.fileno()).st_mtime

    def _mend(self) -> None:
        """Cut off a line that a crash left unfinished; it was never reported as written."""
        self._tail.seek(max(self._size - 2 * 65536, 0))
        rest = self._tail.read()
        torn = len(rest) - (rest.rfind(b"\n") + 1)
        if torn:
            self._size -= torn
            self._tail.truncate(self._size)
        self._tail.seek(self._size)

    def _resume(self, numbers: list[int]) -> None:
        """Find the cursor; one that is damaged starts at the oldest file, for a repetition harms nobody."""
        first = numbers[0] if numbers else 1
        try:
            number, offset = (int(part) for part in self._cursor.read(64).split())
            sound = number in numbers and 0 <= offset <= self._path(number).stat().st_size
        except ValueError:
            sound = False
        self._at = (number, offset) if sound else (first, 0)
        self._move(*self._at)  # takes the cursor's place on the disk while there is room
        for each in numbers:
            if each >= self._at[0]:
                with self._path(each).open("rb") as file:
                    file.seek(self._at[1] if each == self._at[0] else 0)
                    self.queued += sum(1 for _ in file)

    def _flush_memory(self) -> None:
        while self._memory:
            line = self._memory[0] + b"\n"
            try:
                if self._size and (
                    self._size + len(line) > self._segment_bytes
                    or time.time() - self._born > self._segment_age
                ):
                    self._rotate()
                written = self._tail.write(line)
                if written != len(line):
                    raise OSError(28, "No space left on device")  # noqa: TRY301
            except OSError as error:
                with contextlib.suppress(OSError):
                    self._tail.truncate(self._size)
                    self._tail.seek(self._size)
                self.error = (
                    f"the journal {self._folder} is not writable ({error.strerror}), events wait in memory; "
                    "free some space"
                )
                return
            self._size += len(line)
            self._dirty = True
            self._memory.popleft()
        self.error = ""

    def _rotate(self) -> None:
        old, end = self._tail, (self._last, self._size)
        self._begin(self._last + 1)
        if self._at == end:  # what is in flight from memory will stand at the start of the new file
            self._move(self._last, 0)
        os.fsync(old.fileno())
        old.close()
        self._bound()

    def _bound(self) -> None:
        """Drop the oldest files until size and age are within bounds."""
        numbers = self._numbers()[:-1]
        sizes = {number: self._path(number).stat() for number in numbers}
        total = sum(status.st_size for status in sizes.values()) + self._segment_bytes
        for number, status in sizes.items():
            if total <= self._max_bytes and time.time() - status.st_mtime <= self._max_age:
                break
            total -= status.st_size
            if number >= self._at[0]:
                start = self._at[1] if number == self._at[0] else 0
                with self._path(number).open("rb") as file:
                    file.seek(start)
                    gone = sum(1 for _ in file)
                self.queued -= gone
                self.lost += gone
                self._head = None
                self._move(number + 1, 0)
            self._path(number).unlink()

    def _forget(self, payload: bytes) -> None:
        self.queued -= 1
        self.lost += 1
        if payload == self._head:
            self._head = None

    def _behind(self) -> bool:
        """Tell whether anything on disk is undelivered."""
        return self._at < (self._last, self._size)

    def _read(self) -> bytes | None:
        while self._behind():
            if self._reader is None:
                self._reader = self._path(self._at[0]).open("rb")
                self._reader.seek(self._at[1])
            line = self._reader.readline()
            if line.endswith(b"\n"):
                return line[:-1]
            self._move(self._at[0] + 1, 0)
        return self._memory[0] if self._memory else None

    def _move(self, number: int, offset: int) -> None:
        if number != self._at[0] and self._reader is not None:
            self._reader.close()
            self._reader = None
        self._at = (number, offset)
        with contextlib.suppress(OSError):  # at worst something is sent twice after a restart
            self._cursor.seek(0)
            self._cursor.write(_CURSOR.format(number, offset).encode())

    def _sync(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # the disk's trouble shows when appending
            os.fsync(self._tail.fileno())


def _time(line: bytes) -> str:
    try:
        return str(json.loads(line)["time"])
    except (ValueError, KeyError, TypeError):
        return ""
