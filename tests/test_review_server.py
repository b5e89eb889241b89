"""The server of a review: for this computer and this page alone, whole ranges, labels at once."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from made_clips import numbered, playable, write_video
from small_recordings import write_recording
from yarl import URL

import streamspot
from streamspot.files import write_atomically
from streamspot.review.analysis import Analysis
from streamspot.review.files import LabelFiles
from streamspot.review.items import facts_of, find_items
from streamspot.review.reviewing import Reviewing
from streamspot.types import FaceMotion, RegionMotion, Score, Session, Update

aiohttp = pytest.importorskip("aiohttp")


class Page:
    """What a browser does, without one."""

    def __init__(self, session: Any, address: str) -> None:
        self.session, self.address = session, address
        self.version = 0

    async def get(self, path: str, **options: Any) -> Any:
        async with self.session.get(URL(self.address + path, encoded=True), **options) as answer:
            return answer.status, answer.headers, await answer.read()

    async def json(self, path: str) -> Any:
        return json.loads((await self.get(path))[2])

    async def change(self, item: int = 0, *, version: int | None = None, **change: Any) -> tuple[int, Any]:
        body = {"version": self.version if version is None else version, "change": change}
        async with self.session.post(f"{self.address}items/{item}/labels", json=body) as answer:
            told = await answer.json()
            self.version = told.get("version", self.version)
            return answer.status, told

    async def analysed(self, item: int = 0, seconds: float = 60) -> Any:
        async with self.session.post(f"{self.address}items/{item}/look", json={}) as answer:
            told = await answer.json()
        began = time.monotonic()
        while not told["done"] and time.monotonic() - began < seconds:
            await asyncio.sleep(0.1)
            told = await self.json(f"items/{item}/status")
        assert told["done"]
        return told


@asynccontextmanager
async def served(source: Path | str, coder: str = "") -> AsyncIterator[Page]:
    """Serve a review of a source."""
    from streamspot.review.server import ReviewServer

    items, folder = find_items(str(source), None)
    review = Reviewing(items, LabelFiles(folder, coder), {})
    async with ReviewServer(review).running() as address, aiohttp.ClientSession() as session:
        try:
            yield Page(session, address)
        finally:
            review.close()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Return a clip that every browser plays."""
    return playable(tmp_path)


def _label(
    name: str, kind: str, point: int, onset: int | None = None, offset: int | None = None
) -> dict[str, Any]:
    return {"id": name, "kind": kind, "point": point, "onset": onset, "offset": offset}


def _points(folder: Path, name: str = "points.csv") -> list[str]:
    path = folder / name
    return path.read_text().splitlines()[1:] if path.exists() else []


async def test_only_who_has_the_address_on_this_computer_is_let_in(clip: Path) -> None:
    """A wrong token, another host's name (DNS rebinding) and another site's page get nothing."""
    async with served(clip) as page:
        base = URL(page.address)
        assert base.host == "127.0.0.1"
        assert (await page.get(""))[0] == 200
        for wrong in ("/", "/x/", f"/{base.parts[1][:-1]}/", f"/{base.parts[1]}x/items"):
            async with page.session.get(base.origin().join(URL(wrong))) as answer:
                assert answer.status == 404
                assert await answer.read() == b""
        for host, status in (
            ("evil.example", 404),
            (f"evil.example:{base.port}", 404),
            (f"localhost:{base.port}", 200),
        ):
            assert (await page.get("items", headers={"Host": host}))[0] == status
        assert (await page.get("items", headers={"Origin": "http://evil.example"}))[0] == 403
        assert (await page.get("items", headers={"Origin": "null"}))[0] == 403
        async with page.session.post(f"{page.address}items/0/look", data="x") as answer:
            assert answer.status == 415


