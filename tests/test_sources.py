"""Promises of what is written for a source: a source under its own name, or one clear sentence that keeps secrets."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_pictures import encoded, write_clip

from streamspot.credentials import without_secrets
from streamspot.errors import SourceError
from streamspot.review.pictures import times_of
from streamspot.sources import open_source
from streamspot.sources.base import read_options, slug

# What cannot be opened


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("nowhere.mp4", "there is no file nowhere.mp4"),
        ("", "no source"),
        ("ftp://host/clip.mp4", "ftp://"),
        ("rtsp://", "names no host"),
        ("rtsp://host:port/x", "malformed"),
        ("synthetic:colour=red", "'colour'"),
        ("synthetic:seed=x", "'x'"),
        ("synthetic:fps=0", "fps='0'"),
        ("-?size=640", "size='640'"),
        ("-?bits=8", "'bits'"),
        ("97?fps=fast", "fps='fast'"),
        ("97", "camera 97"),
        ("/dev/video97", "/dev/video97"),
        ("/dev/stdin", "give -"),
        ("/dev/fd/99", "give -"),
    ],
)
def test_bad_source_is_one_sentence_with_a_remedy(spec, said):
    """A source that cannot be had is refused in one sentence that names it and says what to do."""
    with pytest.raises(SourceError) as caught:
        next(open_source(spec).read())
    assert said in str(caught.value)
    assert ";" in str(caught.value)
    assert "\n" not in str(caught.value)


def _nobody_there(address: str, *, follow: bool = False):
    raise SourceError(f"{without_secrets(address)} does not answer; check it")


@settings(max_examples=150, deadline=None)
@given(
    st.builds(
        "{}{}{}".format,
        st.sampled_from(
            ["", "~", "~nobody", "/", "file://", "http://", "rtsp://", "synthetic:", "-?", "5?", "/dev/"]
        ),
        st.text(max_size=300),
        st.sampled_from(["", "?fps=3", "/", ":99999", "%zz", "\0", "x" * 300, "@[", "]"]),
    )
)
def test_any_text_is_a_source_or_a_sentence(spec):
    """Whatever is written for a source, there is one or a SourceError, and its stream may stand in a topic."""
    with contextlib.suppress(SourceError), pytest.MonkeyPatch.context() as patch:
        patch.setattr("streamspot.sources.opening.open_address", _nobody_there)
        source = open_source(spec)
        assert slug(source.stream) == source.stream


def test_bad_file_is_one_sentence_with_a_remedy(tmp_path):
    """Empty, foreign and truncated files and empty folders are refused by name."""
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video\n" * 100)
    whole = write_clip(tmp_path / "whole.mp4", codec="mp4v").read_bytes()
    (tmp_path / "head.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "folder.mp4").mkdir()
    os.mkfifo(tmp_path / "pipe.mp4")
    for name in ("empty.mp4", "text.mp4", "head.mp4", "folder.mp4", "pipe.mp4"):
        with pytest.raises(SourceError, match=name):
            next(open_source(str(tmp_path / name)).read())


# Names


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://me:pw@cam.local:554/live?token=pw#pw", "rtsp://cam.local:554/live"),
        ("rtsp://me:pw@x@cam/live", "rtsp://cam/live"),
        ("rtsp://me:pw/1?#@cam/live", "rtsp://cam/live"),
        ("rtsp://cam:554/user=me&password=pw&channel=1.sdp", "rtsp://cam:554/"),
        ("rtsp://cam/user=me_password=pw_channel=1.sdp", "rtsp://cam/"),
        ("rtsp://cam/a@b/c", "rtsp://cam/a@b/c"),
        ("http://cam/a%20b.mp4", "http://cam/a%20b.mp4"),
    ],
)
def test_credentials_are_never_shown(address, shown):
    """Neither user, password nor token of an address stands in a name."""
    assert without_secrets(address) == shown


def test_a_wrong_address_does_not_tell_the_password():
    """An address that cannot be read is refused without repeating its password."""
    for address in ("rtsp://me:s3cret@127.0.0.1:9/x", "http://me:s3/cret@127.0.0.1:9/x"):
        with pytest.raises(SourceError) as caught:
            next(open_source(address).read())
        assert "s3" not in str(caught.value)
        assert "cret" not in str(caught.value)


@settings(max_examples=50)
@given(st.text())
def test_stream_names_fit_a_topic(text):
    """Whatever a file is called, its stream name may stand in an MQTT topic."""
    name = slug(text)
    assert 0 < len(name) <= 40
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-")


def test_streams_are_named_after_their_source(tmp_path):
    """Cameras are cam0; files and addresses have a title and six letters that stand for where they are."""
    clip = write_clip(tmp_path / "My Clip (1).avi", 1)
    assert re.fullmatch("my-clip-1-[0-9a-f]{6}", open_source(str(clip)).stream)
    assert open_source(clip.as_uri()).stream == open_source(str(clip)).stream
    assert open_source("0").stream == "cam0"
    assert open_source("/dev/video2").stream == "cam2"
    assert open_source("/dev/v4l/by-id/usb-Eye_1-index0").stream == "usb-eye_1-index0"
    address = "rtsp://u:p@cam.local/live%20one?token=1"
    assert re.fullmatch("cam-local-live-one-[0-9a-f]{6}", open_source(address).stream)
    assert open_source(address.replace("u:p", "u:other")).stream == open_source(address).stream
    assert re.fullmatch("cam-[0-9a-f]{6}", open_source("rtsp://cam/user=me&password=pw&channel=1.sdp").stream)
    assert open_source("-").stream == "stdin"


@pytest.mark.parametrize("address", ["rtsp://Cam/Live?A=B", "tcp://Cam:1/Live"])
def test_capital_letters_in_a_scheme_change_nothing(address, monkeypatch):
    """An address is the same source, and reaches FFmpeg in the same words, however its scheme is written."""
    asked = []
    monkeypatch.setattr(
        "streamspot.sources.opening.open_address",
        lambda address, **_: asked.append(address) or _nobody_there(address),
    )
    scheme, _, rest = address.partition(":")
    sources = [open_source(f"{written}:{rest}") for written in (scheme, scheme.upper(), scheme.title())]
    for source in sources:
        with pytest.raises(SourceError):
            next(source.read())
    assert asked == [address] * 3
    assert len({source.stream for source in sources}) == 1


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="there is no /dev/shm here")  # noqa: S108
def test_what_lies_in_the_memory_is_no_camera():
    """A file or folder under /dev/shm is read as anywhere else."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        clip = write_clip(Path(folder) / "clip.avi", 5)
        assert len(list(open_source(str(clip)).read())) == 5
        (Path(folder) / "1.jpg").write_bytes(encoded(1, ".jpg"))
        assert len(list(open_source(folder).read())) == 1


