"""The Python interface: streams, one's own frames."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack

from streamspot.analysis import Analyser
from streamspot.commands import Pause, Resume, Sensitivity
from streamspot.engine import Engine
from streamspot.errors import SettingsError, nearest
from streamspot.run import StreamRun
from streamspot.settings import AnalysisSettings, Settings, build
from streamspot.sources.pushed import PushedFrames, Resizing, as_frame
from streamspot.stats import Stats
from streamspot.types import Controls, Update

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamspot.sources.pushed import Pictures


_NOT_OPEN = (
    "the stream is not open here; iterate with for in a with block, with async for in an async with block"
)


def open(source: str | int | Path | Pictures = 0, **analysis: Unpack[AnalysisSettings]) -> Stream:  # noqa: A001 - streamspot.open
    """Return the stream of a source, to be iterated in a ``with`` or an ``async with`` block.

    Args:
        source: As for ``streamspot run --source`` (0 is the first camera), or an iterable of one's own pictures, each
            ``(H, W, 3)`` uint8 BGR with its time in seconds.
        **analysis: Settings of the analysis, under the names of the flags.

    Raises:
        StreamspotError: The source or a setting cannot be used.

    Example:
        >>> with streamspot.open("clip.mp4", faces=2) as stream:  # doctest: +SKIP
        ...     for update in stream:
        ...         for event in update.events:
        ...             print(event.phase, event.kind, event.onset.pts)
    """
    if isinstance(source, str | int | Path):
        return Stream(StreamRun(_settings(analysis, source=str(source))))
    if not isinstance(source, Iterable):
        raise SettingsError(
            f"{source!r} is no source; give a camera's number, a path, an address or an iterable of frames"
        )
    return Stream(StreamRun(_settings(analysis), PushedFrames(source)))


class Stream:
    """A running stream: an iterator of updates, plain in a ``with`` block, asynchronous in an ``async with`` block.

    Several may run at once. The network is loaded while the first update is waited for. Leaving the block ends the
    stream; what has not been taken by then is let go.

    Attributes:
        stats: Counts, rates and durations, kept current.

    Example:
        >>> async with streamspot.open(0) as stream:  # doctest: +SKIP
        ...     async for update in stream:
        ...         print(update.faces)
    """

    def __init__(self, run: StreamRun) -> None:
        self.stats: Stats = run.stats
        self._run = run
        self._engine: Engine | None = None
        self._updates: queue.SimpleQueue[Update | BaseException | None] = queue.SimpleQueue()
        self._begun = self._left = False

    def __enter__(self) -> Self:
        """Start it."""
        self._begin()
        self._run.start(self._updates.put)
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._left = True
        self._run.leave()

    def __iter__(self) -> Self:
        """Iterate over the updates."""
        return self

    def __next__(self) -> Update:
        """Return the next update, blocking until there is one; raises the StreamspotError that ended the stream."""
        if not self._begun or self._engine is not None:
            raise SettingsError(_NOT_OPEN)
        if self._left:
            raise StopIteration
        item = self._updates.get()
        if isinstance(item, Update):
            self._run.taken()
            return item
        self._updates.put(None)  # for the next call
        if item is None:
            raise StopIteration
        raise item

    async def __aenter__(self) -> Self:
        """Start it."""
        self._begin()
        self._engine = await Engine([self._run]).__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        """End it."""
        self._left = True
        if self._engine is not None:
            await self._engine.__aexit__(*error)

    def __aiter__(self) -> Self:
        """Iterate over the updates."""
        return self

    async def __anext__(self) -> Update:
        """Return the next update; raises the StreamspotError that ended the stream."""
        if self._engine is None:
            raise SettingsError(_NOT_OPEN)
        if self._left:
            raise StopAsyncIteration
        _, update = await anext(self._engine)
        return update

    def _begin(self) -> None:
        if self._begun:
            raise SettingsError("a stream runs once; open the source again with streamspot.open")
        self._begun = True

    def pause(self) -> None:
        """Cancel what is open and wait; a camera's frames are let go meanwhile, a recording waits."""
        self._run.obey(Pause())

    def resume(self) -> None:
        """Go on after ``pause``."""
        self._run.obey(Resume())

    def set_sensitivity(self, value: float) -> None:
        """Spot more (to 1) or less (to 0); holds for each face as soon as it is neutral.

        Raises:
            SettingsError: It is not between 0 and 1.
        """
        self._run.obey(Sensitivity(build({"sensitivity": value}).spotting.sensitivity))

    def stop(self) -> None:
        """Ask the stream to end: open expressions come out as cancelled, then the iteration ends."""
        self._run.stop()


