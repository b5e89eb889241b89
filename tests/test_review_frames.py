"""The pictures of a review: that of the very frame which a label names, in a browser and as the server sends it."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from made_clips import copy_streams, number_in, numbered, write_video
from review_browser import opened, program, rows

import streamspot.review
from streamspot.review.items import facts_of, find_items
from streamspot.review.pictures import VideoPictures
from streamspot.sources import open_source

PAGE = Path(streamspot.review.__file__).with_name("page")

NUMBER = """() => {
    const video = document.getElementById("video"), canvas = document.createElement("canvas");
    const shown = video.hidden ? document.getElementById("picture") : video;
    canvas.width = 192; canvas.height = 48;
    const draw = canvas.getContext("2d");
    draw.drawImage(shown, 0, 0, 192, 48);
    let number = 0;
    for (let bit = 0; bit < 16; bit++) {
        const [red] = draw.getImageData((bit % 8) * 24 + 12, Math.floor(bit / 8) * 24 + 12, 1, 1).data;
        if (red > 127) number += 2 ** bit;
    }
    return number;
}"""


def settled(page: Any) -> int:
    """Wait until the picture of the cursor's frame is on show; return the frame."""
    page.wait_for_timeout(60)
    page.wait_for_selector("body[data-frame]")
    for _ in range(100):
        frame, shown = page.evaluate("() => [document.body.dataset.frame, document.body.dataset.shown]")
        if frame == shown:
            break
        page.wait_for_timeout(50)
    page.wait_for_timeout(60)
    return int(page.evaluate("() => document.body.dataset.frame"))


@pytest.mark.parametrize(
    ("name", "codec", "fps"),
    [("a.mp4", "libx264", 25), ("a.webm", "libvpx", 30), ("a.avi", "mpeg4", 30), ("a.mp4", "libx264", 29.97)],
)
def test_a_label_stands_at_the_frame_that_is_seen(
    browser: Any, tmp_path: Path, name: str, codec: str, fps: float
) -> None:
    """Step forth and back, jump, play and pause: the picture on show is that of the frame that a key labels."""
    path, points = write_video(tmp_path / name, numbered(120), codec=codec, fps=fps), tmp_path / "points.csv"
    with program(path) as (address, _), opened(browser, address) as page:
        walks = (
            ["ArrowRight"] * 3,
            ["Shift+ArrowRight"],
            ["ArrowLeft"] * 2,
            ["End"],
            ["Shift+ArrowLeft"] * 2,
        )
        for labelled, keys in enumerate(walks, start=1):
            for key in keys:
                page.keyboard.press(key)
            frame = settled(page)
            assert page.evaluate(NUMBER) == frame, keys
            page.keyboard.press("m")
            assert str(frame) in [row["point"] for row in rows(points, labelled)]
        page.keyboard.press("Home")
        settled(page)
        page.keyboard.press(" ")
        page.wait_for_timeout(900)
        page.keyboard.press(" ")
        assert settled(page) > 5
        assert page.evaluate(NUMBER) == settled(page)


def test_stamps_that_are_uneven_are_kept(browser: Any, tmp_path: Path) -> None:
    """Of a variable frame rate every frame is stepped to, at its own time."""
    stamps = np.cumsum(np.tile([0.02, 0.05, 0.033, 0.1], 15)) - 0.02
    path = write_video(tmp_path / "a.mp4", numbered(60), stamps=list(stamps))
    with program(path) as (address, _), opened(browser, address) as page:
        for expected in range(1, 12):
            page.keyboard.press("ArrowRight")
            assert settled(page) == expected
            assert page.evaluate(NUMBER) == expected


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.avi", "mpeg4"), ("a.webm", "libvpx-vp9")]
)
def test_pictures_are_timed_as_they_will_be_read(tmp_path: Path, name: str, codec: str) -> None:
    """Without decoding: the very times of the analysis, or none where the packets do not tell."""
    stamps = None if codec == "mpeg4" else [*np.arange(20) / 10, *(2 + np.arange(60) / 30)]
    path = write_video(tmp_path / name, numbered(80), codec=codec, stamps=stamps)
    times = np.frombuffer(VideoPictures(str(path)).times(), "<f8")
    read = [frame.pts for frame in open_source(str(path)).read()]
    assert times.tolist() == pytest.approx([] if codec == "mpeg4" else read)


def test_a_label_ahead_of_the_analysis_stands_at_the_frame_that_is_seen(browser: Any, tmp_path: Path) -> None:
    """Of a variable frame rate too: 10 frames a second, later 30."""
    stamps = [*np.arange(600) / 10, *(60 + np.arange(900) / 30)]
    path = write_video(tmp_path / "a.mp4", numbered(1500), stamps=stamps)
    with program(path) as (address, _), opened(browser, address, analysed=False) as page:
        page.wait_for_load_state("networkidle")
        page.keyboard.press("End")
        for _ in range(10):
            page.keyboard.press("Shift+ArrowLeft")
        frame = settled(page)
        assert frame == page.evaluate(NUMBER) == pytest.approx(1199, abs=1)
        page.keyboard.press("m")
        assert [row["point"] for row in rows(tmp_path / "points.csv", 1)] == [str(frame)]
        assert page.locator("#progress[hidden]").count() == 0


