"""Region motion to a recording, which replays to the same events."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from streamspot.run import StreamRun
from streamspot.sinks.lines import LineFile
from streamspot.sinks.writer import Host
from streamspot.sources.motion import MotionLines
from streamspot.types import Motion, SegmentEnd, Update


class MotionRecorder(LineFile):
    """Records the region motion of a stream, no picture of it.

    Where motion had to be left out, because the disk was full for long, the faces' segments end in the recording: a
    replay never takes what comes after the gap for a continuation.

    Args:
        path: File, overwritten.
        run: The stream; names the regions and how they are judged.
        host: The run around it.
    """

    def __init__(self, path: Path, run: StreamRun, host: Host) -> None:
        super().__init__(path, host, headed=True)
        self._run = run
        self._lines: MotionLines | None = None
        self._gap: set[int] = set()  # faces of which something was left out
        self._last = 0.0, -1  # time and number of the newest frame

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say when the last frame was."""
        try:
            if self._lines is not None:
                self.write(self._lines.end(*self._last))
        finally:
            await super().__aexit__(kind, error, trace)

    async def take(self, update: Update) -> None:
        """Hand the motion over."""
        if update.session is None:
            return
        motion = update.motion
        self._last = update.pts, update.frame
        if self._lines is None:
            lines = MotionLines()
            if not self.write(
                lines.begin(update.session, self._run.analyser.layout, self._run.analyser.judging)
            ):
                return
            self._lines = lines
        ends: tuple[Motion, ...] = tuple(
            SegmentEnd(face, "recording interrupted") for face in sorted(self._gap)
        )
        lines_of = self._lines.extend((*ends, *motion), update.session)
        if not lines_of or self.write(lines_of):
            self._gap.clear()
        else:
            self._lines.refused()
            self._gap |= {one.face for one in motion}
