"""Promises of the Python interface: streams, one's own frames, in scripts, coroutines and notebooks."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
from running import collect, delivered

import streamspot
from streamspot.errors import SettingsError, SourceError
from streamspot.sources.pushed import PushedFrames
from streamspot.sources.synthetic import Synthetic

CLIP = "synthetic:seconds=7,expressions=1,noise=0"
README = Path(__file__).resolve().parents[1] / "README.md"


@pytest.fixture(scope="module")
def expected() -> list[object]:
    """Return what the clip's events are, without wall-clock times and names."""
    return [_told(event) for event in collect(CLIP)[1]]


def _told(event: streamspot.Event) -> object:
    return delivered(
        event.model_copy(update={"stream": "s"}), "time", "session", "id", "subject", "expression", "source"
    )


def _pictures() -> Iterator[tuple[np.ndarray, float]]:
    return ((frame.image, frame.pts) for frame in Synthetic.parse(CLIP).read())


def test_the_public_names_are_these():
    """``dir`` shows them, each can be had, and nothing else is promised."""
    assert sorted(streamspot.__all__) == [
        "Event", "FaceState", "FrameSpotter", "Moment", "Received", "Score", "Stream", "StreamspotError",
        "Subscription", "Update", "one_thread", "open", "subscribe",
    ]  # fmt: skip
    assert set(streamspot.__all__) <= set(dir(streamspot))
    assert all(getattr(streamspot, name) is not None for name in streamspot.__all__)


def test_a_script_iterates_plainly(expected: list[object]):
    """Events, scores and states come in a ``for`` loop."""
    with streamspot.open(CLIP) as stream:
        updates = list(stream)
    events = [event for update in updates for event in update.events]
    assert [_told(event) for event in events] == expected
    assert sum(len(update.scores) for update in updates) == 210
    assert {face.state for update in updates for face in update.faces.values()} >= {"neutral", "macro"}
    assert stream.stats.frames == 210


async def test_a_coroutine_iterates_asynchronously(expected: list[object]):
    """So they do in an ``async for`` loop, two streams at once."""

    async def watch() -> list[object]:
        async with streamspot.open(CLIP) as stream:
            return [_told(event) async for update in stream for event in update.events]

    assert await asyncio.gather(watch(), watch()) == [expected, expected]


async def test_several_tasks_share_one_stream(expected: list[object]):
    """Each update goes to one of them, and at the end all of them end."""

    async def watch(stream: streamspot.api.Stream) -> list[streamspot.Update]:
        return [update async for update in stream]

    async with streamspot.open(CLIP) as stream, asyncio.timeout(60):
        shares = await asyncio.gather(*(watch(stream) for _ in range(3)))
    updates = [update for share in shares for update in share]
    events = sorted((event for update in updates for event in update.events), key=lambda event: event.seq)
    assert [_told(event) for event in events] == expected
    assert sum(len(update.scores) for update in updates) == 210


def test_ones_own_frames_are_pushed_one_by_one(expected: list[object]):
    """What a push brings to light comes back from it, in the caller's own thread."""
    threads = threading.active_count()
    events = []
    with streamspot.FrameSpotter() as spotter:
        for image, seconds in _pictures():
            events += spotter.push(image, seconds).events
            assert threading.active_count() <= threads + 1  # MediaPipe has one of its own
        events += spotter.finish().events
    assert [_told(event) for event in events] == expected


def test_the_end_says_what_a_stream_says():
    """The controls as they were set, and that nobody was seen."""
    with streamspot.FrameSpotter(sensitivity=0.7) as spotter:
        for number in range(90):
            spotter.push(np.zeros((48, 64, 3), np.uint8), number / 30)
        last = spotter.finish()
    assert last.controls.sensitivity == 0.7
    assert any("no face has been found" in message for message in last.messages)


