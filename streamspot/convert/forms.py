"""The forms by name, and the files that each writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from streamspot.convert import text
from streamspot.convert.boris import boris
from streamspot.convert.elan import write_elan
from streamspot.convert.expressions import Expression, read_expressions
from streamspot.dashboard.text import counted
from streamspot.destinations import check_not_read, check_writable
from streamspot.errors import SettingsError, nearest
from streamspot.files import write_atomically
from streamspot.sinks.columns import EXPRESSIONS
from streamspot.sinks.table import write_parquet
from streamspot.types import TICK_RATE

ENDINGS = {
    "vtt": ".vtt",
    "srt": ".srt",
    "elan": ".eaf",
    "textgrid": ".TextGrid",
    "boris": ".boris",
    "bids": "_events.tsv",
    "csv": ".expressions.csv",
    "parquet": ".expressions.parquet",
}
"""Form → how the name of its file ends."""

_FROM_ZERO = {"vtt", "srt", "elan", "textgrid"}
"""Forms in which, or for whose readers, no time is negative."""


def convert(
    events: Path,
    form: str,
    out: Path | None = None,
    *,
    video: Path | None = None,
    force: bool = False,
    tell: Callable[[str], object] = lambda _: None,
) -> tuple[list[Path], int]:
    """Write the finished expressions of a file of events in another form.

    Args:
        events: File of ``--events``.
        form: One of ``ENDINGS``.
        out: File to write. Default: beside the events, with their name and the form's ending.
        video: What was analysed, which ELAN then plays.
        force: Replace a file that is there.
        tell: Takes a sentence on what the form cannot hold.

    Returns:
        The files written, and how many expressions they hold.

    Raises:
        SettingsError: The form is unknown, a package is missing, or a file is read, is there already or cannot be
            written.
        DataError: It is no file of events.
    """
    if form not in ENDINGS:
        raise SettingsError(f"there is no form {form!r}{nearest(form, ENDINGS)}")
    if video is not None and form != "elan":
        raise SettingsError(f"--video is for ELAN; a file of {form} names no video, so leave it out")
    if video is not None and not video.is_file():
        raise SettingsError(f"there is no video {video}; name the one that was analysed")
    expressions = read_expressions(events)
    out = out or events.with_name(events.stem + ENDINGS[form])
    writers: dict[Path, Callable[[Sequence[Expression], Path], None]] = {out: _writer(form, out, video)}
    if form == "bids":
        if out.suffix == ".json":
            raise SettingsError(f"{out} is where the columns are described; name a .tsv with --out")
        writers[out.with_suffix(".json")] = lambda _, path: _write(path, text.bids_sidecar())
    for path in writers:
        check_writable(path)
        check_not_read(path, (events, video))
        if path.exists() and not force:
            raise SettingsError(
                f"{path} is there already; name another with --out, or add --force to replace it"
            )
    held = _held(expressions, form, tell)
    for path, write in writers.items():
        try:
            with write_atomically(path) as part:
                write(held, part)
        except OSError as error:
            raise SettingsError(
                f"{path} cannot be written ({error.strerror}); name another with --out"
            ) from None
    return list(writers), len(held)


def _held(
    expressions: Sequence[Expression], form: str, tell: Callable[[str], object]
) -> Sequence[Expression]:
    """Return what a form can hold, and say what not; an expression that crosses the beginning is cut there."""
    if form not in _FROM_ZERO:
        return expressions
    held = [one.from_zero() for one in expressions if one.end >= 1 / TICK_RATE]
    if lost := len(expressions) - len(held):
        left = f"{counted(lost, 'expression')} {'is' if lost == 1 else 'are'} left out"
        tell(f"{form} has no time before 0, where {left}; take bids, csv, parquet or boris")
    return held


def _writer(form: str, out: Path, video: Path | None) -> Callable[[Sequence[Expression], Path], None]:
    if form == "elan":
        return partial(write_elan, video=video)
    if form == "parquet":
        return _write_parquet
    make: Callable[[Sequence[Expression]], str] = (
        partial(boris, name=out.stem) if form == "boris" else text.FORMS[form]
    )
    return lambda expressions, path: _write(path, make(expressions))


def _write(path: Path, content: str) -> None:
    path.write_text(content, encoding="utf-8", newline="\n")


def _write_parquet(expressions: Sequence[Expression], path: Path) -> None:
    rows = [row for one in expressions if (row := EXPRESSIONS.row(one.event))]
    write_parquet(rows, EXPRESSIONS, path)
