"""Promises of the sources: whatever the input, frames in order at honest times, or one clear sentence."""

from __future__ import annotations

import contextlib
import http.server
import os
import shutil
import signal
import struct
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamspot.errors import SourceError
from streamspot.sources import EndOfStream, FrameFeed, Source, open_source
from streamspot.sources.base import Timeline, as_bgr, new_messages, read_options, redact, slug
from streamspot.sources.cameras import list_cameras
from streamspot.sources.images import natural
from streamspot.sources.live import Clock, LiveSource, Origin
from streamspot.sources.stdin import StandardInput
from streamspot.types import Frame

ROOT = Path(__file__).parents[1]
CLIPS = Path(os.environ.get("STREAMSPOT_DATA", ROOT.parent / "shared" / "data")) / "clips"


def _picture(number: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A picture whose brightness tells its number, with something for an encoder to chew on."""
    image = np.full((height, width, 3), 20 + 5 * (number % 40), np.uint8)
    image[: height // 4, : width // 4] = (255, 0, 0)
    return image


def _write(path: Path, count: int = 20, fps: float = 25.0, codec: str = "MJPG", size=(64, 48)) -> Path:
    # OpenCV's own writer takes odd sizes, FFmpeg's cuts them.
    backend = cv2.CAP_OPENCV_MJPEG if size[0] % 2 else cv2.CAP_FFMPEG
    writer = cv2.VideoWriter(str(path), backend, cv2.VideoWriter.fourcc(*codec), fps, size)
    assert writer.isOpened()
    for number in range(count):
        writer.write(_picture(number, *size))
    writer.release()
    return path


# Recorded video


@pytest.mark.parametrize(
    "case",
    [
        ("a.avi", "MJPG", 20, 25.0, (64, 48)),
        ("b.mp4", "mp4v", 20, 30.0, (64, 48)),
        ("fast.avi", "MJPG", 60, 200.0, (64, 48)),
        ("one.avi", "MJPG", 1, 30.0, (64, 48)),
        ("odd.avi", "MJPG", 5, 30.0, (63, 47)),
        ("ntsc.mp4", "mp4v", 30, 29.97, (64, 48)),
        ("100% ü#x?.avi", "MJPG", 3, 30.0, (64, 48)),
    ],
)
def test_file_gives_every_picture_at_its_time(tmp_path, case):
    """Every picture of a recorded video comes once, in order, at its own time, as BGR bytes."""
    name, codec, count, fps, size = case
    source = open_source(str(_write(tmp_path / name, count, fps, codec, size)))
    frames = list(source.frames())
    assert [frame.index for frame in frames] == list(range(count))
    assert np.allclose([frame.pts for frame in frames], np.arange(count) / fps, atol=2e-3)
    assert all(frame.image.shape == (size[1], size[0], 3) for frame in frames)
    assert all(frame.image.dtype == np.uint8 for frame in frames)
    assert source.fps == pytest.approx(fps, rel=1e-3)
    assert not source.live
    assert not source.messages
    blue, _, red = frames[0].image[2, 2]
    assert blue > 200
    assert red < 60


def test_variable_frame_rate_is_honoured(tmp_path):
    """An animation whose pictures last differently long keeps its own times."""
    pillow = pytest.importorskip("PIL.Image")
    pictures = [pillow.fromarray(_picture(7 * number)) for number in range(4)]
    path = tmp_path / "vfr.gif"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=[100, 300, 50, 200], loop=0)
    pts = [frame.pts for frame in open_source(str(path)).frames()]
    assert np.allclose(pts, [0.0, 0.1, 0.4, 0.45], atol=0.011)


def test_damaged_file_ends_at_the_damage_with_a_message(tmp_path):
    """A file that was cut short gives what is left of it, and one sentence that says so."""
    path = _write(tmp_path / "cut.avi", 50)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    source = open_source(str(path))
    frames = list(source.frames())
    assert 10 < len(frames) < 40
    assert len(source.messages) == 1
    assert "damaged or cut short" in source.messages[0]


def test_noise_within_a_file_never_raises_anything_but_a_sentence(tmp_path):
    """Random bytes in the middle of a video end in fewer frames or a SourceError, never in a crash."""
    data = bytearray(_write(tmp_path / "whole.mp4", 30, codec="mp4v").read_bytes())
    rng = np.random.default_rng(0)
    for number in range(8):
        broken = data.copy()
        at = int(rng.integers(40, len(data) - 200))
        broken[at : at + 150] = rng.bytes(150)
        path = tmp_path / f"broken{number}.mp4"
        path.write_bytes(broken)
        try:
            frames = list(open_source(str(path)).frames())
        except SourceError as error:
            assert str(path) in str(error)  # noqa: PT017 - either outcome is right
        else:
            assert all(b.pts > a.pts for a, b in pairwise(frames))


def test_rotated_video_comes_upright(tmp_path):
    """A video whose metadata says that the camera was held upright is turned before anyone sees it."""
    path = _write(tmp_path / "phone.mp4", 3, codec="mp4v")
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40
    one = 1 << 16
    data[matrix : matrix + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 48 * one, 0, 1 << 30)
    path.write_bytes(data)
    image = next(open_source(str(path)).frames()).image
    assert image.shape == (64, 48, 3)
    blue, _, red = image[2, -3]  # the mark was at the top left
    assert blue > 200
    assert red < 60


@pytest.mark.skipif(not CLIPS.exists(), reason="the development clips are not beside this checkout")
@pytest.mark.parametrize(
    ("name", "count", "length"),
    [("single_face.mp4", 72, 2.367), ("face_noface.mov", 169, 6.377), ("two_faces.gif", 56, 4.58)],
)
def test_real_clips_are_read_whole(name, count, length):
    """Clips from a phone, a web site and an animation give all their pictures at increasing times."""
    pts = [frame.pts for frame in open_source(str(CLIPS / name)).frames()]
    assert len(pts) == count
    assert pts[-1] == pytest.approx(length, abs=0.01)
    assert min(np.diff(pts)) > 0.005


# Times


@given(
    st.lists(st.floats(0.001, 0.5), min_size=1, max_size=50),
    st.floats(-100, 1e6),
)
def test_increasing_stamps_are_kept(steps, start):
    """A container whose stamps increase is believed to the microsecond, wherever its clock starts."""
    stamps = start + np.concatenate([[0.0], np.cumsum(steps)])
    timeline = Timeline(30)
    pts = [timeline.stamp(float(stamp)) for stamp in stamps]
    assert np.allclose(pts, stamps - start, atol=1e-6)
    assert timeline.repaired == 0


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), min_size=2), st.floats(1, 240))
def test_time_always_goes_on(stamps, fps):
    """Whatever nonsense a container claims, times increase strictly."""
    timeline = Timeline(fps)
    pts = [timeline.stamp(min(stamp, 1e9)) for stamp in stamps]
    assert all(b > a for a, b in pairwise(pts))


def test_no_stamps_means_nominal_rate():
    """Pictures of a container without time stamps follow each other at its nominal rate."""
    timeline = Timeline(25)
    assert np.allclose([timeline.stamp(0.0) for _ in range(5)], np.arange(5) / 25)


def test_restarted_clock_goes_on():
    """Two recordings glued together follow each other without a gap and without a jump back."""
    timeline = Timeline(10)
    pts = [timeline.stamp(stamp) for stamp in (0.0, 0.1, 5.0, 0.0, 0.1, 0.2)]
    assert np.allclose(pts, [0.0, 0.1, 5.0, 5.1, 5.2, 5.3])


@given(st.lists(st.tuples(st.floats(1e-4, 2.0), st.floats(width=32)), min_size=1, max_size=60))
def test_live_time_increases_and_follows_this_computers_clock(pairs):
    """Whatever a camera's driver claims, live times increase and stay near the time of arrival."""
    clock = Clock()
    arrived = 1000.0
    last = -1.0
    for step, device in pairs:
        arrived += step
        pts = clock.stamp(arrived, device)
        assert pts > last
        assert abs(pts - (arrived - 1000.0 - pairs[0][0])) < 1.02
        last = pts


def test_live_time_takes_the_jitter_out():
    """A device's regular stamps win over an irregular arrival, and a restart of its clock does no harm."""
    clock = Clock()
    rng = np.random.default_rng(1)
    pts = []
    for number in range(600):
        if number == 300:
            clock.restart()
        device = 50 + (number % 300) / 30
        pts.append(clock.stamp(900 + number / 30 + rng.uniform(0, 0.02), device))
    steps = np.diff(pts)
    assert np.std(steps[100:290]) < 2e-4
    assert np.std(steps[400:]) < 2e-4
    assert max(steps) < 0.06


def test_invented_stamps_are_not_believed():
    """A decoder that numbers pictures 25 a second while 10 arrive does not bend time."""
    clock = Clock()
    pts = [clock.stamp(900 + number / 10, number / 25) for number in range(300)]
    assert np.allclose(np.diff(pts), 0.1)


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
    ],
)
def test_bad_source_is_one_sentence_with_a_remedy(spec, said):
    """A source that cannot be had is refused in one sentence that names it and says what to do."""
    with pytest.raises(SourceError) as caught:
        next(open_source(spec).frames())
    assert said in str(caught.value)
    assert ";" in str(caught.value)
    assert "\n" not in str(caught.value)


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
    with contextlib.suppress(SourceError):
        source = open_source(spec)
        assert slug(source.stream) == source.stream


