"""What reading a picture costs: our reader and OpenCV's, side by side in one run, in processor time a frame.

``python benchmarks/reading_cost.py clip.mp4 ...`` prints a line for each file. The readers take turns, so that what
else runs on the machine touches them alike: compared are the medians of pairs, in user and system time together.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median

import cv2
import numpy as np

from streamspot.sources.video import VideoFile
from streamspot.types import Frame

_ROUNDS = 15


def ours(path: Path) -> Iterator[Frame]:
    """Yield the pictures as the program reads them."""
    yield from VideoFile(path).read()


def opencv(path: Path, threads: int = 0) -> Iterator[Frame]:
    """Yield the pictures and stamps as OpenCV reads them, on as many threads as it likes if ``threads`` is 0."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, threads])
    for index in itertools.count():
        ok, image = capture.read()
        if not ok:
            return
        pts = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        yield Frame(index, pts, time.monotonic_ns(), np.ascontiguousarray(image, np.uint8))


def cost(read: Callable[[Path], Iterator[Frame]], path: Path) -> float:
    """Return milliseconds of processor time a frame, after the first."""
    pictures = read(path)
    next(pictures)
    began = time.process_time()
    count = sum(1 for _ in pictures)
    return 1e3 * (time.process_time() - began) / count


def main() -> None:
    """Print medians of several rounds, and of the differences within a round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    cv2.setNumThreads(1)
    readers: dict[str, Callable[[Path], Iterator[Frame]]] = {
        "OpenCV": opencv,
        "OpenCV, 1 thread": partial(opencv, threads=1),
        "ours": ours,
    }
    print(f"{'ms a frame':20}", *(f"{name:>16}" for name in readers), f"{'ours - OpenCV':>16}")
    for path in parser.parse_args().files:
        rounds = [[cost(read, path) for read in readers.values()] for _ in range(_ROUNDS)]
        less = median(ours / theirs - 1 for theirs, _, ours in rounds)
        columns = (f"{median(column):16.3f}" for column in zip(*rounds, strict=True))
        print(f"{path.name:20}", *columns, f"{less:16.1%}", flush=True)


if __name__ == "__main__":
    main()
