"""Region motion to a recording, which replays to the same events."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from streamspot.engine import StreamRun
from streamspot.sources.motion import MotionWriter
from streamspot.types import Update


class MotionRecorder:
    """Records the region motion of a stream, no picture of it.

    Args:
        path: File, overwritten.
        run: The stream; names the regions and how they are judged.

    Raises:
        SourceError: The file cannot be written.
    """

    def __init__(self, path: Path, run: StreamRun) -> None:
        self._path = path
        self._run = run
        self._writer: MotionWriter
        self._begun = False

    async def __aenter__(self) -> Self:
        self._writer = MotionWriter(self._path)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    async def take(self, update: Update) -> None:
        """Append the motion."""
        if update.session is None:
            return
        if not self._begun:
            self._begun = True
            self._writer.begin(update.session, self._run.layout, self._run.judging)
        self._writer.extend(update.motion, update.session)