def test_bad_file_is_one_sentence_with_a_remedy(tmp_path):
    """Empty, foreign and truncated files and empty folders are refused by name."""
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video\n" * 100)
    whole = _write(tmp_path / "whole.mp4", codec="mp4v").read_bytes()
    (tmp_path / "head.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "folder.mp4").mkdir()
    os.mkfifo(tmp_path / "pipe.mp4")
    for name in ("empty.mp4", "text.mp4", "head.mp4", "folder.mp4", "pipe.mp4"):
        with pytest.raises(SourceError, match=name):
            next(open_source(str(tmp_path / name)).frames())


def test_missing_camera_names_those_there_are(tmp_path):
    """Cameras are listed with index, path and the driver's name, in order, without opening them."""
    for index in (10, 2, 0):
        (tmp_path / f"video{index}").touch()
        (tmp_path / "sys" / f"video{index}").mkdir(parents=True)
        (tmp_path / "sys" / f"video{index}" / "name").write_text(f"Eye {index}\n")
    (tmp_path / "video-codec").touch()
    if sys.platform != "linux":
        pytest.skip("only Linux has device files")
    found = list_cameras(dev=tmp_path, sysfs=tmp_path / "sys")
    assert [(camera.index, camera.name) for camera in found] == [(0, "Eye 0"), (2, "Eye 2"), (10, "Eye 10")]
    started = time.monotonic()
    list_cameras(measure=True)
    assert time.monotonic() - started < 20


# Names


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://me:pw@cam.local:554/live?token=pw#pw", "rtsp://cam.local:554/live"),
        ("rtsp://me:pw@x@cam/live", "rtsp://cam/live"),
        ("rtsp://me:pw/1?#@cam/live", "rtsp://cam/live"),
        ("http://cam/a%20b.mp4", "http://cam/a%20b.mp4"),
    ],
)
def test_credentials_are_never_shown(address, shown):
    """Neither user, password nor token of an address stands in a name."""
    assert redact(address) == shown