async def test_the_page_may_load_nothing_from_elsewhere(clip: Path) -> None:
    """Every answer forbids other hosts, frames and caches, and the page itself names none."""
    async with served(clip) as page:
        for path in ("", "review.js", "style.css", "items", "nothing.here", "items/0/video"):
            _, headers, body = await page.get(path)
            policy = headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "http" not in policy
            assert "unsafe" not in policy
            assert (headers["Cache-Control"], headers["Referrer-Policy"]) == ("no-store", "no-referrer")
            if not path.endswith("video"):
                assert b"//" not in body.replace(b"// ", b"").replace(b"http://www.w3.org/2000/svg", b"")


@pytest.mark.parametrize(
    "path",
    [
        "../../etc/passwd",
        "..%2f..%2fserver.py",
        "%2e%2e/server.py",
        "page/review.js",
        "items/7/video",
        "items/-1/video",
    ],
)
async def test_no_path_leads_out(clip: Path, path: str) -> None:
    """Only the page's own files and the items of the review are served."""
    async with served(clip) as page:
        assert (await page.get(path))[0] == 404


async def test_a_browser_may_fetch_any_part_of_a_video(clip: Path) -> None:
    """Ranges are exact, so that seeking works; what cannot be had is refused."""
    content = await asyncio.to_thread(clip.read_bytes)
    async with served(clip) as page:
        status, headers, body = await page.get("items/0/video")
        assert (status, body, headers["Content-Type"], headers["Accept-Ranges"]) == (
            200,
            content,
            "video/mp4",
            "bytes",
        )
        for asked, part in (("0-99", content[:100]), ("500-", content[500:]), ("-64", content[-64:])):
            status, headers, body = await page.get("items/0/video", headers={"Range": f"bytes={asked}"})
            assert (status, body) == (206, part)
            assert headers["Content-Range"].endswith(f"/{len(content)}")
        assert (await page.get("items/0/video", headers={"Range": f"bytes={len(content)}-"}))[0] == 416


async def test_every_change_is_in_the_file_before_it_is_answered(clip: Path) -> None:
    """Put, change, remove, undo, redo: the file says what the answer says."""
    folder = clip.parent
    async with served(clip) as page:
        _, told = await page.change(op="put", label=_label("a", "macro", 20, 12, 30))
        assert _points(folder) == ["clip.mp4,clip,macro,20,25,12,20,30,"]
        assert (told["undoable"], told["redoable"], told["unsaved"]) == (True, False, "")
        await page.change(op="put", label=_label("b", "micro", 5))
        await page.change(op="put", label=_label("a", "micro", 21, 12, 30))
        assert _points(folder) == ["clip.mp4,clip,micro,5,25,,,,", "clip.mp4,clip,micro,21,25,12,21,30,"]
        await page.change(op="remove", id="b")
        assert _points(folder) == ["clip.mp4,clip,micro,21,25,12,21,30,"]
        for _ in range(4):
            _, told = await page.change(op="undo")
        assert _points(folder) == []
        assert (told["labels"], told["undoable"]) == ([], False)
        await page.change(op="redo")
        assert _points(folder) == ["clip.mp4,clip,macro,20,25,12,20,30,"]
        assert sorted(path.name for path in folder.iterdir()) == ["annotations.csv", "clip.mp4", "points.csv"]
    async with served(clip) as page:
        labels = (await page.json("items/0/status"))["labels"]
        assert [(one["kind"], one["point"], one["onset"], one["offset"]) for one in labels] == [
            ("macro", 20, 12, 30)
        ]


async def test_a_change_made_on_an_older_state_is_refused(clip: Path) -> None:
    """Two windows do not overwrite each other, and a change that is sent twice is made once."""
    async with served(clip) as page:
        await page.change(op="put", label=_label("a", "macro", 20))
        status, told = await page.change(op="put", label=_label("b", "macro", 30), version=0)
        assert (status, [one["id"] for one in told["labels"]]) == (409, ["a"])
        assert "another window" in told["error"]


