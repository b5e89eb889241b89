"""Files that a stranger may hand over: each with the command that reads it, which has to refuse it in one sentence.

``python tests/hostile.py`` runs them all, each as a whole program, as a user starts it. ``--whole N --forked M`` runs
every Nth so, and every Mth in a forked process, which begins with everything imported. A line of JSON is printed for
each: what it was, whether it was forked, exit code, seconds of processor time, wall-clock seconds, MB, what was said.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hostile_data import DEEP, LONG, Cases, data_sets, journals, pictures, tables, videos
from small_data import write_small
from small_recordings import write_recording

from streamspot.model.config import ModelConfig
from streamspot.model.network import Network
from streamspot.model.weights import Model

NAMES = ("/etc/x", "../../x", "a/b", "", "A" * 300, "x\0y", "\x1b[2J", "+", "#", "näme")
NUMBERS = ("NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 400, "-1", '"7"', "null", "true", "[]", "{}")


def hostile(folder: Path) -> Cases:
    """Write all of them into a folder."""
    (folder / "good").mkdir(parents=True)
    write_recording(folder / "good" / "r.motion", ticks=60)
    for family in (recordings, weights, settings, data_sets, tables, pictures, videos, journals):
        place = folder / family.__name__
        place.mkdir()
        for name, command in family(place, folder / "good" / "r.motion"):
            yield f"{family.__name__}: {name}", command


def recordings(folder: Path, good: Path) -> Cases:  # noqa: C901
    """Recordings of region motion."""
    head, *lines = good.read_text().splitlines()
    count = 0

    def case(name: str, content: str | bytes) -> tuple[str, list[str]]:
        nonlocal count
        count += 1
        path = folder / f"{count}.motion"
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
        return name, ["run", "--source", str(path), "--no-ui"]

    def whole(*changed: str) -> str:
        return "\n".join(changed) + "\n"

    def header(**changes: object) -> str:
        return whole(json.dumps(json.loads(head) | changes, separators=(",", ":")), *lines)

    for name in NAMES:
        yield case(f"stream {name[:12]!r}", header(stream=name))
    for name in NAMES[:7]:
        yield case(f"session {name[:12]!r}", header(session=name))
    for value in (None, 7, [], {}, True):
        yield case(f"stream is {value!r}", header(stream=value))
    for key in json.loads(head):
        rest = {name: value for name, value in json.loads(head).items() if name != key}
        yield case(f"no {key}", whole(json.dumps(rest, separators=(",", ":")), *lines))
    for value in ("NaN", "1e999", "1" + "0" * 400, '"x"', "null"):
        yield case(f"origin {value[:12]}", whole(head.replace('"origin":0.0', f'"origin":{value}'), *lines))
    for start in (
        "9999-12-31T23:59:59+00:00",
        "0001-01-01T00:00:00+00:00",
        "yesterday",
        "2026-11-22",
        5,
        LONG,
    ):
        yield case(f"start {str(start)[:12]}", header(start=start))
    yield case("unknown layout", header(layout="face900"))
    yield case("layout of 3 MB", header(layout=LONG))
    yield case("version of 3 MB", header(version=LONG))
    yield case("version 99", header(version=99))
    yield case("header nested", head[:-1] + ',"x":' + DEEP + "\n")
    yield case("header of 3 MB, no end", '{"format":"streamspot region motion","x":"' + LONG)
    row = json.loads(lines[5])
    for place, field in enumerate(("face", "tick", "pts", "frame", "quality", "values")):
        for value in NUMBERS:
            if not (field in {"pts", "quality"} and value == "-1"):
                parts = [json.dumps(one) for one in row]
                parts[place] = value
                yield case(
                    f"{field} {value[:12]}", whole(head, *lines[:5], f"[{','.join(parts)}]", *lines[6:])
                )
    values = [["x"] * 34, [0.1] * 33, [0.1] * 400, [[0.1]] * 34, [1e39] * 34, [None] * 34, [0.1] * 500_000]
    for one in values:
        line = json.dumps([*row[:5], one])
        yield case(f"values {str(one)[:12]} x {len(one)}", whole(head, *lines[:5], line, *lines[6:]))
    yield case("time runs back", whole(head, *lines[:9], *lines[:9]))
    yield case("line nested", whole(head, *lines[:5], DEEP, *lines[6:]))
    yield case("line of 3 MB", whole(head, *lines[:5], f'["{LONG}"]', *lines[6:]))
    yield case("a line of text", whole(head, *lines[:5], "hello", *lines[6:]))
    yield case("NUL bytes within", (whole(head, *lines[:5]) + "\0" * 4096 + whole(*lines[6:])))
    yield case("not UTF-8", whole(head, *lines[:5]).encode() + b"\xff\xfe\xfd\n" + whole(*lines[6:]).encode())
    yield case("UTF-16", whole(head, *lines).encode("utf-16"))
    yield case("lone surrogate", header(how="\ud800"))
    yield case("an empty file", "")
    yield case("a header alone, cut", head[:40])


def weights(folder: Path, good: Path) -> Cases:
    """Weights."""
    path = folder / "tiny.safetensors"
    Model(Network(ModelConfig(width=8, dilations=(1, 2)))).save(path)
    content = path.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    about, data = json.loads(content[8 : 8 + size]), content[8 + size :]
    config = json.loads(about["__metadata__"]["config"])

    def case(name: str, raw: bytes) -> tuple[str, list[str]]:
        place = folder / f"{len(list(folder.iterdir()))}.safetensors"
        place.write_bytes(raw)
        return name, ["run", "--source", str(good), "--weights", str(place), "--no-ui"]

    def packed(changed: dict[str, object], body: bytes = data) -> bytes:
        text = json.dumps(changed).encode()
        return struct.pack("<Q", len(text)) + text + body

    def configured(**changes: object) -> bytes:
        return packed(
            about | {"__metadata__": about["__metadata__"] | {"config": json.dumps(config | changes)}}
        )

    for key, value in (
        *(("regions", value) for value in (10**9, -1, 1.5, "17", None, 256)),
        *(("width", value) for value in (10**9, 256, 0, -8, True)),
        ("dilations", [2**40]),
        ("dilations", [1] * 10**5),
        ("dilations", []),
        ("time_constants", [0.0] * 10**5),
        ("time_constants", [1e-300]),
        ("heads", 10**12),
        ("look_ahead", 10**9),
        ("groups", [[0, 10**12]]),
        ("input_scale", 1e308),
        ("encoder", "x" * 10**6),
        ("layout", "x" * 10**6),
        ("name", 7),
        ("surprise", "x" * 10**6),
    ):
        yield case(f"{key} {str(value)[:12]}", configured(**{key: value}))
    meta = about["__metadata__"]
    for key in ("config", "provenance", "spotting"):
        for text in ("", "[]", "{", DEEP, "NaN", '"' + LONG + '"'):
            yield case(f"{key} {text[:5]!r}", packed(about | {"__metadata__": meta | {key: text}}))
    for spotting in (
        {"smooth": 10**12},
        {"macro_score": "x"},
        {"thresholds": [0.1] * 10**5},
        {"x" * 10**6: 1},
    ):
        text = json.dumps(spotting)
        yield case(f"spotting {text[:12]}", packed(about | {"__metadata__": meta | {"spotting": text}}))
    yield case("header of 2**60 bytes", struct.pack("<Q", 2**60) + content[8:])
    yield case("header of 90 MB", struct.pack("<Q", 90 * 10**6) + content[8:])
    yield case("header nested", struct.pack("<Q", 20_000) + DEEP.encode())
    yield case("cut", content[: len(content) // 2])
    yield case("no metadata", packed({key: value for key, value in about.items() if key != "__metadata__"}))
    name = next(key for key in about if key.endswith("weight"))
    for change in (
        {"shape": [2**40, 2**40]},
        {"shape": [1, 1]},
        {"dtype": "F8_E4M3"},
        {"dtype": "BOOL"},
        {"data_offsets": [0, 2**50]},
        {"data_offsets": [-8, 8]},
    ):
        yield case(f"{name} {change}"[:60], packed(about | {name: about[name] | change}))
    yield case("a weight missing", packed({key: value for key, value in about.items() if key != name}))
    yield case("a weight NaN", packed(about, b"\xff" * len(data)))
    yield case("a pickle", b"\x80\x04\x95\x20\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.")
    yield case("empty", b"")


def settings(folder: Path, good: Path) -> Cases:
    """Settings of a run and of a training, in YAML."""
    data = write_small(folder / "data", subjects=2)
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
    bomb += "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))
    merges = "a0: &a0 {k0: x}\n"
    merges += "".join(f"a{n}: &a{n} {{<<: [{','.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 9))
    contents: dict[str, str | bytes] = {
        "alias bomb": bomb,
        "alias bomb as a value": bomb + "source: *a9\n",
        "bomb of merged keys": merges + "model: *a8\n",
        "a value that holds itself": "source: &a [*a]\n",
        "huge value": f"policy: {LONG}\n",
        "huge key": f"{LONG}: 1\n",
        "nested": DEEP + "\n",
        "nested keys": "".join(" " * n + "a:\n" for n in range(2000)),
        "a tag of Python": "source: !!python/object/apply:os.system [id]\n",
        "an unknown tag": "source: !x y\n",
        "binary": bytes(range(256)) * 40,
        "NUL": b"source: a\0b\n",
        "a list": "- 1\n- 2\n",
        "a number": "17\n",
        "two documents": "source: a\n---\nsource: b\n",
        "long integer": "faces: " + "9" * 5000 + "\n",
        "base 60": "faces: 190:20:30\n",
        "a date": "stream: 2026-11-22\n",
        "a mapping as a key": "? {a: b}\n: c\n",
        "unhashable key": "? [a, b]\n: c\n",
        "many keys": "".join(f"k{n}: 1\n" for n in range(20_000)),
        "100,000 anchors": "".join(f"- &a{n} x\n" for n in range(20_000)),
        "not finite": "sensitivity: .nan\n",
    }
    for number, (name, content) in enumerate(contents.items()):
        path = folder / f"{number}.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        yield name, ["run", "--config", str(path), "--source", str(good), "--no-ui"]
        if number % 3 == 0:
            out = str(folder / "w.safetensors")
            yield (
                f"{name} (train)",
                ["train", "--data", str(data), "--config", str(path), "--out", out, "--no-ui"],
            )


def _forked(command: list[str], output: int) -> int:
    """Run a command in a copy of this process; return its number."""
    if pid := os.fork():
        return pid
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.argv = ["streamspot", *command]
    from streamspot.__main__ import program

    program()
    return 0


def _started(command: list[str], output: int) -> int:
    """Run it as a program of its own."""
    program = [sys.executable, "-m", "streamspot", *command]
    return subprocess.Popen(program, stdout=output, stderr=output, stdin=subprocess.DEVNULL).pid


def outcome(command: list[str], *, forked: bool) -> dict[str, object]:
    """Run a command for two minutes at most; return its exit code, what it cost and what it printed."""
    with tempfile.TemporaryFile() as output:
        began = time.monotonic()
        pid = (_forked if forked else _started)(command, output.fileno())
        while not (ended := os.wait4(pid, os.WNOHANG))[0]:
            if time.monotonic() - began > 120:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.005)
        _, status, usage = ended
        output.seek(0)
        return {
            "forked": forked,
            "code": os.waitstatus_to_exitcode(status),
            "cpu": round(usage.ru_utime + usage.ru_stime, 2),
            "wall": round(time.monotonic() - began, 2),
            "mb": round(usage.ru_maxrss / 1e3),
            "said": output.read(100_000).decode(errors="replace"),
        }


def main() -> None:
    """Run them all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--whole", type=int, default=1)
    parser.add_argument("--forked", type=int)
    options = parser.parse_args()
    if options.forked:
        import streamspot.datasets.extract
        import streamspot.outputs
        import streamspot.training.train  # noqa: F401
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_STATE_HOME"] = str(Path(name, "state"))
        for number, (case, command) in enumerate(hostile(Path(name, "files"))):
            for every, forked in ((options.whole, False), (options.forked, True)):
                if every and number % every == 0:
                    print(json.dumps({"case": case, **outcome(command, forked=forked)}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