def test_a_wrong_address_does_not_tell_the_password():
    """An address that cannot be read is refused without repeating its password."""
    for address in ("rtsp://me:s3cret@127.0.0.1:9/x", "http://me:s3/cret@127.0.0.1:9/x"):
        with pytest.raises(SourceError) as caught:
            next(open_source(address).frames())
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
    """Cameras are cam0, files are named after themselves, addresses after host and path."""
    clip = _write(tmp_path / "My Clip (1).avi", 1)
    assert open_source(str(clip)).stream == "my-clip-1"
    assert open_source(clip.as_uri()).stream == "my-clip-1"
    assert open_source("0").stream == "cam0"
    assert open_source("/dev/video2").stream == "cam2"
    assert open_source("/dev/v4l/by-id/usb-Eye_1-index0").stream == "usb-eye_1-index0"
    assert open_source("rtsp://u:p@cam.local/live%20one?token=1").stream == "cam-local-live-one"
    assert open_source("-").stream == "stdin"


def test_identity_names_the_content(tmp_path):
    """A copy of a recording has its identity, another recording another, and a live run always a new one."""
    (tmp_path / "copy").mkdir()
    first = _write(tmp_path / "a.avi", 5)
    copy = Path(shutil.copy(first, tmp_path / "copy" / "a.avi"))
    os.utime(copy, (1, 1))
    other = _write(tmp_path / "copy" / "b.avi", 6).rename(tmp_path / "b.avi")
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


