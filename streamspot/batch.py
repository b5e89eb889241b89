"""Many recorded files, one after the other: each with results of its own, whatever happens to the others."""

from __future__ import annotations

import csv
import glob
import json
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from streamspot import __version__
from streamspot.destinations import check_folder
from streamspot.engine import Engine
from streamspot.errors import SettingsError, StreamspotError
from streamspot.events import read_events
from streamspot.files import write_atomically
from streamspot.loop import run_to_end
from streamspot.outputs import Outputs
from streamspot.processes import Advance, Processes, Workers
from streamspot.report.account import SUMMARY
from streamspot.run import StreamRun
from streamspot.session import digest
from streamspot.settings import Settings, build
from streamspot.sinks.columns import EXPRESSIONS
from streamspot.sources.base import file_identity, kind_of
from streamspot.sources.motion import is_recording
from streamspot.threads import one_thread

VIDEOS = {
    ".3gp", ".asf", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf",
    ".ogv", ".ts", ".webm", ".wmv",
}  # fmt: skip
"""Endings of the files that a folder is searched for; a pattern takes whatever it matches."""

ENDINGS = (".jsonl", ".csv", ".motion")
"""What each file's results are: its events, its curve, its recording of region motion."""

_HERE = Processes()

TOGETHER = "all-expressions.csv"
"""The table of the expressions of all files."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One of the files.

    Attributes:
        path: Where it is.
        name: What its results are called.
        how: Stands for its content and for how it is analysed.
    """

    path: Path
    name: str
    how: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a batch.

    Attributes:
        done: How many files have results.
        resumed: How many of them had them already.
        broken: File → what is wrong with it and what helps, of the others.
    """

    done: int
    resumed: int
    broken: dict[Path, str]


def clips_of(source: str) -> list[Path]:
    """Return the files of a pattern (``videos/*.mp4``) or of a folder of videos and recordings, or the one file.

    Raises:
        SettingsError: There is none.
    """
    place = Path(source).expanduser()
    if kind_of(place) == "folder":
        inside = (one for one in place.iterdir() if one.is_file() and not one.name.startswith("."))
        found = [one for one in inside if one.suffix.lower() in VIDEOS or is_recording(one)]
    elif kind_of(place) == "file":
        found = [place]
    else:
        found = [Path(one) for one in glob.glob(str(place), recursive=True) if Path(one).is_file()]  # noqa: PTH207
    if not found:
        raise SettingsError(
            f"there is no video at {source!r}; give a folder of videos, or a pattern in quotation marks: "
            "'videos/*.mp4'"
        )
    return sorted(
        found, key=lambda one: [(int(n or 0), text) for n, text in re.findall(r"(\d+)|(\D+)", str(one))]
    )


def run_batch(
    settings: Settings, out: Path, *, workers: Workers = _HERE, progress: Callable[[int, int, int], None]
) -> Outcome:
    """Analyse every file of ``settings.source`` into ``out``: events, curve, recording and a summary of each.

    A file's results appear when they are whole. A file that has them, made in the same way, is not analysed again.
    One that cannot be analysed is reported and costs the others nothing. At the end ``all-expressions.csv`` holds the
    expressions of all.

    Args:
        settings: How to analyse; they name no output.
        out: Folder; made if missing.
        workers: Who analyses them.
        progress: Told now and then the milliseconds of video done, those there are as far as is known, and the files
            done.

    Raises:
        SettingsError: There are no files, an output is named, or ``out`` cannot be written.
        StreamspotError: A worker was killed.
    """
    _check(settings)
    if Path(settings.source).resolve() == out.resolve():
        raise SettingsError(f"{out} is where the files are; name another folder with --out")
    check_folder(out)
    broken: dict[Path, str] = {}
    clips = _named(clips_of(settings.source), settings, broken)
    todo = [clip for clip in clips if not _finished(out, clip)]
    lengths = {clip.path: _length(clip.path) for clip in todo}
    total, milliseconds, files = sum(lengths.values()), 0, len(clips) - len(todo)

    def advance(done: float) -> None:
        nonlocal milliseconds
        milliseconds += round(done)
        progress(milliseconds, max(total, milliseconds), files)

    advance(0)
    todo.sort(key=lambda clip: -lengths[clip.path])
    for clip, results in workers(_analyse, settings, todo, advance):
        files += 1
        if fault := results if isinstance(results, str) else _keep(out, clip, results):
            broken[clip.path] = fault
        advance(0)
    good = [clip for clip in clips if clip.path not in broken]
    _write_together(out, good)
    return Outcome(len(good), len(clips) - len(todo), broken)


def _check(settings: Settings) -> None:
    given = (
        settings.output.model_dump(exclude_defaults=True).keys()
        | settings.mqtt.model_dump(exclude_defaults=True).keys()
    )
    if given:
        flag = min(given).replace("_", "-")
        raise SettingsError(
            f"with --out the results of each file go to that folder; --{flag} would be one for all, so leave it out"
        )
    if settings.name.stream is not None:
        raise SettingsError("with --out each stream is called after its file; leave --stream out")


def _named(paths: Sequence[Path], settings: Settings, broken: dict[Path, str]) -> list[Clip]:
    """Give each file a name of its own: its own without the ending, or more of its path where two are the same."""
    stems = Counter(path.stem for path in paths)
    names = Counter(path.name for path in paths)
    how = settings.model_dump(mode="json", exclude={"source", "output", "mqtt"})
    clips = []
    for path in paths:
        name = path.stem if stems[path.stem] == 1 else path.name
        if names[path.name] > 1:
            name = f"{path.stem}-{digest(str(path.resolve()))[:6]}"
        try:
            clips.append(Clip(path, name, digest(file_identity(path), how, __version__)))
        except OSError as error:
            broken[path] = f"{path} cannot be read ({error.strerror}); check its permissions"
    return clips


def _finished(out: Path, clip: Clip) -> bool:
    """Tell whether a file has its results, made as it would be now."""
    try:
        said = json.loads((out / f"{clip.name}.json").read_text(encoding="utf-8"))
        return bool(said["how"] == clip.how) and all((out / f"{clip.name}{one}").is_file() for one in ENDINGS)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _length(path: Path) -> int:
    """Return the length of a video in milliseconds, 0 where it does not say."""
    import av  # noqa: PLC0415 - takes a while

    try:
        with av.open(str(path)) as container:
            return round((container.duration or 0) / 1000)
    except (av.error.FFmpegError, OSError):
        return 0


def _analyse(settings: Settings, clip: Clip, advance: Advance) -> dict[str, bytes] | str:
    """Return the files of a clip's results, by their endings, the summary last; or what is wrong with it."""
    one_thread()
    try:
        with tempfile.TemporaryDirectory() as folder:
            summary = _analysed(settings, clip, Path(folder), advance)
            results = {ending: Path(folder, f"{clip.name}{ending}").read_bytes() for ending in ENDINGS}
        return results | {".json": f"{json.dumps(summary, indent=1)}\n".encode()}
    except (StreamspotError, OSError) as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - whatever one file does, the others go on
        return f"unexpected {type(error).__name__}: {error}; report this fault of the program"


def _keep(out: Path, clip: Clip, results: dict[str, bytes]) -> str:
    """Write a clip's results, each file whole or not at all; return what is wrong with that, if anything is."""
    try:
        for ending, content in results.items():
            with write_atomically(out / f"{clip.name}{ending}") as part:
                part.write_bytes(content)
    except OSError as error:
        return str(error)
    return ""


def _analysed(settings: Settings, clip: Clip, folder: Path, advance: Advance) -> dict[str, object]:
    """Analyse a file into a folder; return how it went."""
    events, curve, recording = (folder / f"{clip.name}{ending}" for ending in ENDINGS)
    values = {
        leaf: value
        for group in settings.model_dump().values()
        if isinstance(group, dict)
        for leaf, value in group.items()
    }
    output = {"source": str(clip.path), "events": str(events), "intensity": curve}
    if not is_recording(clip.path):
        output["record"] = recording
    run = StreamRun(build({**values, **output}))
    run.load()
    said: list[str] = []
    first = 0.0

    async def follow() -> None:
        nonlocal first
        done = 0
        async with Outputs([run]) as outputs, Engine([run]) as engine:
            async for _, update in engine:
                await outputs.take(run, update)
                said.extend(update.messages)
                if update.session is None:
                    continue
                first = update.session.origin
                now = round(1000 * (update.pts - first))
                advance(max(0, now - done))
                done = max(done, now)
        if (complaint := outputs.complaint()) is not None:
            raise complaint

    run_to_end(follow())
    if is_recording(clip.path):
        shutil.copyfile(clip.path, recording)
    stats = run.stats
    pictures = (
        f"{stats.frames}, {stats.faceless} of them without a face"
        if stats.frames
        else "none: a recording of motion"
    )
    return {
        "format": SUMMARY,
        "how": clip.how,
        "seconds": round(stats.pts - first, 3),
        "about": {
            "Source": clip.path.name,
            "Pictures": pictures,
            "Weights": stats.model,
            "Sensitivity": f"{settings.spotting.sensitivity:g}",
            "Faces followed": f"{settings.face.faces} at most",
            "streamspot": __version__,
            **({"Remarks": "; ".join(dict.fromkeys(said))} if said else {}),
        },
    }


def _write_together(out: Path, clips: Sequence[Clip]) -> None:
    """Write the expressions of all files as one table; its first column names the file."""
    with write_atomically(out / TOGETHER) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ("file", *EXPRESSIONS.columns), lineterminator="\n")
        writer.writeheader()
        for clip in sorted(clips, key=lambda one: one.name):
            for event in read_events(out / f"{clip.name}.jsonl"):
                if (row := EXPRESSIONS.row(event)) is not None:
                    writer.writerow({"file": clip.path.name, **row})