def test_frames_that_were_asked_for_twice_are_there_once(browser: Any) -> None:
    """A key may fall into the fetch of what the analysis reached; all that comes later stays in its place."""
    script = base64.b64encode((PAGE / "frames.js").read_bytes()).decode()
    walk = """async (script) => {
        const { Frames } = await import("data:text/javascript;base64," + script), frames = new Frames(25);
        const pair = (from) => (_, i) => (from + (i >> 1)) / (i % 2 ? 25 : 1);
        for (const [from, to] of [[0, 100], [100, 200], [100, 220], [100, 150], [220, 300]]) {
            frames.append(Float64Array.from({ length: 2 * (to - from) }, pair(from)), from);
        }
        const walked = [0];
        while (walked.length < 300) walked.push(frames.next(walked.at(-1), 1));
        return [frames.length, walked, walked.map((number) => frames.numberAt(number / 25))];
    }"""
    page = browser.new_page()
    known, walked, shown = page.evaluate(walk, script)
    page.close()
    assert known == 300
    assert walked == shown == list(range(300))


@pytest.mark.parametrize("name", ["b.mp4", "b.webm"])
def test_a_video_that_begins_late_is_exact_too(browser: Any, tmp_path: Path, name: str) -> None:
    """Some containers place their first picture later than 0, and browsers say so."""
    codec = "libx264" if name.endswith("mp4") else "libvpx"
    source = write_video(tmp_path / f"a{Path(name).suffix}", numbered(60), codec=codec)
    (tmp_path / "late").mkdir()
    path = copy_streams(tmp_path / "late" / name, source, shift=0.5)
    with program(path) as (address, _), opened(browser, address) as page:
        for keys in (["ArrowRight"] * 7, ["Shift+ArrowRight"], ["End"]):
            for key in keys:
                page.keyboard.press(key)
            frame = settled(page)
            assert page.evaluate(NUMBER) == frame
        assert settled(page) == 59


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.avi", "mpeg4"), ("a.mpg", "mpeg1video"), ("a.mkv", "libx265"), ("a.mp4", "libx264"), ("shots", "")],
)
def test_the_picture_of_a_frame_is_that_frame(tmp_path: Path, name: str, codec: str) -> None:
    """In any order and at any distance, as JPEG, for what a browser cannot play."""
    path, pictures = tmp_path / name, numbered(400)
    if codec:
        write_video(path, pictures, codec=codec)
    else:
        path.mkdir()
        for number, picture in enumerate(pictures):
            cv2.imwrite(str(path / f"{number}.png"), picture)
    times = {frame.index: frame.pts for frame in open_source(str(path)).read()}
    assert len(times) == 400
    shown = VideoPictures(str(path))
    for number in (0, 1, 2, 350, 349, 351, 20, 399, 200, 380):
        jpeg = np.frombuffer(shown.jpeg(number, times[number]), np.uint8)
        assert number_in(cv2.imdecode(jpeg, cv2.IMREAD_COLOR)) == number
    assert number_in(cv2.imdecode(np.frombuffer(shown.jpeg(300, None), np.uint8), cv2.IMREAD_COLOR)) == 300


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "plays"),
    [
        ("a.mp4", "libx264", "yuv420p", "video/mp4"),
        ("a.mp4", "libx264", "yuv444p", None),
        ("a.webm", "libvpx", "yuv420p", "video/webm"),
        ("a.webm", "libvpx-vp9", "yuv420p", "video/webm"),
        ("a.mp4", "libx265", "yuv420p", None),
        ("a.avi", "mpeg4", "yuv420p", None),
        ("a.mkv", "libx264", "yuv420p", None),
    ],
)
def test_what_no_browser_plays_is_known_before(
    tmp_path: Path, name: str, codec: str, pixels: str, plays: str
) -> None:
    """Only what all of them play goes to the browser's own player."""
    path = write_video(tmp_path / name, numbered(20), codec=codec, layout=pixels)
    (item,), _ = find_items(str(path), None)
    facts = facts_of(item)
    assert facts.plays == plays
    assert facts.frames == pytest.approx(20, abs=1)


def test_a_recording_of_a_browser_says_its_length_by_its_pictures(tmp_path: Path) -> None:
    """Its container does not know how long it is, and coders are compared frame by frame all the same."""
    path = write_video(tmp_path / "a.webm", numbered(50), codec="libvpx", container_options={"live": "1"})
    (item,), _ = find_items(str(path), None)
    assert facts_of(item).frames == 50
    assert facts_of(item).seconds == pytest.approx(2.0, abs=0.05)