async def test_two_programs_take_in_what_the_other_wrote(clip: Path) -> None:
    """Each shows at its next change what the other labelled, and the file holds the labels of both."""
    async with served(clip) as page, served(clip) as other:
        for one in (page, other):
            await one.json("items/0/status")
        await page.change(op="put", label=_label("a", "macro", 20))
        status, told = await other.change(op="put", label=_label("b", "micro", 30))
        assert (status, [one["point"] for one in told["labels"]]) == (200, [20, 30])
        _, told = await page.change(op="remove", id="a")
        assert [one["point"] for one in told["labels"]] == [30]
        assert _points(clip.parent) == ["clip.mp4,clip,micro,30,25,,,,"]
        _, told = await other.change(op="seen", seen=True)
        assert ([one["point"] for one in told["labels"]], told["seen"]) == ([30], True)


@pytest.mark.parametrize(
    "label",
    [
        _label("a", "happy", 3),
        _label("a", "macro", -1),
        _label("a", "macro", 3, 1),
        _label("a", "macro", 3, 4, 5),
        _label("../a", "macro", 3),
        {"id": "a", "kind": "macro", "point": 3, "more": 1},
    ],
)
async def test_an_impossible_label_is_refused(clip: Path, label: dict[str, Any]) -> None:
    """It changes nothing, and the answer says why."""
    async with served(clip) as page:
        status, told = await page.change(op="put", label=label)
        assert status == 400
        assert told["error"].startswith("the label cannot be taken")
        assert _points(clip.parent) == []


async def test_a_label_behind_the_end_comes_to_the_last_frame(tmp_path: Path) -> None:
    """As soon as the end is known; a shift to behind it would cost the whole video when it is read."""
    path = write_recording(tmp_path / "a.motion", ticks=60)
    async with served(path) as page:
        _, told = await page.change(op="put", label=_label("a", "macro", 70, 55, 90))
        assert told["labels"][0]["point"] == 70
        await page.analysed()
        _, told = await page.change(op="put", label=_label("a", "micro", 70, 55, 90))
        (label,) = told["labels"]
        assert (label["kind"], label["onset"], label["point"], label["offset"]) == ("micro", 55, 59, 59)


def test_a_row_that_is_wrong_hides_the_labels_of_its_video_alone(tmp_path: Path) -> None:
    """The list of the videos shows how many labels the others have, and which of them were seen."""
    for name in ("a", "b", "c"):
        write_recording(tmp_path / f"{name}.motion", ticks=2)
    rows = "a.motion,a,macro,50\nb.motion,b,,\nc.motion,c,smile,7\ngone.mp4,c,macro,12.34\n"
    (tmp_path / "points.csv").write_text(f"video,subject,kind,point\n{rows}")
    items, folder = find_items(str(tmp_path), None)
    lines = Reviewing(items, LabelFiles(folder), {}).overview()
    assert [(one["labels"], one["seen"]) for one in lines] == [(1, False), (0, True), (0, False)]


async def test_a_second_coder_sees_nothing_of_the_first(clip: Path) -> None:
    """Neither labels nor counts, and the files stay apart."""
    async with served(clip) as page:
        await page.change(op="put", label=_label("a", "macro", 20))
    async with served(clip, "ben") as page:
        assert (await page.json("items/0/status"))["labels"] == []
        overview = await page.json("items")
        assert (overview["items"][0]["labels"], overview["coder"]) == (0, "ben")
        await page.change(op="put", label=_label("a", "micro", 21))
    assert _points(clip.parent) == ["clip.mp4,clip,macro,20,25,,,,"]
    assert _points(clip.parent, "points-ben.csv") == ["clip.mp4,clip,micro,21,25,,,,"]


async def test_labels_outlive_a_file_that_vanishes(clip: Path) -> None:
    """Whoever moves the file away while the page is open loses nothing: the next key writes all labels."""
    async with served(clip) as page:
        await page.change(op="put", label=_label("a", "macro", 20))
        (clip.parent / "points.csv").unlink()
        _, told = await page.change(op="put", label=_label("b", "micro", 30))
        assert [one["id"] for one in told["labels"]] == ["a", "b"]
        assert _points(clip.parent) == ["clip.mp4,clip,macro,20,25,,,,", "clip.mp4,clip,micro,30,25,,,,"]