def test_ones_own_frames_may_come_from_any_iterable(expected: list[object]):
    """A generator of pictures and times is a source."""
    with streamspot.open(_pictures()) as stream:
        events = [event for update in stream for event in update.events]
    assert [_told(event) for event in events] == expected


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ((np.zeros((8, 8, 3)), 0.0), "float64"),
        ((np.zeros((0, 8, 3), np.uint8), 0.0), r"\(0, 8, 3\)"),
        ((np.zeros((8, 8, 2), np.uint8), 0.0), r"\(8, 8, 2\)"),
        ((np.zeros((8, 8, 3), np.uint8), float("nan")), "nan"),
        (np.zeros((8, 8, 3), np.uint8), "no pair|times must increase"),
        (([[1, 2], [3]], 0.0), "no array"),
        ((np.zeros((4, 40_000, 3), np.uint8), 0.0), "40000x4 pixels; .* 16,384 a side"),
    ],
)
def test_what_is_no_picture_is_named(item: object, words: str):
    """A wrong type, an empty picture, a time that is no number."""
    with streamspot.open(iter([item])) as stream, pytest.raises(SourceError, match=words):
        list(stream)


@pytest.mark.parametrize("ending", [SystemExit("lost"), KeyboardInterrupt(), asyncio.CancelledError()])
def test_a_generator_that_fails_is_no_end_of_the_pictures(ending: BaseException):
    """Whatever it raises: the program is told, and nobody takes half a recording for a whole one."""

    def failing() -> Iterator[tuple[np.ndarray, float]]:
        yield np.zeros((48, 64, 3), np.uint8), 0.0
        raise ending

    with streamspot.open(failing()) as stream, pytest.raises(SourceError, match=type(ending).__name__):
        list(stream)


def test_a_buffer_that_is_used_again_may_be_of_any_kind():
    """What a generator writes over its own memory, a memoryview here, changes no picture that was given before."""
    memory = bytearray(48 * 64 * 3)

    def filling() -> Iterator[tuple[memoryview, float]]:
        for number in range(3):
            memory[:] = bytes([number + 1]) * len(memory)
            yield memoryview(memory).cast("B", (48, 64, 3)), number / 30

    frames = list(PushedFrames(filling()).read())
    assert [int(frame.image.max()) for frame in frames] == [1, 2, 3]


def test_a_picture_that_is_suddenly_tiny_shows_nobody():
    """A source that changes its size, to next to nothing too, goes on."""
    with streamspot.FrameSpotter() as spotter:
        for number, (image, seconds) in enumerate(_pictures()):
            large = cv2.resize(image, None, fx=3, fy=3)
            spotter.push(large[:1, :1] if number == 20 else large, seconds)
            if number == 25:
                break


def test_a_closed_spotter_says_so():
    """Nothing is pushed into what is closed, and nothing comes out of it."""
    spotter = streamspot.FrameSpotter()
    spotter.push(np.zeros((48, 64, 3), np.uint8), 0.0)
    spotter.close()
    for use in (lambda: spotter.push(np.zeros((48, 64, 3), np.uint8), 1.0), spotter.finish):
        with pytest.raises(SettingsError, match="the spotter is closed"):
            use()


def test_times_must_increase():
    """Frames that come in the wrong order are refused, not silently believed."""
    picture = np.zeros((48, 64, 3), np.uint8)
    with streamspot.FrameSpotter() as spotter:
        spotter.push(picture, 1.0)
        with pytest.raises(SourceError, match="times must increase"):
            spotter.push(picture, 1.0)
        with pytest.raises(
            SourceError, match=r"picture 1 is 2026-11-28 10:00:00\+00:00; give a sensible number"
        ):
            spotter.push(picture, datetime(2026, 11, 28, 10, tzinfo=UTC))


