"""Files are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from streamspot.files import write_atomically


def test_a_reader_sees_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    """Until the new content is complete the old one stays; then nothing but the file is left."""
    path = tmp_path / "labels.csv"
    path.write_text("old")
    with write_atomically(path) as part:
        part.write_text("new, half")
        assert path.read_text() == "old"
        part.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_one_and_its_file_gets_the_content(tmp_path: Path) -> None:
    """Labels in a file that several folders share reach all of them, also where the file is yet to come."""
    shared, here = tmp_path / "shared", tmp_path / "here"
    shared.mkdir()
    here.mkdir()
    (shared / "old.csv").write_text("old")
    for name in ("old.csv", "new.csv"):
        (here / name).symlink_to(shared / name)
        with write_atomically(here / name) as part:
            part.write_text("new")
        assert (here / name).is_symlink()
        assert (shared / name).read_text() == "new"
    assert len(list(shared.iterdir())) == len(list(here.iterdir())) == 2


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_interrupted_write_changes_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    """After a full disk or Ctrl-C the old file is as it was, and no part lies about."""
    path = tmp_path / "labels.csv"
    path.write_text("old")

    def write() -> None:
        with write_atomically(path) as part:
            part.write_text("half")
            raise error

    with pytest.raises(error):
        write()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_of_one_file_do_not_mix(tmp_path: Path) -> None:
    """Of two processes that write at once the later wins, with all that it wrote."""
    path = tmp_path / "results.json"
    with write_atomically(path) as one, write_atomically(path) as other:
        one.write_text("one")
        other.write_text("other")
    assert path.read_text() == "one"


@pytest.mark.skipif(os.name == "nt", reason="the system has no such rights")
@pytest.mark.parametrize(("private", "rights"), [(True, 0o600), (False, 0o644)])
def test_who_may_read_does_not_depend_on_who_writes(tmp_path: Path, private: bool, rights: int) -> None:
    """A library that puts a file of its own in the place gives it to nobody else, and withholds it from nobody."""
    path, before = tmp_path / "weights.safetensors", os.umask(0o022)
    try:
        with write_atomically(path, private=private) as part:
            part.unlink()
            part.touch(0o666 if private else 0o600)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == rights