# Folders


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3), (5, 7, 4)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_every_picture_becomes_bgr(shape, kind):
    """Grey, transparent and 16-bit pictures become three channels of bytes."""
    image = as_bgr(np.full(shape, np.iinfo(kind).max, kind))
    assert image.shape == (5, 7, 3)
    assert image.dtype == np.uint8
    assert image.min() == 255


def test_folder_is_read_in_natural_order(tmp_path):
    """img2 comes before img10; grey and transparent pictures come as BGR; other files do not matter."""
    for number in (10, 9, 2, 1):
        cv2.imwrite(str(tmp_path / f"img{number}.png"), np.full((6, 8), number, np.uint8))
    cv2.imwrite(str(tmp_path / "img11.png"), np.full((6, 8, 4), 11, np.uint8))
    (tmp_path / "notes.txt").touch()
    (tmp_path / "img3.png").mkdir()
    frames = list(open_source(f"{tmp_path}?fps=200").frames())
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [1, 2, 9, 10, 11]
    assert all(frame.image.shape == (6, 8, 3) for frame in frames)
    assert [frame.pts for frame in frames] == [number / 200 for number in range(5)]
    assert open_source(str(tmp_path)).fps == 30


def test_damaged_picture_leaves_a_gap(tmp_path):
    """A picture that cannot be decoded is left out, counted and named; the others keep their times."""
    for number in range(4):
        cv2.imwrite(str(tmp_path / f"{number}.png"), _picture(number))
    (tmp_path / "2.png").write_bytes(b"nothing")
    source = open_source(str(tmp_path))
    assert [frame.index for frame in source.frames()] == [0, 1, 3]
    assert "2.png" in source.messages[0]


@given(st.lists(st.text(max_size=8), max_size=8))
def test_natural_order_is_an_order(names):
    """Any file names can be put in natural order."""
    once = sorted(names, key=natural)
    assert all(natural(a) <= natural(b) for a, b in pairwise(once))


# Standard input


def _pipe(data: bytes, cuts: list[int] | None = None):
    """A reader that hands out ``data`` in pieces of the given sizes, then in large ones."""
    sizes = iter(cuts or [])
    at = 0

    def read(count: int) -> bytes:
        nonlocal at
        piece = data[at : at + min(count, next(sizes, count))]
        at += len(piece)
        return piece

    return read


def _encode(number: int, kind: str) -> bytes:
    return cv2.imencode(kind, _picture(number))[1].tobytes()


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(1, 400), max_size=30), st.sampled_from([".jpg", ".png"]), st.binary(max_size=20))
def test_pictures_on_stdin_are_found_however_they_arrive(cuts, kind, between):
    """JPEG and PNG pictures are told apart however the stream is divided, with anything between them."""
    between = between.replace(b"\xff", b"").replace(b"\x89", b"")
    data = between.join(_encode(number, kind) for number in range(5))
    frames = list(StandardInput(fps=10, read=_pipe(data, cuts)).frames())
    assert [frame.pts for frame in frames] == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert [int(frame.image[40, 40, 1] - 20 + 2) // 5 for frame in frames] == [0, 1, 2, 3, 4]


def test_thumbnail_inside_a_picture_is_no_picture():
    """A JPEG with another in its header, as cameras write them, is one picture; progressive ones too."""
    image = _picture(3)
    progressive = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    thumbnail = b"Exif\0\0" + _encode(9, ".jpg")
    photo = (
        progressive[:2] + b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail + progressive[2:]
    )
    frames = list(StandardInput(fps=10, read=_pipe(photo + photo)).frames())
    assert len(frames) == 2
    assert abs(int(frames[0].image[40, 40, 1]) - int(image[40, 40, 1])) < 3


def test_damage_on_stdin_is_reported():
    """A picture cut short is left out with a message; a stream without pictures is refused."""
    whole = _encode(0, ".jpg")
    source = StandardInput(fps=10, read=_pipe(whole[:300] + whole + whole[:200]))
    assert [frame.index for frame in source.frames()] == [1]
    assert "1 of 2 pictures" in source.messages[-1]
    assert any("within a picture" in message for message in source.messages)
    for empty in (b"", b"hello" * 1000):
        with pytest.raises(SourceError, match="holds no"):
            list(StandardInput(fps=10, read=_pipe(empty)).frames())


@settings(deadline=None, max_examples=50)
@given(st.data(), st.sampled_from([".jpg", ".png"]))
def test_any_bytes_on_stdin_end(data, kind):
    """Damage anywhere in piped pictures costs pictures, never the program."""
    stream = bytearray(_encode(0, kind) + _encode(1, kind) + _encode(2, kind))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(stream) - 1))
        stream[at : at + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=40))
    try:
        frames = list(StandardInput(fps=10, read=_pipe(bytes(stream))).frames())
    except SourceError:
        return
    assert len(frames) < 10


