"""Promises to laboratories: markers and the curve arrive on LSL's clock, and without the flag nothing is opened."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from brokers import make_event
from small_recordings import write_recording

import streamspot.session
from streamspot.layers import load_settings
from streamspot.run import StreamRun
from streamspot.sinks.lsl import LslOutlet
from streamspot.types import Controls, FaceState, Frame, Score, Session, Update

pylsl: Any = pytest.importorskip("pylsl")
pylsl.set_config_content("[multicast]\nResolveScope = machine\n")  # the tests are nobody else's business


def stream(folder: Path, name: str, *, live: bool) -> StreamRun:
    """Return a stream that is named so and is, or is not, live."""
    run = StreamRun(load_settings({"source": str(write_recording(folder / "visit.motion")), "stream": name}))
    run.stats.live = live
    return run


def inlets(name: str) -> tuple[Any, Any]:
    """Return inlets of the markers and of the curve of a stream, connected."""
    found = []
    for which in (f"streamspot {name}", f"streamspot {name} curve"):
        infos = pylsl.resolve_byprop("name", which, timeout=20)
        assert infos, f"nothing is called {which}"
        found.append(pylsl.StreamInlet(infos[0]))
        found[-1].open_stream(timeout=20)
    return found[0], found[1]


def pulled(inlet: Any, count: int) -> tuple[list[list[Any]], list[float]]:
    """Return that many samples and their times."""
    samples: list[list[Any]] = []
    times: list[float] = []
    until = time.monotonic() + 20
    while len(samples) < count and time.monotonic() < until:
        sample, stamp = inlet.pull_sample(timeout=1)
        if sample is not None:
            samples.append(sample)
            times.append(stamp)
    return samples, times


def update_of(session: Session, ticks: range, *events: Any) -> Update:
    """Return an update in which these ticks are judged."""
    scores = tuple((0, Score(tick, tick / 30, tick, tick / 1000, 1.0, 0.0)) for tick in ticks)
    return Update(session, ticks.stop, ticks.stop / 30, (), scores, tuple(events), {0: FaceState()})


async def test_markers_and_curve_arrive_at_the_time_of_their_capture(tmp_path: Path):
    """An early onset, then the final onset, apex and offset; each at its own time on LSL's clock, as is each tick."""
    begun = datetime.now(UTC) - timedelta(seconds=2)
    zero = pylsl.local_clock() - 2
    session = Session("r1", "s", "cam", 0.0, begun)
    onset, offset = make_event(0, "onset"), make_event(1, "offset")
    early = onset.model_copy(update={"apex": None})
    async with LslOutlet(stream(tmp_path, "lsl-live", live=True), "node") as outlet:
        markers, curve = inlets("lsl-live")
        await outlet.take(update_of(session, range(20), early))
        await outlet.take(update_of(session, range(20, 40), offset))
        names, when = pulled(markers, 4)
        values, ticks = pulled(curve, 40)
        about = curve.info()
    assert [name for (name,) in names] == [
        "macro/onset/early/face0",
        "macro/onset/final/face0",
        "macro/apex/final/face0",
        "macro/offset/final/face0",
    ]
    expected = [zero + moment.tick / 30 for moment in (onset.onset, offset.onset, offset.apex, offset.offset)]
    assert np.allclose(when, expected, atol=0.02)
    assert np.allclose(ticks, zero + np.arange(40) / 30, atol=0.02)
    assert np.allclose(values, [(tick / 1000, 1, 0) for tick in range(40)])
    assert [about.nominal_srate(), about.channel_count()] == [30, 3]


