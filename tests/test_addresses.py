"""Promises of http addresses: what ends ends, what is asked for is read, and nobody is led elsewhere."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from made_clips import (
    SIZE,
    number_in,
    numbered,
    portrait_clip,
    reference,
    same,
    spot,
    turn,
    write_video,
)

from streamspot.errors import SourceError
from streamspot.sources import Feed, open_source


class _Server:
    """Serves a folder, ``/chunked/NAME`` without a length; ``/to/HOST/PATH`` redirects; keeps the paths asked for."""

    def __init__(self, folder: Path) -> None:
        asked: list[str] = []

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments: object) -> None:
                super().__init__(*arguments, directory=str(folder))

            def do_GET(self) -> None:
                asked.append(self.path)
                if self.path.startswith("/to/"):
                    self.send_response(302)
                    self.send_header("Location", "http://" + self.path[4:])
                    self.end_headers()
                elif self.path.startswith("/chunked/"):
                    data = (folder / self.path[9:]).read_bytes()
                    self.wfile.write(
                        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
                    )
                    self.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data))
                else:
                    super().do_GET()

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        self.asked = asked
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the clip in several forms."""
    folder, pictures = tmp_path_factory.mktemp("web"), portrait_clip()
    first = {"movflags": "faststart"}  # this server cannot be read in parts
    write_video(folder / "clip.3gp", pictures, container_options=first)
    write_video(folder / "vod.m3u8", pictures, kind="hls", container_options={"hls_list_size": "0"})
    assert "#EXT-X-ENDLIST" in (folder / "vod.m3u8").read_text()
    stored = [np.ascontiguousarray(np.rot90(picture)) for picture in pictures[:20]]
    turn(write_video(folder / "phone.mp4", stored), stored[0].shape[1::-1], 90)
    return folder


@pytest.fixture
def server(folder: Path) -> Iterator[_Server]:
    """Yield a server of that folder."""
    server = _Server(folder)
    yield server
    server.close()


@pytest.fixture
def other(folder: Path) -> Iterator[_Server]:
    """Yield another one."""
    server = _Server(folder)
    yield server
    server.close()


@pytest.mark.parametrize("name", ["clip.3gp", "vod.m3u8", "to/HOST/clip.3gp", "to/HOST/vod.m3u8"])
def test_a_recording_ends_whatever_it_is_called(server: _Server, name: str):
    """Neither ending decides: the clip is read once, at its own times, with its two expressions."""
    source = open_source(f"http://me:pw@{server.host}/{name.replace('HOST', server.host)}")
    assert not source.live
    frames = list(Feed(source))
    assert len(frames) == len(portrait_clip())
    assert same(spot(frames), reference())
    assert not source.messages
    assert "pw" not in source.name


def test_a_broadcast_ends_with_its_playlist(server: _Server, folder: Path):
    """Segments that came live until the playlist got an end are shown once, and nothing after them."""
    clip = write_video(
        folder / "live.m3u8",
        numbered(30),
        kind="hls",
        options={"g": "10", "bf": "0", "sc_threshold": "0"},
        container_options={"hls_time": "0.4", "hls_list_size": "0"},
    )
    whole = clip.rename(folder / "ended.m3u8")
    clip.write_text(whole.read_text().replace("#EXT-X-ENDLIST", ""))
    source = open_source(f"http://{server.host}/live.m3u8")
    assert source.live
    shown = []
    for frame in source.read():
        shown.append(number_in(frame.image))
        if whole.exists():
            whole.replace(clip)
    assert shown == list(range(30))
    assert source.messages[-1] == f"{source.name}: the broadcast has ended"


@pytest.mark.parametrize("name", ["short.ts", "short.gif"])
def test_a_recording_without_a_length_is_shown_once(server: _Server, folder: Path, name: str):
    """A server that does not say how long a recording is does not have it shown again and again."""
    kind = {"codec": "gif", "layout": "bgr8"} if name.endswith("gif") else {"codec": "mpeg2video"}
    write_video(folder / name, numbered(10), **kind)
    source = open_source(f"http://{server.host}/chunked/{name}")
    assert [number_in(frame.image) for frame in islice(source.read(), 15)] == list(range(10))
    assert not source.live or "the recording has ended; download it" in source.messages[-1]


def test_a_phone_over_http_is_upright(server: _Server, folder: Path):
    """The same pictures come from the disk and over http."""
    near, far = (
        list(open_source(f"{place}/phone.mp4").read()) for place in (folder, f"http://{server.host}")
    )
    assert near[0].image.shape == (SIZE[1], SIZE[0], 3)
    assert all(np.array_equal(a.image, b.image) for a, b in zip(near, far, strict=True))


@pytest.mark.parametrize("way", ["playlist", "redirection", "variant"])
def test_nobody_is_led_to_another_host(server: _Server, other: _Server, folder: Path, way: str):
    """A playlist or a redirection that names another host is refused unless the user allows it, and not asked."""
    segment = min(folder.glob("vod*.ts")).name
    (folder / "evil.m3u8").write_text(
        f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:20\n#EXTINF:10,\nhttp://{other.host}/{segment}\n#EXT-X-ENDLIST\n"
    )
    (folder / "variant.m3u8").write_text(
        f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1280000\nhttp://{other.host}/vod.m3u8\n"
    )
    path = {"playlist": "evil.m3u8", "redirection": f"to/{other.host}/clip.3gp", "variant": "variant.m3u8"}[
        way
    ]
    with pytest.raises(SourceError, match=r"another host; say \?follow=1"):
        open_source(f"http://{server.host}/{path}")
    assert other.asked == []
    assert len(list(open_source(f"http://{server.host}/{path}?follow=1").read())) > 20
    assert other.asked


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "udp://127.0.0.1:9", "concat:/etc/passwd|/etc/passwd"]
)
def test_nobody_is_led_to_another_protocol(server: _Server, folder: Path, target: str):
    """Not even with ``?follow=1`` does a playlist reach a file or another protocol."""
    (folder / "odd.m3u8").write_text(
        f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:20\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n"
    )
    for follow in ("", "?follow=1"):
        with pytest.raises(SourceError):
            list(open_source(f"http://{server.host}/odd.m3u8{follow}").read())


def test_a_playlist_on_disk_reaches_no_network(other: _Server, folder: Path):
    """A file names files only."""
    (folder / "local.m3u8").write_text(
        f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:20\n#EXTINF:10,\nhttp://{other.host}/x.ts\n#EXT-X-ENDLIST\n"
    )
    with pytest.raises(SourceError):
        list(open_source(str(folder / "local.m3u8")).read())
    assert other.asked == []


def test_an_address_that_is_not_there_is_one_sentence(server: _Server):
    """The server's own words and what to check."""
    with pytest.raises(SourceError, match=r"404 Not Found\); check the address"):
        open_source(f"http://{server.host}/nothing.mp4")