@settings(deadline=None, max_examples=10)
@given(st.lists(st.integers(1, 5000), max_size=20))
def test_raw_pictures_on_stdin(cuts):
    """Raw BGR bytes become pictures of the size given; a rest at the end is reported."""
    data = b"".join(_picture(number).tobytes() for number in range(3))
    source = StandardInput(size=(64, 48), fps=10, read=_pipe(data + b"rest", cuts))
    frames = list(source.frames())
    assert all(np.array_equal(frame.image, _picture(frame.index)) for frame in frames)
    assert len(frames) == 3
    assert "4 of 9216 bytes" in source.messages[-1]


# The feed


class _Fake:
    """A source made of a generator function."""

    name, stream, live, fps, identity = "fake", "fake", False, 30.0, "fake:1"

    def __init__(self, make, live=False) -> None:
        self.messages = new_messages()
        self.live = live
        self._make = make

    def frames(self) -> Iterator[Frame]:
        return self._make()

    def close(self) -> None:
        """Hang, as drivers do."""
        time.sleep(3600)


def _numbered(count: int, pause: float = 0.0, fps: float = 30.0):
    def make():
        for number in range(count):
            time.sleep(pause)
            yield Frame(number, number / fps, time.monotonic_ns(), _picture(number))

    return make


def _close_in_background(feed: FrameFeed) -> None:
    threading.Thread(target=feed.close, daemon=True).start()


def test_every_loses_nothing_however_slow_the_consumer():
    """Under ``every`` the source waits for a slow consumer, and every frame comes once."""
    feed = FrameFeed(_Fake(_numbered(30)))
    indices = []
    for frame in feed:
        time.sleep(0.003)
        indices.append(frame.index)
    assert feed.policy == "every"
    assert indices == list(range(30))
    assert feed.dropped == 0
    _close_in_background(feed)


def test_latest_drops_and_counts():
    """Under ``latest`` a slow consumer gets the newest frame; the others are counted, in the index too."""
    feed = FrameFeed(_Fake(_numbered(60, 0.004), live=True))
    indices = []
    for frame in feed:
        indices.append(frame.index)
        time.sleep(0.02)
    assert feed.policy == "latest"
    assert len(indices) + feed.dropped == 60
    assert feed.dropped > 10
    assert indices == sorted(set(indices))
    assert indices[-1] == 59
    _close_in_background(feed)


@pytest.mark.parametrize("policy", ["every", "latest"])
def test_the_end_and_the_error_come_after_the_frames(policy):
    """What a failing source gave before is delivered, then its error, at each call; an end is an end."""

    def failing():
        yield Frame(0, 0.0, 0, _picture(0))
        raise SourceError("the cable is out; plug it in")

    feed = FrameFeed(_Fake(failing), policy=policy)
    assert feed.get(1).index == 0
    for _ in range(2):
        with pytest.raises(SourceError, match="cable"):
            feed.get(1)
    _close_in_background(feed)
    feed = FrameFeed(_Fake(_numbered(1)), policy=policy)
    assert feed.get(1).index == 0
    for _ in range(2):
        with pytest.raises(EndOfStream):
            feed.get(1)
    _close_in_background(feed)