def test_pictures_of_another_size_are_named():
    """Whoever pushes pictures that shrink, which loses every face, is told so, once; a pixel less loses none."""
    sizes = [(480, 640), (478, 640), (240, 320), (240, 320), (480, 640)]
    pictures = [(np.zeros((*size, 3), np.uint8), n / 30) for n, size in enumerate(sizes)]
    with streamspot.FrameSpotter() as spotter:
        said = [spotter.push(*picture).messages for picture in pictures]
    assert [len(messages) for messages in said] == [0, 0, 1, 0, 0]
    assert "picture 2 is 320x240" in said[2][0]
    with streamspot.open(pictures) as stream:
        told = [message for update in stream for message in update.messages]
    assert sum("picture 2 is 320x240" in message for message in told) == 1


def test_a_spotter_serves_one_thread_at_a_time():
    """Of two threads that push at once the one that comes later is told so, and the pictures of the other count."""
    image = np.zeros((240, 320, 3), np.uint8)
    with streamspot.FrameSpotter() as spotter, ThreadPoolExecutor() as threads:
        spotter.push(image, 0.0)
        with spotter._one_at_a_time(), pytest.raises(SettingsError, match="one thread at a time"):
            threads.submit(spotter.push, image, 0.1).result()
        assert threads.submit(spotter.push, image, 0.1).result().pts == 0.1


def test_what_an_interface_does_not_serve_is_refused():
    """A misspelt setting, an output, a pace for pushed frames, a source that is none."""
    with pytest.raises(SettingsError, match=r"no .broker. among the settings of the analysis"):
        streamspot.open(CLIP, broker="mqtt://localhost")
    with pytest.raises(SettingsError, match=r"did you mean .sensitivity."):
        streamspot.open(CLIP, sensitivty=0.5)
    with pytest.raises(SettingsError, match="sensitivity = 2"):
        streamspot.open(CLIP, sensitivity=2.0)
    with pytest.raises(SettingsError, match="policy"):
        streamspot.FrameSpotter(policy="latest")
    with pytest.raises(SettingsError, match="no source"):
        streamspot.open(None)
    with pytest.raises(SettingsError, match="with block"):
        next(iter(streamspot.open(CLIP)))
    with pytest.raises(SourceError, match="nowhere"):
        streamspot.open(Path("nowhere.mp4"))
    with pytest.raises(SourceError, match="camera"), streamspot.open(77) as stream:
        next(stream)


async def test_a_cancelled_stream_is_gone_at_once():
    """Cancelling the task that iterates ends capture and analysis with it."""
    going = asyncio.Event()

    async def watch() -> None:
        async with streamspot.open("synthetic:seconds=60", speed=1.0) as stream:
            async for _ in stream:
                going.set()

    task = asyncio.create_task(watch())
    await going.wait()
    begun = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - begun < 1.0  # a tenth of it on a machine that does nothing else
    assert not [one for one in threading.enumerate() if one.name.startswith(("analysis", "capture"))]


def test_a_running_stream_obeys():
    """Pause, resume, sensitivity and stop are methods of the stream."""
    with streamspot.open("synthetic:seconds=60,expressions=9", speed=2.0) as stream:
        seen = []
        for number, update in enumerate(stream):
            seen.append(update.controls)
            if number == 5:
                stream.set_sensitivity(0.7)
                stream.pause()
                threading.Timer(0.2, stream.resume).start()
            if len(seen) > 30 and not update.controls.paused:
                stream.stop()
    assert {controls.paused for controls in seen} == {True, False}
    assert seen[-1].sensitivity == 0.7
    with streamspot.open(CLIP) as stream, pytest.raises(SettingsError, match="sensitivity"):
        stream.set_sensitivity(7)


def _examples() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


