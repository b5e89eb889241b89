"""Where results go: nothing there is destroyed, and a place that cannot be written is said before the work."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from streamspot.errors import SettingsError, cut
from streamspot.files import make_private
from streamspot.sinks.columns import CURVE, EXPRESSIONS, PHASES
from streamspot.sinks.table import columns_of
from streamspot.sources.base import kind_of
from streamspot.sources.motion import is_recording

_TABLES = {"log": PHASES, "expressions": EXPRESSIONS}
_OURS: dict[str, bytes] = {
    "events": b'{"specversion":"1.0"',
    "intensity": CURVE.encode(),
    **{flag: ",".join(table.columns).encode() for flag, table in _TABLES.items()},
}
"""How the files begin that an output may replace, or append to: those that a run has written before."""

_STREAM = re.compile(rb'"source":"streamspot/[^"/]*/([^"/]*)"')


def check_outputs(
    outputs: Mapping[str, Path | None],
    inputs: Iterable[str | Path | None],
    *,
    streams: Collection[str] = (),
    once: bool = False,
    force: bool = False,
) -> None:
    """Refuse outputs that would destroy something, or cannot be written.

    Args:
        outputs: Name of the flag (``events``, ``intensity``, ``log``, ``expressions``, ``record``) → file, ``-`` for
            standard output, None where there is none. Labels stand in ``points.csv`` beside what is recorded.
        inputs: What is read: the source, weights, a face model; what is no path is passed over.
        streams: Names of the streams that are run; the events of others are not replaced.
        once: Whether one of them cannot be read again, so that nothing is replaced that an earlier run has given.
        force: Whatever is there may be replaced, but for what is read.

    Raises:
        SettingsError: An output is an input or another output, or would replace a recording, what cannot be made
            again, events of another stream or a file of another program, or be mixed with another table; or its
            folder is missing or takes no file.
    """
    read = [Path(one) for one in inputs if one is not None and kind_of(one) in {"file", "folder"}]
    record = outputs.get("record")
    taken: dict[Path, str] = (
        {} if record is None else {_place(record.with_name("points.csv")): "record (its labels)"}
    )
    for flag, path in _files(outputs):
        place = _place(path)
        if other := next((name for one, name in taken.items() if _same(one, place)), None):
            raise SettingsError(f"--{other} and --{flag} both name {path}; give each a file of its own")
        taken[place] = flag
        for one in read:
            if _same(_place(one), place) or (kind_of(one) == "folder" and _place(one) in place.parents):
                raise SettingsError(f"--{flag} {path} is read by this very run; name another file")
        if place.suffix != ".parquet":
            check_writable(path, f"--{flag}")
        elif kind_of(path) == "file":
            raise SettingsError(
                f"--{flag} {path} is a file, and Parquet goes into a folder of that name; name another"
            )
        elif not force and kind_of(path) == "folder" and _holds_another_table(path, flag):
            raise SettingsError(
                f"--{flag} {path} holds a table of other columns and would be mixed with it; name another folder, or "
                "add --force to mix them"
            )
        if kind_of(path) == "file" and not force and (what := _not_ours(path, flag, streams, once=once)):
            raise SettingsError(
                f"--{flag} {path} {what} and would be replaced; name another file, or add --force to replace it"
            )


def _files(outputs: Mapping[str, Path | None]) -> list[tuple[str, Path]]:
    """Return the outputs that are files, and no standard output, device or pipe, which keep nothing."""
    given = [(flag, path) for flag, path in outputs.items() if path is not None]
    printed = [flag for flag, path in given if str(path) == "-"]
    if len(printed) > 1:
        raise SettingsError(
            f"--{printed[0]} and --{printed[1]} both go to the standard output; give one of them a file"
        )
    return [(flag, path) for flag, path in given if flag not in printed and kind_of(path) != "other"]


def _place(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        raise SettingsError(f"{path} leads in a circle of links; name another file") from None


def _same(one: Path, other: Path) -> bool:
    """Tell whether two paths lead to one file, by whatever links."""
    return one == other or (kind_of(one) == kind_of(other) == "file" and one.samefile(other))


def _not_ours(path: Path, flag: str, streams: Collection[str], *, once: bool) -> str:
    """Return what forbids that a file is replaced, empty if it is empty or these streams give it again."""
    with path.open("rb") as file:
        head = file.read(max(map(len, _OURS.values())))
        if head and not (flag in _OURS and head.startswith(_OURS[flag])):
            return "is a recording" if is_recording(path) else "is a file of another program"
        if head and once and flag not in _TABLES:
            return "holds what an earlier run has seen of a source that cannot be read again"
        if flag == "events":
            file.seek(0)
            for line in file:
                if (found := _STREAM.search(line)) and (
                    stream := found[1].decode("utf-8", "replace")
                ) not in streams:
                    return f"holds events of another source, {cut(stream)},"
    return ""


def _holds_another_table(folder: Path, flag: str) -> bool:
    """Tell whether a folder of Parquet holds another table than an output that is one."""
    part = next(folder.glob("*.parquet"), None)
    return part is not None and flag in _TABLES and columns_of(part) != list(_TABLES[flag].columns)


def check_writable(path: Path, flag: str = "--out") -> None:
    """Check, before the work, that a file can be written there.

    Raises:
        SettingsError: Its folder does not exist or takes no file, or the path is a folder.
    """
    folder = path.parent
    if kind_of(path) == "folder":
        raise SettingsError(f"{path} is a folder; name another with {flag}")
    if kind_of(folder) != "folder":
        raise SettingsError(
            f"{path} cannot be written: there is no folder {folder}; name another with {flag}"
        )
    if not os.access(path if kind_of(path) else folder, os.W_OK):
        raise SettingsError(f"{path} cannot be written; name another with {flag}")


def check_not_read(path: Path, inputs: Iterable[Path | None]) -> None:
    """Check that what a command writes is none of what it reads, which is kept even by force.

    Raises:
        SettingsError: It is.
    """
    if any(_same(_place(one), _place(path)) for one in inputs if one is not None):
        raise SettingsError(f"{path} is read by this very command; name another file with --out")


_ANOTHER_PAGE = "name another with --out, or add --force to replace it"


def check_page(
    path: Path, inputs: Iterable[Path | None], *, force: bool = False, remedy: str = _ANOTHER_PAGE
) -> None:
    """Check, before the work, that a report can be written, and that it replaces nothing but a report.

    Args:
        path: The page.
        inputs: What is read, which is kept even by force.
        force: A file of another program may be replaced.
        remedy: What to say where one would be.

    Raises:
        SettingsError: It cannot be written, is read, or would replace a file of another program.
    """
    check_writable(path)
    check_not_read(path, inputs)
    if kind_of(path) != "file" or force:
        return
    with path.open("rb") as file:
        head = file.read(1024)
    if head and not (head.startswith(b"<!doctype html>") and b"<title>streamspot: " in head):
        raise SettingsError(f"{path} is no report of this program and would be replaced; {remedy}")


def check_result(path: Path, ending: str, flag: str = "--out") -> None:
    """Check, before the work, that a result can be written, and by its ending that no other file is replaced.

    Raises:
        SettingsError: It cannot, or it has another ending.
    """
    if path.suffix != ending:
        raise SettingsError(f"{flag} {path} does not end in {ending}; name it {path.stem}{ending}")
    check_writable(path)


def check_data_set(out: Path, folder: Path) -> None:
    """Check, before the work, that a data set can be written, and that it replaces no labels but its own.

    Args:
        out: Its folder, which is made.
        folder: Where the videos and their labels are.

    Raises:
        SettingsError: It is that folder, holds labels of another program, or cannot be written.
    """
    if _place(out) == _place(folder):
        raise SettingsError(f"{out} is the folder that is read; name another folder with --out")
    if (out / "annotations.csv").exists() and not (out / "meta.yaml").exists():
        raise SettingsError(
            f"{out / 'annotations.csv'} is none of a data set and would be replaced; name another folder with --out"
        )
    check_folder(out)


def check_folder(folder: Path) -> None:
    """Make the folder of ``--out`` before the work, and check that files can be written there.

    Raises:
        SettingsError: It cannot be made, or takes none.
    """
    try:
        make_private(folder)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SettingsError(
            f"{folder} cannot be written ({error.strerror}); name another folder with --out"
        ) from None
