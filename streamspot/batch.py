"""Many recorded files, one after the other: each with results of its own, whatever happens to the others."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from streamspot import __version__
from streamspot.clips import ENDINGS, TOGETHER, Clip, clips_of, finished, finished_in, named_clips
from streamspot.destinations import check_folder
from streamspot.engine import Engine
from streamspot.errors import SettingsError, StreamspotError
from streamspot.events import read_events
from streamspot.files import write_atomically
from streamspot.loop import run_to_end
from streamspot.outputs import Outputs
from streamspot.processes import Advance, Processes, Workers
from streamspot.report.account import SUMMARY, UNFINISHED, summary_of
from streamspot.run import StreamRun
from streamspot.session import digest
from streamspot.settings import Settings, build
from streamspot.shipped import weight_files
from streamspot.sinks.columns import EXPRESSIONS
from streamspot.sources.base import whole_path
from streamspot.sources.motion import MotionRecording, is_recording
from streamspot.stats import Stats
from streamspot.threads import one_thread

_HERE = Processes()

_COLUMNS = ("file", *EXPRESSIONS.columns)


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """What became of a batch.

    Attributes:
        done: How many files have results.
        resumed: How many of them had them already.
        broken: File → what is wrong with it and what helps, of the others.
        earlier: Names of the other finished results in the folder, which earlier runs have left.
    """

    done: int
    resumed: int
    broken: dict[Path, str]
    earlier: list[str]


def run_batch(
    settings: Settings, out: Path, *, workers: Workers = _HERE, progress: Callable[[int, int, int, int], None]
) -> BatchOutcome:
    """Analyse every file of ``settings.source`` into ``out``: events, curve, recording and a summary of each.

    A file's results appear when they are whole. A file that has them, made in the same way, is not analysed again.
    One that cannot be analysed is reported and costs the others nothing; results that an earlier run has left of it
    count no longer. At the end ``all-expressions.csv`` holds the expressions of all finished results in ``out``, as a
    report does. What no batch has written is replaced only with ``settings.output.force``.

    Args:
        settings: How to analyse; they name no output but ``force``.
        out: Folder; made if missing.
        workers: Who analyses them.
        progress: Told now and then the milliseconds of video done, those there are as far as is known, the files
            done, and those there are.

    Raises:
        SettingsError: There are no files, an output is named, or ``out`` cannot be written, holds the files
            themselves or what would be replaced.
        StreamspotError: A worker was killed.
    """
    _check(settings)
    paths = clips_of(settings.source)
    for path in paths:
        if out.resolve() in {path.parent.resolve(), path.resolve().parent}:
            raise SettingsError(f"{out} is where {path.name} is; name another folder with --out")
    check_folder(out)
    broken: dict[Path, str] = {}
    clips = named_clips(paths, out, _how(settings), broken)
    if not settings.output.force:
        _check_replaced(out, clips)
    todo = [clip for clip in clips if not finished(out, clip)]
    lengths = {clip.path: _length(clip.path) for clip in todo}
    total, milliseconds, files = sum(lengths.values()), 0, len(paths) - len(todo)

    def advance(done: float) -> None:
        nonlocal milliseconds
        milliseconds += round(done)
        progress(milliseconds, max(total, milliseconds), files, len(paths))

    advance(0)
    todo.sort(key=lambda clip: -lengths[clip.path])
    for clip, results in workers(_analyse, settings, todo, advance):
        files += 1
        if fault := _outdate(out, clip, results) if isinstance(results, str) else _keep(out, clip, results):
            broken[clip.path] = fault
        advance(0)
    good = [clip for clip in clips if clip.path not in broken]
    earlier = _write_together(out, good)
    return BatchOutcome(len(good), len(clips) - len(todo), broken, earlier)


def _check(settings: Settings) -> None:
    given = (
        settings.output.model_dump(exclude={"force"}, exclude_defaults=True).keys()
        | settings.mqtt.model_dump(exclude_defaults=True).keys()
    )
    if given:
        name = min(given)
        raise SettingsError(
            f"with --out the results of each file go to that folder; the setting {name} (--{name.replace('_', '-')}, "
            "or in a settings file) would be one for all, so leave it out"
        )
    if settings.name.stream is not None:
        raise SettingsError("with --out each stream is called after its file; leave --stream out")


def _how(settings: Settings) -> str:
    """Return what stands for how files are analysed: settings, and the bytes of weights and of a face model."""
    chosen = settings.model_dump(
        mode="json",
        exclude={
            "source": True,
            "output": True,
            "mqtt": True,
            "model": {"weights"},
            "face": {"face_model"},
        },
    )
    files = [*weight_files(settings.model.weights), settings.face.face_model]
    return digest(chosen, *(_content(file) for file in files if file is not None), __version__)


def _content(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError:  # the analysis will tell
        return str(file)


def _check_replaced(out: Path, clips: Sequence[Clip]) -> None:
    """Refuse to replace what no batch has written."""
    foreign = [
        file
        for clip in clips
        if not summary_of(out, clip.name)
        for ending in (".json", *ENDINGS)
        if (file := out / f"{clip.name}{ending}").exists()
    ]
    table = out / TOGETHER
    if table.exists() and not (table.is_file() and _begins(table, (",".join(_COLUMNS[:7]) + ",").encode())):
        foreign.append(table)
    if foreign:
        raise SettingsError(
            f"{foreign[0]} was not written by a run with --out and would be replaced; name another folder with "
            "--out, or add --force to replace it"
        )


def _begins(file: Path, head: bytes) -> bool:
    with file.open("rb") as opened:
        return opened.read(len(head)) == head


def _length(path: Path) -> int:
    """Return the length of a video in milliseconds, 0 where it does not say."""
    import av  # noqa: PLC0415 - takes a while

    try:
        with av.open(whole_path(path)) as container:
            return round((container.duration or 0) / 1000)
    except (av.error.FFmpegError, OSError):
        return 0


def _analyse(settings: Settings, clip: Clip, advance: Advance) -> dict[str, bytes] | str:
    """Return the files of a clip's results, by their endings, the summary last; or what is wrong with it."""
    one_thread()
    try:
        with tempfile.TemporaryDirectory() as folder:
            stats, seconds, said = _run(settings, clip, Path(folder), advance)
            summary = _summary(settings, clip, stats, seconds, said)
            results = {ending: Path(folder, f"{clip.name}{ending}").read_bytes() for ending in ENDINGS}
        return results | {".json": f"{json.dumps(summary, indent=1)}\n".encode()}
    except (StreamspotError, OSError) as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - whatever one file does, the others go on
        return f"unexpected {type(error).__name__}: {error}; report this fault of the program"