def test_unforeseen_failure_becomes_a_source_error():
    """An error nobody thought of, in a thread nobody watches, still reaches the consumer as a sentence."""

    def failing():
        raise ZeroDivisionError
        yield

    with pytest.raises(SourceError, match="ZeroDivisionError"):
        FrameFeed(_Fake(failing)).get(1)


def test_paced_reading_takes_the_recordings_time():
    """At speed 2 a recording of 0.6 s takes 0.3 s; each frame is stamped when it is handed over."""
    started = time.monotonic()
    with FrameFeed(open_source("synthetic:seconds=0.6,fps=20,expressions=0"), speed=2.0) as feed:
        frames = list(feed)
    assert 0.25 < time.monotonic() - started < 1.5
    assert frames[-1].captured_ns - frames[0].captured_ns > 0.2e9
    with pytest.raises(SourceError, match="speed"):
        FrameFeed(open_source("synthetic:seconds=1"), speed=0)


def test_close_returns_within_a_second_though_everything_hangs():
    """A source that hangs in ``frames`` and in ``close`` keeps nobody waiting."""

    def hanging():
        time.sleep(3600)
        yield

    feed = FrameFeed(_Fake(hanging))
    assert feed.get(0.05) is None
    started = time.monotonic()
    feed.close()
    assert time.monotonic() - started < 1.0
    with pytest.raises(EndOfStream):
        feed.get(1)


@pytest.mark.parametrize("waiting", ["-", "hung camera"])
def test_ctrl_c_ends_a_process_whose_source_hangs(waiting):
    """Ctrl-C ends the process within a second and without noise though its capture thread is stuck."""
    program = textwrap.dedent(f"""
        import time
        from streamspot.sources import FrameFeed, open_source
        from streamspot.sources.live import LiveSource, Origin
        hung = LiveSource(Origin("hung", "hung", lambda: time.sleep(3600), 2.0, ""))
        feed = FrameFeed(open_source("-") if {waiting!r} == "-" else hung)
        print("ready", flush=True)
        try:
            for frame in feed:
                pass
        except KeyboardInterrupt:
            feed.close()
            print("bye", flush=True)
    """)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as process:
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.2)
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == b"bye\n"
        assert time.monotonic() - started < 1.0
        assert process.wait(5) == 0
        assert process.stderr.read() == b""


# Live sources


class _Camera:
    """A camera that plays a script: a picture, None (read fails), a number (read hangs for seconds)."""

    def __init__(self, script, stamps=None, fps=30.0) -> None:
        self._script = iter(script)
        self._stamps = iter(stamps or [])
        self._fps = fps
        self.released = threading.Event()

    def read(self):
        step = next(self._script, None)
        if isinstance(step, float):
            time.sleep(step)
            step = next(self._script, None)
        time.sleep(0.002)
        return step is not None, step

    def get(self, prop: int) -> float:
        if prop == cv2.CAP_PROP_FPS:
            return self._fps
        return next(self._stamps, 0.0) if prop == cv2.CAP_PROP_POS_MSEC else 0.0

    def release(self) -> None:
        self.released.set()


def _live(*lives, stall=0.15) -> LiveSource:
    """A camera that leads one life after the other; an exception means that it cannot be opened."""
    lives = iter(lives)

    def opening():
        life = next(lives, SourceError("gone; plug it in"))
        if isinstance(life, Exception):
            raise life
        return life, "fake gives 64x48"

    return LiveSource(Origin("fake", "fake", opening, stall, "more light helps"))


def _take(source: Source, count: int) -> list[Frame]:
    frames = []
    for frame in source.frames():
        frames.append(frame)
        if len(frames) == count:
            source.close()
    return frames


@pytest.mark.parametrize(
    "trouble", [pytest.param([], id="read fails"), pytest.param([60.0], id="read hangs")]
)
def test_camera_that_goes_away_is_opened_again(trouble):
    """A camera unplugged, absent for a while and plugged in again goes on; the user is told of both."""
    pictures = [_picture(number) for number in range(5)]
    source = _live(_Camera(pictures + trouble), SourceError("gone; x"), _Camera(pictures))
    frames = _take(source, 10)
    assert [frame.index for frame in frames] == list(range(10))
    pts = [frame.pts for frame in frames]
    assert all(b > a for a, b in pairwise(pts))
    assert pts[5] - pts[4] == pytest.approx((frames[5].captured_ns - frames[4].captured_ns) / 1e9, abs=0.05)
    said = " | ".join(source.messages)
    assert "has stopped giving pictures" in said
    assert "is back after" in said
    assert said.count("gives 64x48") == 2
    assert source.fps == 30