def test_the_examples_of_the_readme_run(tmp_path: Path):
    """Each is a script that a user can paste; the files they name are made first."""
    images = [cv2.resize(image, (320, 240)) for image, _ in _pictures()]
    np.save(tmp_path / "frames.npy", np.stack(images))
    assert len(_examples()) >= 2
    for number, code in enumerate(_examples()):
        script = tmp_path / f"example{number}.py"
        script.write_text(code.replace('"clip.mp4"', f'"{CLIP}"'))
        done = subprocess.run(
            [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        assert "onset macro" in done.stdout


def test_a_typing_error_is_found_before_it_runs(tmp_path: Path):
    """Mypy knows the settings: a misspelt one, a wrong choice and a wrong type are errors of the script."""
    script = tmp_path / "typo.py"
    script.write_text(
        "import streamspot\n"
        "streamspot.open(0, faces=2)\n"
        "streamspot.open(0, sensitivty=0.5)\n"
        "streamspot.open(0, flow='fast')\n"
        "streamspot.FrameSpotter(faces='2')\n"
    )
    command = [sys.executable, "-m", "mypy", str(script)]  # with what the linter has kept of the libraries
    done = subprocess.run(command, cwd=README.parent, capture_output=True, text=True, check=False)
    assert {line.split(":")[1] for line in done.stdout.splitlines() if "typo.py" in line} == {"3", "4", "5"}


async def test_a_notebook_cell_runs():
    """In a notebook a loop runs already; a cell with ``async with``, or a plain one, works there all the same."""
    cell = f"""
        found = []
        async with streamspot.open({CLIP!r}) as stream:
            async for update in stream:
                found += update.events
        with streamspot.open({CLIP!r}) as stream:
            found += [event for update in stream for event in update.events]
    """
    body = compile(
        "import streamspot\n" + "\n".join(line[8:] for line in cell.splitlines()),
        "cell",
        "exec",
        flags=__import__("ast").PyCF_ALLOW_TOP_LEVEL_AWAIT,
    )
    scope: dict[str, object] = {}
    await eval(body, scope)  # noqa: S307 - the cell above
    assert len(scope["found"]) >= 4


def test_importing_costs_nothing():
    """``import streamspot`` loads none of the heavy libraries; a subscriber needs no network."""
    heavy = ("numpy", "cv2", "torch", "mediapipe", "pydantic", "rich")
    code = f"import sys, streamspot; sys.exit(any(name in sys.modules for name in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    code = "import sys, streamspot; streamspot.subscribe; sys.exit('torch' in sys.modules or 'cv2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_stream_and_a_spotter_serve_once():
    """What has ended says so instead of giving nothing, or a fault of a library below."""
    with streamspot.open("synthetic:seconds=1,expressions=0") as stream:
        list(stream)
    with pytest.raises(SettingsError, match="runs once"), stream:
        pass
    spotter = streamspot.FrameSpotter()
    spotter.close()
    with pytest.raises(SettingsError, match="is closed"):
        spotter.push(np.zeros((48, 64, 3), np.uint8), 0.0)


async def test_what_was_not_taken_before_the_block_ended_is_let_go():
    """Whoever left early gets no more of it, plainly or asynchronously."""
    with streamspot.open("synthetic:seconds=2,expressions=0") as plain:
        next(plain)
        await asyncio.sleep(0.3)
    assert list(plain) == []
    async with streamspot.open("synthetic:seconds=2,expressions=0") as stream:
        await anext(stream)
        await asyncio.sleep(0.3)
    assert [update async for update in stream] == []


def test_a_buffer_that_is_written_over_does_no_harm(expected: list[object]):
    """Grabbers hand out the same array again and again; what was handed over is kept."""

    def grabbed() -> Iterator[tuple[np.ndarray, float]]:
        buffer: np.ndarray | None = None
        for image, seconds in _pictures():
            buffer = np.empty_like(image) if buffer is None else buffer
            buffer[:] = image
            yield buffer, seconds

    with streamspot.open(grabbed()) as stream:
        events = [event for update in stream for event in update.events]
    assert [_told(event) for event in events] == expected


def test_weights_may_be_a_path(tmp_path: Path):
    """So the types say."""
    with pytest.raises(streamspot.StreamspotError, match=r"none\.safetensors"):
        streamspot.FrameSpotter(weights=tmp_path / "none.safetensors")