def _keep(out: Path, clip: Clip, results: dict[str, bytes]) -> str:
    """Write a clip's results, each file whole or not at all; return what is wrong with that, if anything is.

    A summary of nothing goes before them, so that they are known for a batch's own if it is stopped in between.
    """
    try:
        for ending, content in ((".json", _unfinished(clip)), *results.items()):
            with write_atomically(out / f"{clip.name}{ending}") as part:
                part.write_bytes(content)
    except OSError as error:
        return (
            f"its results cannot be written to {out} ({error.strerror}); make room there, or name another folder "
            "with --out"
        )
    return ""


def _outdate(out: Path, clip: Clip, fault: str) -> str:
    """Let results that an earlier run has left of a clip count no longer; return what is wrong with it."""
    if summary_of(out, clip.name).get("place") != clip.place:
        return fault
    with suppress(OSError), write_atomically(out / f"{clip.name}.json") as part:
        part.write_bytes(_unfinished(clip))
    return f"{fault} (what an earlier run found in it counts no longer)"


def _unfinished(clip: Clip) -> bytes:
    begun = {"format": SUMMARY, "place": clip.place, "how": UNFINISHED, "seconds": 0, "about": {}}
    return json.dumps(begun).encode()


def _run(settings: Settings, clip: Clip, folder: Path, advance: Advance) -> tuple[Stats, float, list[str]]:
    """Analyse a file into a folder; return the run's statistics, how many seconds it saw, and what it said."""
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
    last = run.stats.pts
    if is_recording(clip.path):
        shutil.copyfile(clip.path, recording)
        kept = MotionRecording(recording)
        first = kept.session.origin
        last = max(first, last, kept.duration)  # there may be no face at its end
    return run.stats, last - first, said


def _summary(
    settings: Settings, clip: Clip, stats: Stats, seconds: float, said: Sequence[str]
) -> dict[str, object]:
    """Return how the analysis of a file went, for the report of its results."""
    pictures = (
        f"{stats.frames}, {stats.faceless} of them without a face"
        if stats.frames
        else "none: a recording of motion"
    )
    return {
        "format": SUMMARY,
        "place": clip.place,
        "how": clip.how,
        "seconds": round(seconds, 3),
        "about": {
            "Source": clip.file,
            "Pictures": pictures,
            "Weights": stats.model,
            "Sensitivity": f"{settings.spotting.sensitivity:g}",
            "Faces followed": f"{settings.face.faces} at most",
            "streamspot": __version__,
            **({"Remarks": "; ".join(dict.fromkeys(said))} if said else {}),
        },
    }


def _write_together(out: Path, clips: Sequence[Clip]) -> list[str]:
    """Write the expressions of all finished results as one table; its first column names the file.

    Return the names of those that are of none of the clips.
    """
    own = {clip.name: clip.file for clip in clips}
    files = finished_in(out) | own
    with (
        write_atomically(out / TOGETHER) as part,
        part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        writer = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        for name in sorted(files):
            for event in read_events(out / f"{name}.jsonl"):
                if (row := EXPRESSIONS.row(event)) is not None:
                    writer.writerow({"file": files[name], **row})
    return sorted(files.keys() - own.keys())