async def test_times_are_right_after_the_computer_has_slept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What happens after an hour of sleep is marked when it happens, not an hour ahead."""
    run = stream(tmp_path, "lsl-asleep", live=True)
    picture = Frame(0, 0.0, time.monotonic_ns(), np.zeros((2, 2, 3), np.uint8))
    session = Session("r1", "s", "cam", 0.0, run.analyser.clock.arrival(picture))
    async with LslOutlet(run, "node") as outlet:
        _, curve = inlets("lsl-asleep")
        slept = streamspot.session.slept()
        monkeypatch.setattr("streamspot.session.slept", lambda: slept + 3600)
        session = run.analyser.clock.anchored(session, picture)
        zero = pylsl.local_clock() - (time.monotonic_ns() - picture.captured_ns) / 1e9
        await outlet.take(update_of(session, range(3)))
        _, ticks = pulled(curve, 3)
    assert np.allclose(ticks, zero + np.arange(3) / 30, atol=0.02)


async def test_a_recording_is_offered_as_if_it_were_shown_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Each tick has the moment at which its picture was shown, however long one waited and a pause lasted."""
    session = Session("r1", "s", "cam", 5.0, datetime(2020, 1, 1, tzinfo=UTC))
    zero = pylsl.local_clock()

    async def show(tick: int, *, late: float = 0.0, scores: range = range(0), paused: bool = False) -> None:
        monkeypatch.setattr(pylsl, "local_clock", lambda: zero + tick / 30 + late)
        update = replace(update_of(session, scores), pts=5 + tick / 30, controls=Controls(paused))
        await outlet.take(update)

    async with LslOutlet(stream(tmp_path, "lsl-replay", live=False), "node") as outlet:
        _, curve = inlets("lsl-replay")
        for tick in range(20):  # while the models are loaded, the first pictures wait
            await show(tick, late=max(0.0, 2 - tick) / 10, scores=range(max(0, tick - 8), max(0, tick - 7)))
        await show(19, scores=range(12, 20), paused=True)
        await show(19, late=4.0)
        for tick in range(20, 40):
            await show(tick, late=4.0, scores=range(max(20, tick - 8), max(20, tick - 7)))
        _, ticks = pulled(curve, 32)
    assert np.allclose(ticks, zero + np.arange(32) / 30 + 4 * (np.arange(32) >= 20), atol=1e-3)


async def test_what_is_taken_back_and_a_tick_told_twice(tmp_path: Path):
    """A cancelled expression has its marker; no tick comes twice when the face in view changes."""
    session = Session("r1", "s", "cam", 0.0, datetime.now(UTC))
    async with LslOutlet(stream(tmp_path, "lsl-cancelled", live=True), "node") as outlet:
        markers, curve = inlets("lsl-cancelled")
        await outlet.take(update_of(session, range(10), make_event(0, "cancelled")))
        other = update_of(session, range(5, 12))
        await outlet.take(
            replace(other, scores=tuple((1, s) for _, s in other.scores), faces={1: FaceState()})
        )
        assert pulled(markers, 1)[0] == [["macro/cancelled/face0"]]
        assert len(pulled(curve, 12)[0]) == 12


async def test_the_last_ticks_of_a_face_arrive(tmp_path: Path):
    """At its end a face is in view no more, but what was held back for the look-ahead comes then."""
    session = Session("r1", "s", "cam", 0.0, datetime.now(UTC))
    async with LslOutlet(stream(tmp_path, "lsl-end", live=True), "node") as outlet:
        _, curve = inlets("lsl-end")
        await outlet.take(update_of(session, range(10)))
        await outlet.take(replace(update_of(session, range(10, 18)), faces={}))
        assert len(pulled(curve, 18)[0]) == 18


def xdf(path: Path, streams: Sequence[tuple[Any, list[list[Any]], list[float]]]) -> Path:
    """Write what inlets gave as LabRecorder would: a header, then the samples, of each stream."""

    def chunk(tag: int, content: bytes) -> bytes:
        return b"\x04" + struct.pack("<IH", len(content) + 2, tag) + content

    parts = [b"XDF:", chunk(1, b'<?xml version="1.0"?><info><version>1.0</version></info>')]
    for number, (info, samples, times) in enumerate(streams, 1):
        head = struct.pack("<I", number)
        parts.append(chunk(2, head + info.as_xml().encode()))
        body = head + b"\x04" + struct.pack("<I", len(samples))
        for sample, stamp in zip(samples, times, strict=True):
            body += b"\x08" + struct.pack("<d", stamp)
            for value in sample:
                text = value.encode() if isinstance(value, str) else b""
                body += b"\x04" + struct.pack("<I", len(text)) + text if text else struct.pack("<f", value)
        parts.append(chunk(3, body))
        footer = f"<info><sample_count>{len(samples)}</sample_count></info>"
        parts.append(chunk(6, head + footer.encode()))
    path.write_bytes(b"".join(parts))
    return path


