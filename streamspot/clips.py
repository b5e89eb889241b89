"""The files of a batch: which they are, what their results are called, and which of them have results."""

from __future__ import annotations

import glob
import os
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from streamspot.errors import SettingsError
from streamspot.report.account import summary_of
from streamspot.session import digest
from streamspot.sources.base import VIDEOS, file_identity, kind_of
from streamspot.sources.images import natural
from streamspot.sources.motion import is_recording

ENDINGS = (".jsonl", ".csv", ".motion")
"""What each file's results are: its events, its curve, its recording of region motion."""

TOGETHER = "all-expressions.csv"
"""The table of the expressions of all files."""

_TAKEN = {Path(TOGETHER).stem, "results"}
"""What no file's results are called: a folder with ``results.json`` is for ``report`` that of a cross-validation."""

_LOOKED_AT = VIDEOS | {".motion"}
"""Endings of files that count whatever they hold: one that is damaged is named."""

_MOST_LOOKED_AT = 10_000
"""Files of a folder that are looked at to tell whether it holds videos."""

_LONGEST = 200
"""Bytes of a name at most: what is added to it while it is written fits into the 255 of a file's name."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One file of a batch.

    Attributes:
        path: Where it is.
        place: Stands for where it is.
        name: What its results are called.
        file: What it is called in them: its path, as seen from the folder that holds all.
        how: Stands for its content and for how it is analysed.
    """

    path: Path
    place: str
    name: str
    file: str
    how: str


def clips_of(source: str) -> list[Path]:
    """Return the files of a pattern (``videos/*.mp4``) or of a folder of videos and recordings, or the one file.

    Raises:
        SettingsError: There is none.
    """
    place = Path(source).expanduser()
    if kind_of(place) == "folder":
        inside = (one for one in place.iterdir() if _is_clip(one) and not one.name.startswith("."))
        found = [one for one in inside if one.suffix.lower() in _LOOKED_AT or is_recording(one)]
    elif kind_of(place) == "file":
        found = [place]
    else:
        found = [one for one in _matching(place) if _is_clip(one)]
    if not found:
        raise SettingsError(
            f"there is no video at {source!r}; give a folder of videos, or a pattern in quotation marks: "
            "'videos/*.mp4'"
        )
    return sorted(set(found), key=lambda one: (natural(str(one)), one))


def passed_over(source: str, out: Path) -> list[str]:
    """Return the names of folders inside a folder of videos that hold videos too and are not taken with it.

    Args:
        source: The folder; of anything else nothing is passed over.
        out: Where results are; what lies there is none.
    """
    place = Path(source).expanduser()
    if kind_of(place) != "folder":
        return []
    inside = sorted(one for one in place.iterdir() if kind_of(one) == "folder" and one.name[0] != ".")

    def holds_video(folder: Path) -> bool:
        files = islice(_matching(Path(glob.escape(str(folder)), "**", "*")), _MOST_LOOKED_AT)
        return any(file.suffix.lower() in _LOOKED_AT for file in files)

    return [one.name for one in inside if one.resolve() != out.resolve() and holds_video(one)]


def _matching(pattern: Path) -> Iterator[Path]:
    """Yield what a pattern names.

    Python's own ``**`` walks a link to a folder above it up to forty times, and two such links 2^40 times.
    """
    parts = pattern.parts
    if "**" not in parts:
        yield from map(Path, glob.glob(str(pattern)))  # noqa: PTH207
        return
    last = max(at for at, part in enumerate(parts) if part == "**")
    for folder in _folders(_matching(Path(*parts[:last]))):
        inside = parts[last + 1 :]
        if not inside:
            yield folder
        yield from _matching(Path(glob.escape(str(folder)), *(inside or ("*",))))


def _folders(tops: Iterable[Path]) -> Iterator[Path]:
    """Yield folders and those below them, each real one once, under its own name rather than that of a link."""
    waiting, seen = deque(tops), set()
    while waiting:
        folder = waiting.popleft()
        if kind_of(folder) != "folder" or (real := folder.resolve()) in seen:
            continue
        seen.add(real)
        yield folder
        with suppress(OSError):
            for one in sorted(folder.iterdir()):
                if not one.name.startswith("."):
                    (waiting.append if one.is_symlink() else waiting.appendleft)(one)


def _is_clip(path: Path) -> bool:
    """Tell whether a path is a file, or a link to one that is gone: that is reported, not passed over."""
    return path.is_file() or _leads_nowhere(path)


def _leads_nowhere(path: Path) -> bool:
    return path.is_symlink() and not path.exists()


def named_clips(paths: Sequence[Path], out: Path, how: str, broken: dict[Path, str]) -> list[Clip]:
    """Return the files under their names; what cannot be read is added to ``broken``."""
    clips = []
    whole = os.path.commonpath([path.parent for path in paths])
    for path, name in _named(paths, out).items():
        try:
            file = path.relative_to(whole).as_posix()
            clips.append(Clip(path, _place(path), name, file, digest(file_identity(path), how)))
        except OSError as error:
            broken[path] = (
                f"{path} is a link to a file that is not there; mend the link, or remove it"
                if _leads_nowhere(path)
                else f"{path} cannot be read ({error.strerror}); check its permissions"
            )
    return clips


def _place(path: Path) -> str:
    return digest(os.path.abspath(path))  # noqa: PTH100 - where a link is counts, not where it leads


def _named(paths: Sequence[Path], out: Path) -> dict[Path, str]:
    """Give each file a name of its own: the one it has in ``out``, else the first that no other file could take."""
    possible = {path: _possible(path) for path in paths}
    names = {
        path: name
        for path, ones in possible.items()
        for name in ones
        if summary_of(out, name).get("place") == _place(path)
    }
    claims = Counter(name.casefold() for ones in possible.values() for name in set(ones))
    taken = {name.casefold() for name in (*_TAKEN, *names.values())}
    return {
        path: names.get(path)
        or next(one for one in ones if claims[one.casefold()] == 1 and one.casefold() not in taken)
        for path, ones in possible.items()
    }


def _possible(path: Path) -> list[str]:
    """Return what a file's results may be called: its name without the ending, with it, its folder's or its place."""
    place, folder = _place(path), path.parent.name
    names = [path.stem, path.name, *([f"{folder}-{path.stem}"] if folder else [])]
    names += [f"{path.stem[:40]}-{place[:digits]}" for digits in (6, 12)]
    return [name for name in names if len(os.fsencode(name)) <= _LONGEST]


def finished(out: Path, clip: Clip) -> bool:
    """Tell whether a file has its results, made as it would be now."""
    made = summary_of(out, clip.name).get("how") == clip.how
    return made and all((out / f"{clip.name}{one}").is_file() for one in ENDINGS)


def finished_in(out: Path) -> dict[str, str]:
    """Return the names of all finished results in a folder, each with the file that it calls its own."""
    said = {one.stem: summary_of(out, one.stem) for one in out.glob("*.json")}
    return {
        name: str(summary["about"].get("Source", name))
        for name, summary in said.items()
        if summary.get("how") and (out / f"{name}.jsonl").is_file()
    }
