"""Promises of cameras and network streams: they are found, opened again when they go, and time goes on."""

from __future__ import annotations

import http.server
import sys
import threading
import time
from collections import deque
from itertools import count, pairwise
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest
from made_clips import copy_streams, numbered, write_video
from scripted_cameras import ScriptedCamera
from small_pictures import encoded, small_picture, write_clip

from streamspot.errors import SourceError
from streamspot.sources import Feed, Source, open_source
from streamspot.sources.cameras import list_cameras
from streamspot.sources.decoding import Decoder
from streamspot.sources.live import LiveSource
from streamspot.sources.network import NetworkStream, open_address
from streamspot.types import Frame

# Cameras


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


def _camera(script) -> ScriptedCamera:
    """A camera that plays a script, five hundred pictures a second."""
    return ScriptedCamera(script, greeting="fake gives 64x48", pace=0.002)


def _live(*lives, stall=0.15) -> LiveSource:
    """A camera that leads one life after the other; an exception means that it cannot be opened."""
    lives = iter(lives)

    def opening():
        life = next(lives, SourceError("gone; plug it in"))
        if isinstance(life, Exception):
            raise life
        return life

    return LiveSource("fake", "fake", opening, stall=stall, slow="more light helps")


def _take(source: Source, count: int) -> list[Frame]:
    frames = []
    for frame in source.read():
        frames.append(frame)
        if len(frames) == count:
            source.close()
    return frames


@pytest.mark.parametrize(
    "trouble", [pytest.param([], id="read fails"), pytest.param([60.0], id="read hangs")]
)
def test_camera_that_goes_away_is_opened_again(trouble):
    """A camera unplugged, absent for a while and plugged in again goes on; the user is told of both."""
    pictures = [small_picture(number) for number in range(5)]
    source = _live(_camera(pictures + trouble), SourceError("gone; x"), _camera(pictures))
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


def test_it_is_said_how_long_no_picture_came():
    """The time that a camera was away begins with its last picture, not when that was noticed."""
    source = _live(_camera([small_picture(0), 60.0]), _camera([small_picture(1)]), stall=1.6)
    frames = _take(source, 2)
    away = (frames[1].captured_ns - frames[0].captured_ns) / 1e9
    assert away > 1.6
    assert source.messages[2] == f"fake is back after {away:.0f} s"


def test_driver_that_hangs_for_ever_costs_few_threads(monkeypatch):
    """However often a hung camera is opened anew, only a few threads are left behind."""
    monkeypatch.setattr("streamspot.sources.live._LONGEST_PAUSE_S", 0.01)
    monkeypatch.setattr("streamspot.sources.live._REOPENING_S", 0.0)
    opened = []

    def opening():
        opened.append(1)
        return _camera([small_picture(0)] * (len(opened) == 1) + [60.0])

    source = LiveSource("fake", "fake", opening, stall=0.05)
    before = threading.active_count()
    feed = Feed(source)
    assert feed.get(2) is not None
    time.sleep(1.2)
    assert 2 <= len(opened) <= 3
    assert threading.active_count() - before <= 4
    feed.close()


def test_camera_is_given_back():
    """Closing the feed of a working camera releases the device."""
    camera = _camera([small_picture(0)] * 500)
    with Feed(_live(camera)) as feed:
        assert feed.get(2) is not None
    assert camera.released.wait(1)


def test_strange_pictures_are_carried_on():
    """A change of size or of the number of channels mid-stream is passed on as BGR, and said."""
    script = [
        small_picture(0),
        small_picture(1)[..., 0],
        small_picture(2, 32, 24),
        cv2.cvtColor(small_picture(3), cv2.COLOR_BGR2BGRA),
    ]
    source = _live(_camera(script))
    frames = _take(source, 4)
    assert [frame.image.shape for frame in frames] == [(48, 64, 3), (48, 64, 3), (24, 32, 3), (48, 64, 3)]
    assert "fake: the picture is now 32x24" in source.messages


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


# Network


class _Handler(http.server.BaseHTTPRequestHandler):
    """Serves ``/live`` as a camera does, twelve pictures a connection, and ``/clip.avi`` as a file.

    The third answer to ``/proxy`` is a still, the others are those of ``/live``. ``/long`` declares a length.
    """

    file = b""
    proxied = 0

    def do_GET(self) -> None:
        self.send_response(200)
        if self.path == "/proxy":
            type(self).proxied += 1
        if self.path == "/proxy" and self.proxied == 3:
            still = encoded(99, ".jpg")
            self.send_header("Content-Type", "image/jpeg")
            self.send_header("Content-Length", str(len(still)))
            self.end_headers()
            self.wfile.write(still)
            return
        if self.path.startswith("/a%20clip.avi"):
            self.send_header("Content-Length", str(len(self.file)))
            self.end_headers()
            self.wfile.write(self.file)
            return
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        if self.path == "/long":
            self.send_header("Content-Length", "99999999")
        self.end_headers()
        for number in range(12):
            data = encoded(number, ".jpg")
            self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data))
            self.wfile.write(data + b"\r\n")
            time.sleep(0.02)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def server(tmp_path):
    """Yield host and port of a server that is a network camera and holds a file."""
    _Handler.file = write_clip(tmp_path / "clip.avi", 10).read_bytes()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def test_address_of_a_recording_is_read_whole(server):
    """An address that ends like a video file is a recording: every picture, at its own time."""
    source = open_source(f"http://me:pw@{server}/a%20clip.avi?token=pw")
    assert not source.live
    assert source.name == f"http://{server}/a%20clip.avi"
    frames = list(Feed(source))
    assert np.allclose([frame.pts for frame in frames], np.arange(10) / 25, atol=1e-3)


def test_a_format_without_time_stamps_is_given_none(server):
    """MJPEG says nothing of time, whatever the decoder makes up, so the arrival of a picture counts."""
    capture = NetworkStream(open_address(f"http://{server}/live"), "eye")
    assert np.isnan([capture.read()[0] for _ in range(3)]).all()
    capture.release()


def test_a_connection_whose_video_stops_ends(tmp_path, monkeypatch):
    """What goes on without pictures, as sound may, is given up after the patience, not read for ever."""
    short, long = (write_video(tmp_path / f"{n}.mkv", numbered(n), codec="mpeg4") for n in (5, 90))
    clock = count()
    monkeypatch.setattr(
        "streamspot.sources.decoding.time", SimpleNamespace(monotonic=lambda: float(next(clock)))
    )
    decoder = Decoder(av.open(str(copy_streams(tmp_path / "both.mkv", short, long))), "eye", deque(), 0, 20.0)
    assert 4 <= len(list(decoder.pictures())) <= 5
    assert decoder.broken == "no picture came"
    decoder.close()


@pytest.mark.parametrize("path", ["live", "proxy", "long"])
def test_network_camera_is_opened_again(server, path):
    """A camera whose connection ends is connected to again, whatever its server says meanwhile; time goes on."""
    source = open_source(f"http://me:pw@{server}/{path}")
    assert source.live
    frames = _take(source, 18)
    assert np.array_equal(frames[12].image, frames[0].image)
    pts = [frame.pts for frame in frames]
    assert len(pts) == 18
    assert all(b > a for a, b in pairwise(pts))
    assert not any("pw" in message for message in source.messages)
