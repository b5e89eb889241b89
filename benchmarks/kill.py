"""Kill -9 of whole runs: ``python benchmarks/kill.py [--times 100]``.

A recording of region motion is replayed again and again, with a journal, a mosquitto and a file of JSON lines; each
run is killed with SIGKILL at a random moment after its first event. A last, undisturbed run drains the journal.
Reported: events that stand whole in some file and never reached a persistent subscriber (must be none), and how many
arrived twice.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import streamspot


def record(path: Path) -> None:
    """Record the synthetic clip's region motion."""
    command = [sys.executable, "-m", "streamspot", "run", "--source", "synthetic", "--record", str(path)]
    subprocess.run([*command, "--no-ui"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)  # noqa: S603


def start(folder: Path, number: int, url: str, recording: Path) -> subprocess.Popen[bytes]:
    """Start a run."""
    options = ["--source", recording, "--speed", "8", "--broker", url, "--journal", folder / "journal"]
    options += ["--events", folder / f"{number}.jsonl", "--node", "kill", "--no-ui"]
    command = [sys.executable, "-m", "streamspot", "run", *map(str, options)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603


def reported(folder: Path) -> set[str]:
    """Return the ids of all whole lines of all files."""
    return {
        json.loads(line)["id"]
        for path in folder.glob("*.jsonl")
        for line in path.read_bytes().splitlines(keepends=True)
        if line.endswith(b"\n")
    }


async def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=100)
    times = parser.parse_args().times
    mosquitto = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        folder, url = Path(name), f"mqtt://127.0.0.1:{port}"
        recording = folder / "recording"
        record(recording)
        broker = subprocess.Popen([str(mosquitto), "-p", str(port)], stderr=subprocess.DEVNULL)  # noqa: ASYNC220, S603
        await asyncio.sleep(1.0)
        received: list[str] = []
        async with streamspot.subscribe(url, client_id="kill") as arriving:

            async def follow() -> None:
                async for arrived in arriving:
                    received.append(arrived.event.id)  # noqa: PERF401 - it never ends

            follower = asyncio.create_task(follow())
            for number in range(times):
                process = start(folder, number, url, recording)
                lines = folder / f"{number}.jsonl"
                while process.poll() is None and not (lines.exists() and lines.stat().st_size):
                    await asyncio.sleep(0.01)
                await asyncio.sleep(rng.uniform(0.0, 1.5))
                process.kill()
                process.wait()
            last = start(folder, times, url, recording)
            while last.poll() is None:
                await asyncio.sleep(0.1)
            deadline = time.monotonic() + 10
            while reported(folder) - set(received) and time.monotonic() < deadline:
                await asyncio.sleep(0.1)
            follower.cancel()
            broker.terminate()
        told = reported(folder)
        figures = {"kills": times, "reported": len(told), "received": len(set(received))}
        print(
            json.dumps(
                {**figures, "lost": len(told - set(received)), "duplicates_dropped": arriving.duplicates}
            )
        )


if __name__ == "__main__":
    asyncio.run(main())