def test_driver_that_hangs_for_ever_costs_few_threads(monkeypatch):
    """However often a hung camera is opened anew, only a few threads are left behind."""
    monkeypatch.setattr("streamspot.sources.live._LONGEST_PAUSE_S", 0.01)
    monkeypatch.setattr("streamspot.sources.live._REOPENING_S", 0.0)
    opened = []

    def opening():
        opened.append(1)
        return _Camera([_picture(0)] * (len(opened) == 1) + [60.0]), ""

    source = LiveSource(Origin("fake", "fake", opening, 0.05, ""))
    before = threading.active_count()
    feed = FrameFeed(source)
    assert feed.get(2) is not None
    time.sleep(1.2)
    assert 2 <= len(opened) <= 3
    assert threading.active_count() - before <= 4
    feed.close()


def test_camera_is_given_back():
    """Closing the feed of a working camera releases the device."""
    camera = _Camera([_picture(0)] * 500)
    with FrameFeed(_live(camera)) as feed:
        assert feed.get(2) is not None
    assert camera.released.wait(1)


def test_first_failure_is_an_error():
    """A camera that never gave a picture ends the run with its reason instead of being tried for ever."""
    with pytest.raises(SourceError, match="plug it in"):
        next(_live().frames())
    with pytest.raises(SourceError, match="gives no picture"):
        next(_live(_Camera([])).frames())


def test_strange_pictures_are_carried_on():
    """A change of size or of the number of channels mid-stream is passed on as BGR, and said."""
    script = [
        _picture(0),
        _picture(1)[..., 0],
        _picture(2, 32, 24),
        cv2.cvtColor(_picture(3), cv2.COLOR_BGR2BGRA),
    ]
    source = _live(_Camera(script))
    frames = _take(source, 4)
    assert [frame.image.shape for frame in frames] == [(48, 64, 3), (48, 64, 3), (24, 32, 3), (48, 64, 3)]
    assert "fake: the picture is now 32x24" in source.messages


def test_stamps_that_jump_back_do_not_turn_time():
    """A driver whose clock jumps back or stands still does not."""
    stamps = [1000.0, 1033.0, 1066.0, 500.0, 500.0, 533.0, 0.0]
    pts = [frame.pts for frame in _take(_live(_Camera([_picture(0)] * 7, stamps)), 7)]
    assert all(b > a for a, b in pairwise(pts))
    assert pts[-1] < 1.0


def test_troubles_are_told_once_with_their_remedy():
    """Half the promised rate, darkness and a frozen picture are each told once while they last."""
    dark = np.zeros((48, 64, 3), np.uint8)

    class Slow(_Camera):
        """One second passes with every ten pictures."""

        def get(self, prop: int) -> float:
            return 30.0 if prop == cv2.CAP_PROP_FPS else 0.0

    source = _live(Slow([dark] * 200))
    clock = iter(range(10**6))
    real = time.monotonic_ns
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streamspot.sources.live.time.monotonic_ns", lambda: next(clock) * 100_000_000)
        assert len(_take(source, 150)) == 150
    assert real() > 0
    said = list(source.messages)
    assert sum("10 fps instead of 30: more light helps" in message for message in said) == 1
    assert sum("dark picture" in message for message in said) == 1
    assert sum("repeats the same picture" in message for message in said) == 1