async def test_a_recorded_session_opens_in_pyxdf(tmp_path: Path):
    """Both streams lie in one file, on one clock, the curve at 30 Hz with named channels."""
    pyxdf = pytest.importorskip("pyxdf")
    session = Session("r1", "s", "cam", 0.0, datetime.now(UTC))
    async with LslOutlet(stream(tmp_path, "lsl-xdf", live=True), "node") as outlet:
        ends = inlets("lsl-xdf")
        await outlet.take(update_of(session, range(60), make_event(1, "offset")))
        got = [(inlet.info(), *pulled(inlet, count)) for inlet, count in zip(ends, (3, 60), strict=True)]
    markers, curve = pyxdf.load_xdf(str(xdf(tmp_path / "session.xdf", got)))[0]
    assert markers["info"]["type"] == ["Markers"]
    assert markers["time_series"][0] == ["macro/onset/final/face0"]
    assert curve["info"]["effective_srate"] == pytest.approx(30, abs=0.1)
    labels = curve["info"]["desc"][0]["channels"][0]["channel"]
    assert [one["label"][0] for one in labels] == ["intensity", "macro", "micro"]
    onset = curve["time_stamps"][10]  # the event began in tick 10
    assert markers["time_stamps"][0] == pytest.approx(onset, abs=0.02)


def write_session(folder: Path) -> None:
    """Write four seconds of EEG at 250 Hz and the markers of expressions, two of which begin at one sample."""
    eeg = pylsl.StreamInfo("amplifier", "EEG", 2, 250, "float32", "amplifier")
    times = [100 + sample / 250 for sample in range(1000)]
    markers = pylsl.StreamInfo("streamspot cam", "Markers", 1, 0, "string", "cam")
    told = {
        100.1: "micro/onset/early/face0",
        100.2: "micro/cancelled/face0",
        101.0: "macro/onset/final/face0",
        101.5: "macro/apex/final/face0",
        102.0: "macro/offset/final/face0",
        101.001: "macro/onset/final/face1",
        102.501: "micro/onset/final/face0",
        105.0: "macro/onset/final/face0",
    }
    samples: list[list[Any]] = [[float(sample), 0.0] for sample in range(1000)]
    labels: list[list[Any]] = [[label] for label in told.values()]
    xdf(folder / "session.xdf", [(eeg, samples, times), (markers, labels, list(told))])


def scripts() -> list[str]:
    """Return the scripts of the page for laboratories."""
    page = Path(__file__).parents[1] / "docs" / "howto" / "lsl.md"
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def run_script(script: str, folder: Path) -> str:
    """Run a script beside the session; return what it printed."""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_script_of_the_page_finds_the_onsets_in_the_eeg(tmp_path: Path):
    """Final onsets alone, at the nearest sample, which two may share; what lies outside the EEG is left out."""
    pytest.importorskip("pyxdf")
    write_session(tmp_path)
    ids, *events = run_script(scripts()[0], tmp_path).splitlines()
    both = "macro/onset/final/face0/macro/onset/final/face1"
    assert ids == f"{{'{both}': 1, 'micro/onset/final/face0': 2}}"
    assert [row.strip(" []").split() for row in events] == [["250", "0", "1"], ["625", "0", "2"]]


def test_the_scripts_of_the_page_lead_to_epochs(tmp_path: Path):
    """MNE-Python cuts an epoch at each of them."""
    pytest.importorskip("mne")
    write_session(tmp_path)
    assert "1 events" in run_script("\n".join(scripts()), tmp_path)


def test_without_the_flag_the_library_is_not_even_loaded(tmp_path: Path):
    """No socket of Lab Streaming Layer is open unless somebody asks for it."""
    recording = write_recording(tmp_path / "visit.motion", ticks=60)
    script = (
        "import sys; from streamspot.cli import main\n"
        "try: main()\nexcept SystemExit as left: assert not left.code\n"
        "print('pylsl' in sys.modules, file=sys.__stderr__)"
    )
    command = [sys.executable, "-c", script, "run", "--source", str(recording), "--no-ui"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stderr.splitlines()[-1] == "False"
