"""A review: the items, who labels them, what is known of them, and which of them is looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from streamspot.errors import DataError
from streamspot.review.analysis import Analysis, Progress
from streamspot.review.files import ChangedElsewhereError, LabelFiles
from streamspot.review.items import Facts, ReviewItem, facts_of
from streamspot.review.labels import Change, Labels, UndoHistory
from streamspot.review.pictures import VideoPictures
from streamspot.settings import AnalysisSettings

_UNFINISHED = 3
"""Analyses that may wait half-way; each holds a face model."""


class Reviewed:
    """One item with its labels and its analysis.

    Attributes:
        item: What it is.
        facts: What is known of it before the analysis.
        history: Its labels, with all that was done to them.
        version: Counts the changes; a change that was made on another version is refused.
        unsaved: Why the newest labels are not in the file, empty if they are.
        analysis: None before it was looked at.
        pictures: For what a browser cannot play.

    Raises:
        StreamspotError: It cannot be read, or its labels cannot.
    """

    def __init__(self, item: ReviewItem, files: LabelFiles, subject: str | None) -> None:
        self.item = item
        self.facts: Facts = facts_of(item)
        self.history = UndoHistory(files.read(item.video, item.title))
        files.check_rates(item.video, item.title, self.facts.fps, item.source)
        self.version = 0
        self.unsaved = ""
        self.analysis: Analysis | None = None
        self.pictures = VideoPictures(item.source)
        self._files, self._subject = files, subject or item.path.stem
        self._writing = asyncio.Lock()

    async def change(self, change: Change) -> None:
        """Make a change and write the labels; what cannot be written is kept and told in ``unsaved``.

        Of a label that is put, what lies behind the end of the item, once that is known, comes to its last frame.
        """
        last = None if self.analysis is None else self.analysis.last
        if change.label is not None and last is not None:
            change = change.model_copy(update={"label": change.label.within(last)})
        self.history.take(change)
        self.version += 1
        await self.save()

    async def save(self) -> None:
        """Write the labels as they are; first take in what another program wrote meanwhile."""
        async with self._writing:
            frames = self.facts.frames
            if self.analysis is not None and self.analysis.progress.done:
                frames = self.analysis.progress.frames or frames
            try:
                while not await asyncio.to_thread(self._written, frames or None):
                    self.version += 1
                self.unsaved = ""
            except DataError as error:
                self.unsaved = str(error)
            except Exception as error:  # noqa: BLE001 - the page says it, the labels are kept
                self.unsaved = f"unexpected {type(error).__name__}: {error}"

    def _written(self, frames: int | None) -> bool:
        """Write the labels; return False, with theirs taken in, if another program changed them meanwhile."""
        try:
            self._files.write(
                self.item.video,
                self.item.title,
                self.history.now,
                subject=self._subject,
                fps=self.facts.fps,
                frames=frames,
            )
        except ChangedElsewhereError as changed:
            self.history.take_in(changed.before, changed.theirs)
            return False
        return True

    @property
    def progress(self) -> Progress:
        """How far the analysis is."""
        return Progress() if self.analysis is None else self.analysis.progress


class Reviewing:
    """All items of a review by one coder; the one that is looked at is analysed first, then the others in order.

    Args:
        items: What there is to look at.
        files: Where the labels go.
        settings: Of the analysis.
        subject: Whose face it is; None for the name of each video.
        hidden: Whether the page begins without what the program sees.
    """

    def __init__(
        self,
        items: Sequence[ReviewItem],
        files: LabelFiles,
        settings: AnalysisSettings,
        *,
        subject: str | None = None,
        hidden: bool = False,
    ) -> None:
        self.items, self.files, self.hidden = items, files, hidden
        self._settings, self._subject = settings, subject
        self._opened: dict[int, Reviewed] = {}
        self._focus = 0
        self._order: list[int] = []
        self._unreadable: set[int] = set()

    def opened(self, number: int) -> Reviewed:
        """Return an item, read when it is first asked for.

        Raises:
            StreamspotError: It or its labels cannot be read.
        """
        if number not in self._opened:
            self._opened[number] = Reviewed(self.items[number], self.files, self._subject)
        return self._opened[number]

    def overview(self) -> list[dict[str, Any]]:
        """Return for each item its name, its number of labels and whether it was seen to its end."""
        written: dict[str, Labels] = {}
        with suppress(DataError):  # said when one of them is opened
            written = self.files.all(strict=False)
        return [self._line(number, item, written) for number, item in enumerate(self.items)]

    def _line(self, number: int, item: ReviewItem, written: dict[str, Labels]) -> dict[str, Any]:
        opened = self._opened.get(number)
        labels = written.get(item.video, Labels()) if opened is None else opened.history.now
        known = Progress() if opened is None else opened.progress
        return {
            "name": item.path.name,
            "labels": len(labels.given),
            "seen": labels.seen,
            "analysed": known.done,
        }

    def look_at(self, number: int) -> Reviewed:
        """Return an item and let its analysis go first, as soon as the page has had a second to open."""
        self._focus = number
        self._prepare(number)
        self._unreadable.discard(number)  # what was wrong with it has been mended
        return self.opened(number)

    def work(self) -> None:
        """Let one analysis go on: that of the item in view, or of the first that is not done; called now and then."""
        others = [n for n in range(len(self.items)) if n != self._focus]
        chosen = next((n for n in (self._focus, *others) if not self._done(n)), None)
        for number, one in self._opened.items():
            if one.analysis is not None and number != chosen:
                one.analysis.going.clear()
        if chosen is None:
            return
        self._prepare(chosen).going.set()
        waiting = [n for n in self._order if n != chosen and not self._done(n)]
        for number in waiting[: max(0, len(waiting) - _UNFINISHED)]:
            self._forget(number)

    def _prepare(self, number: int) -> Analysis:
        """Return the analysis of an item; a new one waits for its turn."""
        one = self.opened(number)
        if one.analysis is None:
            one.analysis = Analysis(one.item.source, self._settings)
            self._order.append(number)
        return one.analysis

    def _done(self, number: int) -> bool:
        """Tell whether nothing is left to analyse; what cannot be opened counts as done."""
        if number not in self._unreadable:
            try:
                return self.opened(number).progress.done
            except Exception:  # noqa: BLE001 - said when somebody looks at it; the others go on
                self._unreadable.add(number)
        return True

    def _forget(self, number: int) -> None:
        """Give up an analysis that waits half-way; it begins anew when its turn comes."""
        one, self._order = self._opened[number], [n for n in self._order if n != number]
        if one.analysis is not None:
            one.analysis.end()
            one.analysis = None

    async def save_all(self) -> list[str]:
        """Try once more to write what could not be written; return what is still wrong."""
        for one in list(self._opened.values()):  # another may be opened meanwhile
            if one.unsaved:
                await one.save()
        return [one.unsaved for one in self._opened.values() if one.unsaved]

    def close(self) -> None:
        """End all analyses."""
        for one in self._opened.values():
            if one.analysis is not None:
                one.analysis.end()