class _Driver:
    """A camera's driver that knows two sizes, in MJPG only when asked for that before the size."""

    def __init__(self, calls: list[int], fps: float = 500.0) -> None:
        self._calls = calls
        self._mode = {cv2.CAP_PROP_FRAME_WIDTH: 640, cv2.CAP_PROP_FRAME_HEIGHT: 480, cv2.CAP_PROP_FPS: fps}

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return True

    def set(self, prop: int, value: float) -> bool:
        self._calls.append(prop)
        if prop in (cv2.CAP_PROP_FOURCC, cv2.CAP_PROP_FPS):
            self._mode[prop] = value
        elif prop == cv2.CAP_PROP_FRAME_WIDTH:
            size = (1280, 720) if value >= 1280 else (640, 480)
            self._mode[cv2.CAP_PROP_FRAME_WIDTH], self._mode[cv2.CAP_PROP_FRAME_HEIGHT] = size
        return True

    def get(self, prop: int) -> float:
        return self._mode.get(prop, 0.0)

    def read(self):
        time.sleep(1 / self._mode[cv2.CAP_PROP_FPS])
        return True, np.zeros(
            (self._mode[cv2.CAP_PROP_FRAME_HEIGHT], self._mode[cv2.CAP_PROP_FRAME_WIDTH], 3), np.uint8
        )

    def release(self) -> None:
        self._calls.append(-1)


def test_camera_says_which_mode_it_really_gives(tmp_path, monkeypatch):
    """MJPG is asked for before the size, and the user is told what the driver made of it."""
    calls: list[int] = []
    monkeypatch.setattr("streamspot.sources.cameras._capture", lambda _: _Driver(calls))
    (tmp_path / "video5").touch()
    source = open_source("/dev/video5?size=1920x1080&fps=60")
    monkeypatch.setattr("streamspot.sources.cameras.os.path.realpath", lambda _: str(tmp_path / "video5"))
    frame = _take(source, 1)[0]
    assert frame.image.shape == (720, 1280, 3)
    assert source.messages[0] == "camera /dev/video5 gives 1280x720 MJPG at 60 fps"
    assert source.fps == 60
    assert calls.index(cv2.CAP_PROP_FOURCC) < calls.index(cv2.CAP_PROP_FRAME_WIDTH)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has device files")
def test_modes_are_measured_and_a_hung_camera_is_left_out(tmp_path, monkeypatch):
    """Each size is listed once with the rate counted; a camera that hangs is listed without modes."""

    def capture(path: str):
        if path.endswith("1"):
            time.sleep(3600)
        return _Driver([])

    monkeypatch.setattr("streamspot.sources.cameras._capture", capture)
    monkeypatch.setattr("streamspot.sources.cameras._MEASURE_S", 0.1)
    monkeypatch.setattr("streamspot.sources.cameras._PATIENCE_S", 1.0)
    for name in ("video0", "video1"):
        (tmp_path / name).touch()
    good, hung = list_cameras(measure=True, dev=tmp_path, sysfs=tmp_path)
    assert [(mode.width, mode.height, mode.pixels) for mode in good.modes] == [
        (640, 480, "MJPG"),
        (1280, 720, "MJPG"),
    ]
    assert all(20 < mode.measured < 510 for mode in good.modes)
    assert hung.modes == ()


class _Handler(http.server.BaseHTTPRequestHandler):
    """Serves ``/live`` as a camera does, twelve pictures a connection, and ``/clip.avi`` as a file."""

    file = b""

    def do_GET(self) -> None:
        self.send_response(200)
        if self.path.startswith("/a%20clip.avi"):
            self.send_header("Content-Length", str(len(self.file)))
            self.end_headers()
            self.wfile.write(self.file)
            return
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for number in range(12):
            data = _encode(number, ".jpg")
            self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data))
            self.wfile.write(data + b"\r\n")
            time.sleep(0.02)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def server(tmp_path):
    """Yield host and port of a server that is a network camera and holds a file."""
    _Handler.file = _write(tmp_path / "clip.avi", 10).read_bytes()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def test_address_of_a_recording_is_read_whole(server):
    """An address that ends like a video file is a recording: every picture, at its own time."""
    source = open_source(f"http://me:pw@{server}/a%20clip.avi?token=pw")
    assert not source.live
    assert source.name == f"http://{server}/a%20clip.avi"
    frames = list(FrameFeed(source))
    assert np.allclose([frame.pts for frame in frames], np.arange(10) / 25, atol=1e-3)


def test_network_camera_is_opened_again(server):
    """A network camera whose connection ends is connected to again, and time goes on."""
    source = open_source(f"http://me:pw@{server}/live")
    assert source.live
    frames = _take(source, 18)
    pts = [frame.pts for frame in frames]
    assert len(pts) == 18
    assert all(b > a for a, b in pairwise(pts))
    assert not any("pw" in message for message in source.messages)
