"""Clips changed in ways that keep their expressions: ``python -m experiments.changed FOLDER [--weights W]``.

What is found should not depend on which way a face looks, how near it is, how bright the picture, or how many
pictures a second there are. FOLDER and what counts as found are those of ``experiments.clips``; one face is followed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from experiments.clips import as_detection, clips_of, truth_of
from experiments.observing import events_of_motion, observe
from streamspot.datasets.recording import Instance
from streamspot.evaluation.matching import Counts, match
from streamspot.model import Model
from streamspot.sources import open_source
from streamspot.types import Frame

Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class ClipChange:
    """What is done to a clip.

    Attributes:
        picture: To each picture.
        speed: How many times as fast it is played.
        every: Of so many pictures one is kept.
        backwards: Whether it is played from its end.
    """

    picture: Callable[[Picture], Picture] = np.asarray
    speed: float = 1.0
    every: int = 1
    backwards: bool = False

    def frames(self, frames: Sequence[Frame]) -> Iterator[Frame]:
        """Yield the changed clip; frames keep their numbers."""
        order = frames[::-1] if self.backwards else frames
        for number in range(0, len(frames), self.every):
            image = np.ascontiguousarray(self.picture(order[number].image))
            yield Frame(number, frames[number].pts / self.speed, 0, image)

    def expressions(self, shown: Sequence[Instance], frames: int) -> list[Instance]:
        """Return where the expressions of a clip of so many frames are afterwards."""
        if not self.backwards:
            return list(shown)
        turned = ((frames - 1 - one.offset, frames - 1 - one.onset) for one in reversed(shown))
        return [Instance("macro", onset, onset, offset) for onset, offset in turned]


def _turned(degrees: float, zoom: float = 1.0) -> Callable[[Picture], Picture]:
    def change(image: Picture) -> Picture:
        height, width = image.shape[:2]
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, zoom)
        return np.asarray(
            cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REFLECT), np.uint8
        )

    return change


def _sized(across: float, down: float) -> Callable[[Picture], Picture]:
    return lambda image: np.asarray(cv2.resize(image, None, fx=across, fy=down), np.uint8)


def _brightened(gamma: float) -> Callable[[Picture], Picture]:
    levels = (255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)
    return lambda image: levels[image]


CHANGES = {
    "as it is": ClipChange(),
    "mirrored": ClipChange(lambda image: image[:, ::-1]),
    "turned by 10 degrees": ClipChange(_turned(10)),
    "turned by -10 degrees": ClipChange(_turned(-10)),
    "nearer, 1.25 times": ClipChange(_turned(0, 1.25)),
    "farther, 0.7 times": ClipChange(_turned(0, 0.7)),
    "twice the size": ClipChange(_sized(2, 2)),
    "1.2 times as wide": ClipChange(_sized(1.2, 1)),
    "1.15 times as high": ClipChange(_sized(1, 1.15)),
    "brighter, gamma 0.5": ClipChange(_brightened(0.5)),
    "darker, gamma 2": ClipChange(_brightened(2.0)),
    "without colours": ClipChange(
        lambda image: np.repeat(image.mean(2, keepdims=True), 3, 2).astype(np.uint8)
    ),
    "every second picture": ClipChange(every=2),
    "3/4 of the speed": ClipChange(speed=0.75),
    "4/3 of the speed": ClipChange(speed=4 / 3),
    "backwards": ClipChange(backwards=True),
}


def main() -> None:
    """Print a line a change: found of how many, false, and in which clips either differs from all and none."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", default="streamspot-base")
    options = parser.parse_args()
    model, truth = Model.load(options.weights, device="cpu"), truth_of(options.folder)
    clips: dict[str, list[Frame]] = {}
    for path in clips_of(options.folder):
        with closing(open_source(str(path))) as source:
            clips[path.name] = [item for item in source.read() if isinstance(item, Frame)]
    for name, change in CHANGES.items():
        total, differing = Counts(), []
        for clip, frames in clips.items():
            events = events_of_motion(observe(change.frames(frames)), model)
            found = [one for event in events if (one := as_detection(event)) is not None]
            counts, _ = match(found, change.expressions(truth[clip], len(frames)), "macro")
            total += counts
            if counts.fp or counts.fn:
                differing.append(f"{clip} {counts.tp} and {counts.fp} false")
        print(
            f"{name}: {total.tp} of {total.tp + total.fn}, {total.fp} false; {', '.join(differing)}",
            flush=True,
        )


if __name__ == "__main__":
    main()