def test_two_sources_never_share_a_name(tmp_path, monkeypatch):
    """Names in any script, equal names in two folders, two channels of one camera: each stream has its own name."""
    monkeypatch.chdir(tmp_path)
    files = ("видео.mp4", "笑顔.mp4", "P01/video.mp4", "P02/video.mp4", "video.mp4", "video.mov", "Émile.mp4")
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        write_clip(tmp_path / file, 1, codec="mp4v")
    for folder in ("a/seq", "b/seq"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "1.png").write_bytes(encoded(1, ".png"))
    addresses = (
        "rtsp://cam/live?channel=1",
        "rtsp://cam/live?channel=2",
        "rtsp://cam/1/live",
        "rtsp://cam:555/1/live",
    )
    names = [open_source(spec).stream for spec in (*files, "a/seq", "b/seq", *addresses)]
    assert len(set(names)) == len(names)
    assert all(slug(name) == name for name in names)
    assert open_source("P01/video.mp4").stream == open_source(str(tmp_path / "P01" / "video.mp4")).stream
    assert open_source("Émile.mp4").stream.startswith("emile-")


@pytest.mark.parametrize("name", ["2026-11-29T10:30.mp4", "concat:a.mp4"])
def test_a_colon_in_a_file_name_names_no_protocol(tmp_path, monkeypatch, name):
    """A recording is read under any name, wherever its file is opened."""
    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / name, 5, codec="mp4v")
    assert len(list(open_source(name).read())) == 5
    assert len(times_of(name)) == 5


def test_identity_names_the_content(tmp_path):
    """A copy of a recording has its identity, another recording another, and a live run always a new one."""
    (tmp_path / "copy").mkdir()
    first = write_clip(tmp_path / "a.avi", 5)
    copy = Path(shutil.copy(first, tmp_path / "copy" / "a.avi"))
    os.utime(copy, (1, 1))
    other = write_clip(tmp_path / "copy" / "b.avi", 6).rename(tmp_path / "b.avi")
    assert open_source(str(first)).identity == open_source(str(copy)).identity
    assert open_source(str(first)).identity != open_source(str(other)).identity
    assert open_source("0").identity != open_source("0").identity
    assert open_source("synthetic:seed=1").identity != open_source("synthetic:seed=2").identity


@given(st.text(st.characters(codec="ascii"), max_size=30))
def test_options_are_read_or_refused(text):
    """Any text for options gives numbers or a SourceError."""
    try:
        options = read_options(text, {"size": tuple, "fps": float, "seed": int}, "x")
    except SourceError:
        return
    assert set(options) <= {"size", "fps", "seed"}
