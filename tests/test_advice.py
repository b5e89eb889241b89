"""Promises of advice: a face that cannot be judged, or a source too slow, is said, and a good one is not blamed."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_clips import FPS, Picture, portrait_clip, write_video
from running import updates_of

import streamspot
from streamspot.advice import Advice
from streamspot.face.detectors import make_detector
from streamspot.face.tracker import FaceTracker
from streamspot.motion.estimator import MotionEstimator
from streamspot.motion.regions import layout
from streamspot.report.account import SightCounts
from streamspot.sources import open_source
from streamspot.types import FaceMotion, RegionMotion, SegmentEnd, Trouble

CLIP = "synthetic:seconds=7,expressions=1"


def _troubles(change: Callable[[Picture], Picture], clip: str = CLIP) -> Counter[Trouble | None]:
    """Return the ticks of each trouble in a clip whose pictures were changed."""
    estimator = MotionEstimator(FaceTracker(make_detector(1), 1), layout("face17"))
    found: Counter[Trouble | None] = Counter()
    try:
        for frame in open_source(clip).read():
            changed = np.ascontiguousarray(change(frame.image), np.uint8)
            found.update(
                one.trouble
                for one in estimator.push(replace(frame, image=changed))
                if isinstance(one, FaceMotion)
            )
    finally:
        estimator.close()
    return found


def _far(image: Picture) -> Picture:
    small = cv2.resize(image, (160, 120), interpolation=cv2.INTER_AREA)
    return cv2.copyMakeBorder(small, 20, 20, 20, 20, cv2.BORDER_REPLICATE)


@pytest.mark.parametrize(
    ("change", "trouble"),
    [
        (lambda image: image, None),
        (lambda image: image // 6, "dark"),
        (_far, "small"),
        (lambda image: image[:, 310:], "outside"),
    ],
)
def test_what_stands_in_the_way_is_named(change: Callable[[Picture], Picture], trouble: Trouble | None):
    """A face too dark, too small or partly out of the picture is named so for most of its time; a good one never."""
    found = _troubles(change)
    assert found[trouble] > 0.7 * found.total()
    assert set(found) <= {None, trouble}


def test_few_pictures_a_second_hide_no_face():
    """What flow cannot tell at six pictures a second is no hand or blur, and is judged by landmarks."""
    estimator, sight = MotionEstimator(FaceTracker(make_detector(1), 1), layout("face17")), SightCounts()
    for frame in open_source(f"{CLIP},fps=6").read():
        for one in estimator.push(frame):
            if isinstance(one, FaceMotion):
                sight.take(one)
    estimator.close()
    assert not sight.troubles
    assert sight.judged == sight.ticks - 1 > 180


def test_a_face_seen_seldom_is_said_at_the_end(tmp_path: Path):
    """A face that only some frames show is no silence: the summary says in how many it was found."""
    pictures = [
        picture if number % 50 < 15 else np.full_like(picture, 90)
        for number, picture in enumerate(portrait_clip())
    ]
    clip = write_video(tmp_path / "seldom.mp4", pictures)
    said = [message for update in asyncio.run(updates_of(clip)) for message in update.messages]
    assert any("a face was found in" in message and "of the frames only" in message for message in said)


def test_a_face_too_small_is_said(tmp_path: Path):
    """While it lasts the state names it, and the messages say what helps."""
    clip = write_video(tmp_path / "far.mp4", [_far(picture) for picture in portrait_clip()])
    updates = asyncio.run(updates_of(clip))
    assert "small" in {face.trouble for update in updates for face in update.faces.values()}
    said = [message for update in updates for message in update.messages]
    # then, and at the end
    assert sum("too small (eyes under 32 pixels apart)" in message for message in said) == 2


def test_what_is_lost_in_noise_is_said_at_any_rate():
    """A camera of 60 pictures a second, of which every other one completes no tick, is no exception."""
    noise, shown = np.random.default_rng(0), itertools.count()

    def changing(image: Picture) -> Picture:
        size = 60 if next(shown) > 60 else 0
        return np.clip(image + noise.normal(0, size, image.shape), 0, 255).astype(np.uint8)

    assert _troubles(changing, "synthetic:seconds=5,expressions=0,fps=60")["unclear"] > 30


def test_faces_that_have_left_are_forgotten():
    """A camera in a hall does not remember everybody who turned away in it."""
    advice = Advice()
    still = RegionMotion(0, 0.0, 0, np.zeros((17, 2), np.float32))
    for face in range(100):
        motion = [FaceMotion(face, still, "turned"), SegmentEnd(face, "face lost")]
        assert not list(advice.take(face / 30, seen=True, motion=motion))
    assert not advice._lasting


def test_short_troubles_that_add_up_are_not_worth_a_word():
    """Who looks away for a fifth of a second now and then is not told so; who does for three seconds is."""

    def said(face: int, troubles: Iterable[Trouble | None]) -> list[str]:
        still = RegionMotion(0, 0.0, 0, np.zeros((17, 2), np.float32))
        return [
            message
            for tick, trouble in enumerate(troubles)
            for message in advice.take(tick / 30, seen=True, motion=[FaceMotion(face, still, trouble)])
        ]

    advice = Advice()
    assert not said(0, (["turned"] * 6 + [None] * 60) * 60)
    assert not said(0, ["turned"] * 60)
    assert not said(1, ["turned"] * 60)  # another face
    assert said(1, ["turned"] * 40) == ["the face is turned away: place the camera in front of it"]


def test_what_is_said_at_the_end_is_said_once():
    """Own frames may come clip after clip, each with an end of its own."""
    advice = Advice()
    still = RegionMotion(0, 0.0, 0, np.zeros((17, 2), np.float32))
    said: list[str] = []
    for clip in range(3):
        for frame in range(60):
            motion = [FaceMotion(clip, still, "turned")] if frame < 20 else []
            said += advice.take(clip * 5 + frame / 30, seen=frame < 20, motion=motion)
        said += advice.end()
    assert said == [
        "a face was found in 33% of the frames only",
        "for 100% of its time the face was turned away: place the camera in front of it",
    ]


def _advise(times: Iterable[float]) -> list[str]:
    advice = Advice()
    still = RegionMotion(0, 0.0, 0, np.zeros((17, 2), np.float32))
    said = [
        message for pts in times for message in advice.take(pts, seen=True, motion=[FaceMotion(0, still)])
    ]
    return said + list(advice.end())


@pytest.mark.parametrize(
    ("fps", "count", "words"),
    [
        (1.0, 13, "gives 1 picture a second; at least 2 are needed"),
        (1.9, 24, "gives 1.9 pictures a second; at least 2 are needed"),
        (
            0.03,
            31,
            "a picture every 33 s; at least 2 a second are needed (times are given in seconds, not in milli",
        ),
        (12.0, 200, "12 pictures a second are analysed; micro-expressions are not observable"),
        (12.0, 10, "12 pictures a second"),
        (25.0, 200, None),
        (20.0, 200, None),
    ],
)
def test_a_slow_source_is_said_once(fps: float, count: int, words: str | None):
    """Under 2 pictures a second nothing can be spotted, under 20 no micro-expression; each is said once."""
    said = _advise(number / fps for number in range(count))
    assert len(said) == (words is not None)
    assert words is None or words in said[0]


@pytest.mark.parametrize("seen", [True, False])
def test_a_single_picture_is_said(seen: bool):
    """A snapshot of a camera, a photograph or the cover of a song gives nothing, and the user learns what would."""
    advice = Advice()
    assert not list(advice.take(0.0, seen=seen, motion=()))
    (said,) = advice.end()
    assert said.startswith("only one picture was analysed, in which nothing can be spotted;")


def test_a_live_user_is_told_of_a_slow_source_after_ten_seconds():
    """Not after thirty pictures, which would take half a minute."""
    advice = Advice()
    told = [pts for pts in range(30) for _ in advice.take(float(pts), seen=True, motion=())]
    assert told == [10]


def test_a_pause_is_no_slow_source():
    """Gaps in a recording do not make its rate a low one."""
    assert _advise(number / 25 + 10 * (number // 50) for number in range(200)) == []


def test_one_picture_a_second_ends_with_a_sentence(tmp_path: Path):
    """A time lapse gives no event, but says why."""
    clip = write_video(tmp_path / "lapse.mp4", portrait_clip()[::FPS], fps=1)
    with streamspot.open(clip) as stream:
        said = [message for update in stream for message in update.messages]
    assert any("gives 1 picture a second" in message for message in said)