class FrameSpotter:
    """Spots expressions in one's own frames, one call a frame, in the caller's thread.

    Args:
        **analysis: Settings of the analysis, under the names of the flags, but for ``policy`` and ``speed``.

    Raises:
        StreamspotError: The weights or a setting cannot be used.

    Example:
        >>> with streamspot.FrameSpotter() as spotter:  # doctest: +SKIP
        ...     for n, image in enumerate(images):
        ...         update = spotter.push(image, n / 30)
        ...     last = spotter.finish()
    """

    def __init__(self, **analysis: Unpack[AnalysisSettings]) -> None:
        for name in ("policy", "speed"):
            if name in analysis:
                raise SettingsError(
                    f"frames are analysed as they are pushed, so {name} means nothing; leave it out"
                )
        settings = _settings(analysis)
        self._analyser = Analyser(settings, PushedFrames(()))
        self._analyser.load()
        self._controls = Controls(sensitivity=settings.spotting.sensitivity)
        self.stats: Stats = self._analyser.stats
        self._count = 0
        self._pts: float | None = None
        self._sizes = Resizing()
        self._closed = False
        self._idle = threading.Lock()

    def push(self, image: NDArray[Any], time: float) -> Update:
        """Take the next picture; return what is now known.

        Args:
            image: ``(H, W, 3)`` BGR, ``(H, W, 4)`` with alpha or ``(H, W)`` grey; uint8 or uint16.
            time: In seconds; later than that of the picture before. A gap of over 0.5 s ends what is open.

        Raises:
            SourceError: It is no picture, or its time does not increase.
            SettingsError: The spotter is closed, or at work in another thread.
        """
        with self._one_at_a_time():
            frame = as_frame(self._count, image, time, self._pts)
            said = self._sizes.take(frame)
            self._count, self._pts = self._count + 1, frame.pts
            update = self._analyser.analyse(frame)
            return replace(update, controls=self._controls, messages=said + update.messages)

    def finish(self) -> Update:
        """Return what is still to be said at the end of the pictures.

        Pictures of later times may follow, as after a gap; a clip that begins anew is for a spotter of its own.

        Raises:
            SettingsError: The spotter is closed, or at work in another thread.
        """
        with self._one_at_a_time():
            last, advice = self._analyser.finish(), self._analyser.advice()
            return replace(last, controls=self._controls, messages=advice)

    def close(self) -> None:
        """Free the face detector; what ``finish`` would have returned is let go. A ``push`` at work ends before."""
        self._closed = True
        with self._idle:
            self._analyser.close()

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        if self._closed:
            raise SettingsError("the spotter is closed; make a new one")
        if not self._idle.acquire(blocking=False):
            raise SettingsError("the spotter is at work in another thread; use it from one thread at a time")
        try:
            yield
        finally:
            self._idle.release()

    def __enter__(self) -> Self:
        """Return the spotter itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Free the face detector."""
        self.close()


def _settings(analysis: AnalysisSettings, **more: str) -> Settings:
    """Return the settings of a stream.

    Raises:
        SettingsError: A name is no setting of the analysis, or a value is impossible.
    """
    known = AnalysisSettings.__optional_keys__
    for name in analysis:
        if name not in known:
            raise SettingsError(
                f"there is no {name!r} among the settings of the analysis{nearest(name, known)} "
                "(outputs such as a broker belong to streamspot run)"
            )
    given = {name: str(value) if isinstance(value, Path) else value for name, value in analysis.items()}
    return build({**given, **more})