async def test_labels_outlive_a_full_disk(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page is told, the labels are kept, and they are written as soon as there is room."""

    @contextmanager
    def full(path: Path) -> Iterator[Path]:
        with write_atomically(path) as part:
            yield part
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async with served(clip) as page:
        await page.change(op="put", label=_label("a", "macro", 20))
        monkeypatch.setattr("streamspot.datasets.video_table.write_atomically", full)
        _, told = await page.change(op="put", label=_label("b", "micro", 30))
        assert "points.csv cannot be written (No space left on device)" in told["unsaved"]
        assert [one["id"] for one in told["labels"]] == ["a", "b"]
        assert len(_points(clip.parent)) == 1
        monkeypatch.undo()
        for _ in range(40):
            await asyncio.sleep(0.1)
            if not (await page.json("items/0/status"))["unsaved"]:
                break
        assert len(_points(clip.parent)) == 2
        assert not list(clip.parent.glob(".*"))


async def test_a_recording_shows_what_a_run_over_it_finds(tmp_path: Path) -> None:
    """Events, curve and motion without a picture: the very events of the Python interface."""
    path = write_recording(tmp_path / "a.motion")
    with streamspot.open(path) as stream:
        updates = list(stream)
    found = [event for update in updates for event in update.events if event.phase == "offset"]
    scores = {score.tick: score.intensity for update in updates for _, score in update.scores}
    async with served(path) as page:
        told = await page.analysed()
        assert (told["motion"], told["plays"], told["frames"]) == (True, None, 180)
        assert [one["frames"] for one in told["events"]] == [
            [event.onset.frame, event.apex.frame, event.offset.frame]
            for event in found
            if event.apex and event.offset
        ]
        assert found
        curve = await page.json("items/0/curve?start=0&end=6&bins=180")
        assert curve["intensity"] == pytest.approx([scores[tick] for tick in range(180)], abs=1e-3)
        coarse = await page.json("items/0/curve?start=0&end=6&bins=18")
        tens = [max(scores[tick] for tick in range(n, n + 10)) for n in range(0, 180, 10)]
        assert coarse["intensity"] == pytest.approx(tens, abs=1e-3)
        assert len(coarse["regions"]) == 17
        poses = await page.json("items/0/poses?start=1&end=3")
        assert (poses["tick"], len(poses["poses"]), len(poses["poses"][0])) == (30, 60, 34)
        times = np.frombuffer((await page.get("items/0/frames?first=100"))[2], "<f8").reshape(-1, 2)
        assert times[0].tolist() == [100.0, pytest.approx(100 / 30)]
        assert (await page.get("items/0/picture?frame=0"))[0] == 404
        assert (await page.get("items/0/video"))[0] == 404


def test_ten_hours_of_motion_fit_into_400_mib() -> None:
    """What is kept of a tick is small and never moved, and reads as it was, beside ticks without a face too."""
    one, count, steps = Analysis("", {}), 8_000, np.full((17, 2), 0.015, np.float32)
    session = Session("r", "s", "s", 0.0, datetime(2026, 11, 22, tzinfo=UTC))
    steps[:, 1] = 0.0
    tracemalloc.start()
    for n in range(count):
        seen = not 4000 <= n < 4100
        motion = (FaceMotion(0, RegionMotion(n, n / 30, n, steps)),) if seen else ()
        scores = ((0, Score(n, n / 30, n, n / count, 0.5, 0.25)),) if seen else ()
        one._take(Update(session, n, n / 30, motion, scores))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    one.end()
    assert most * (10 * 3600 * 30 / count) < 400 * 2**20
    curve = one.curve(0, count / 30, count // 100)
    expected: list[float | None] = [(n + 99) / count for n in range(0, count, 100)]
    expected[40] = None
    assert curve["intensity"] == [value if value is None else round(value, 3) for value in expected]
    assert next(iter(curve["regions"].values())) == [0 if value is None else 76 for value in expected]
    assert len(np.frombuffer(one.frames(4000))) == 2 * (count - 4000)


@pytest.mark.parametrize(
    "query", ["curve", "curve?start=0&end=1&bins=99999", "poses?start=0&end=900", "frames?first=nan"]
)
async def test_a_question_that_makes_no_sense_is_refused(clip: Path, query: str) -> None:
    """Nothing makes the server work without bound."""
    async with served(clip) as page:
        assert (await page.get(f"items/0/{query}"))[0] == 400


@pytest.mark.parametrize(
    "query", ["frame=0&time=abc", "frame=9999999999&time=inf", "frame=0&time=-1", "frame=1&time=1e300"]
)
async def test_a_picture_at_an_impossible_time_is_refused(tmp_path: Path, query: str) -> None:
    """Whatever stands for the time, the server answers and does not fail; without one it shows the picture."""
    path = write_video(tmp_path / "clip.avi", numbered(5), codec="mpeg4")
    async with served(path) as page:
        assert (await page.get(f"items/0/picture?{query}"))[0] == 400
        assert (await page.get("items/0/picture?frame=9999999999&time=9"))[0] == 422
        assert (await page.get("items/0/picture?frame=0"))[0] == 200


async def test_a_folder_is_a_list_in_which_a_broken_file_hinders_nobody(tmp_path: Path) -> None:
    """Natural order, only what can be reviewed, and one sentence for what cannot be read."""
    for name in ("b10.mp4", "b2.avi"):
        write_video(tmp_path / name, numbered(10), codec="libx264" if name.endswith("mp4") else "mpeg4")
    (tmp_path / "c.mp4").write_bytes(b"no video")
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "shots").mkdir()
    cv2.imwrite(str(tmp_path / "shots" / "1.png"), numbered(1)[0])
    async with served(tmp_path) as page:
        assert [one["name"] for one in (await page.json("items"))["items"]] == [
            "b2.avi",
            "b10.mp4",
            "c.mp4",
            "shots",
        ]
        status, _, body = await page.get("items/2/status")
        assert (status, "convert it" in json.loads(body)["error"]) == (422, True)
        page.version = 0
        assert (await page.change(1, op="seen", seen=True))[0] == 200
        assert [one["seen"] for one in (await page.json("items"))["items"]] == [False, True, False, False]


async def test_a_table_that_is_mended_lets_the_analysis_go_on(tmp_path: Path):
    """What could not be opened while a row was wrong is analysed as soon as it has been mended."""
    for name in "ab":
        write_recording(tmp_path / f"{name}.motion", ticks=60)
    points = tmp_path / "points.csv"
    points.write_text("video,subject,kind,point\na.motion,a,smile,5\n")
    async with served(tmp_path) as page:
        async with page.session.post(f"{page.address}items/0/look", json={}) as answer:
            assert "mend the row" in (await answer.json())["error"]
        await asyncio.sleep(1.5)
        points.write_text("video,subject,kind,point\na.motion,a,macro,5\n")
        assert (await page.analysed())["labels"]


async def test_a_name_that_is_not_utf8_is_said(tmp_path: Path):
    """Its labels cannot be written: the page says so, and so does the program at its end."""
    write_recording(tmp_path / os.fsdecode(b"M\xfcller.motion"), ticks=60)
    async with served(tmp_path) as page:
        label = {"id": "a", "kind": "macro", "point": 5}
        code, told = await page.change(op="put", label=label)
        assert code == 200
        assert "not UTF-8" in told["unsaved"]


def test_folders_that_are_numbers_are_no_cameras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As data sets name their subjects: each is what it is beside the others."""
    monkeypatch.chdir(tmp_path)
    for name in ("1", "02"):
        (tmp_path / name).mkdir()
        cv2.imwrite(f"{name}/0.png", np.zeros((48, 64, 3), np.uint8))
    items, _ = find_items(".", None)
    assert [item.video for item in items] == ["1", "02"]
    assert [facts_of(item).frames for item in items] == [1, 1]
