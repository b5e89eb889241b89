"""What the user should know of pictures and faces: each sentence is said once, while it helps or at the end."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence

import numpy as np

from streamspot.types import TICK_RATE, FaceMotion, Motion, Trouble

_PATIENCE_S = 10.0
"""Seconds of video without any face, from the first frame on, after which the user is told what helps."""

_TROUBLE_TICKS = 3 * TICK_RATE
"""Ticks of one trouble of a face, less those without it since, after which it is told while the run goes on."""

_TROUBLE_SHARE = 0.2
"""Share of the time for which a trouble must have lasted to be told at the end."""

_SEEN_SHARE = 0.5
"""Share of the frames in which a face was found, below which that is told at the end."""

_RATE_FRAMES, _FEW_FRAMES = 31, 5
"""So many pictures tell the rate, and so few where they have taken as long as a user's patience."""

_LOWEST_FPS, _MICRO_FPS = 2.0, 20.0
"""Pictures a second below which nothing is spotted, and no micro-expression."""

_MILLISECONDS = 4.0
"""Seconds between two pictures that are more likely milliseconds, of a source of up to 250 pictures a second."""

TROUBLES: dict[Trouble, str] = {
    "small": "too small (eyes under 32 pixels apart): move nearer, or choose a larger picture",
    "outside": "partly out of the picture: move the camera or the chair",
    "turned": "turned away: place the camera in front of it",
    "dark": "too dark: light it from the front",
    "seldom": "lost again and again: it must be upright, turned to the camera and well lit",
    "covered": "covered by a hand on the mouth: nothing is spotted until it is gone",
    "unclear": "hidden, blurred or lost in noise: look for what is in front of it, and for more light",
}
"""What is wrong with a face, and what helps."""


class Advice:
    """Watches the pictures and faces of one run, and says each thing the user should know once.

    Example:
        >>> advice = Advice()
        >>> [list(advice.take(n, seen=False, motion=())) for n in range(12)][-2]
        ['no face has been found in 10 s of video; one must be upright, turned to the camera, lit from the front \
and large enough in the picture']
    """

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=_RATE_FRAMES)
        self._first: float | None = None
        self._frames = self._seen = self._ticks = 0
        self._troubles: Counter[Trouble] = Counter()
        self._lasting: dict[int, Counter[Trouble]] = {}  # of the faces that are there
        self._told: set[str] = set()

    def take(self, pts: float, *, seen: bool, motion: Sequence[Motion]) -> Iterator[str]:
        """Take a frame; yield what is to be said now.

        Args:
            pts: Its time, s.
            seen: Whether a face is in it.
            motion: What became known of faces' motion.
        """
        if self._first is None:
            self._first = pts
        self._times.append(pts)
        self._frames += 1
        self._seen += seen
        for one in motion:
            if isinstance(one, FaceMotion):
                self._ticks += 1
                yield from self._trouble(one.face, one.trouble)
            else:
                self._lasting.pop(one.face, None)
        if not self._seen and pts - self._first >= _PATIENCE_S:
            yield from self._nobody()
        slow = len(self._times) >= _FEW_FRAMES and pts - self._times[0] >= _PATIENCE_S
        if slow or len(self._times) == _RATE_FRAMES:
            yield from self._rate()

    def end(self) -> Iterator[str]:
        """Yield what is to be said at the end of the source."""
        if self._frames == 1:
            yield "only one picture was analysed, in which nothing can be spotted; give a video, or a camera's stream"
        if self._frames < 2:
            return
        yield from self._rate()
        if not self._seen:
            yield from self._nobody()
        elif self._seen < _SEEN_SHARE * self._frames:
            share = self._seen / self._frames
            yield from self._say("seldom", f"a face was found in {share:.0%} of the frames only")
        for trouble, ticks in self._troubles.most_common():
            if ticks >= _TROUBLE_SHARE * self._ticks:
                text = f"for {ticks / self._ticks:.0%} of its time the face was {TROUBLES[trouble]}"
                yield from self._say(f"much {trouble}", text)

    def _trouble(self, face: int, trouble: Trouble | None) -> Iterator[str]:
        """Count a tick of a face, and say what has been wrong with it for long."""
        lasting = self._lasting.setdefault(face, Counter())
        for other in lasting:
            if other != trouble and lasting[other]:
                lasting[other] -= 1
        if trouble is not None:
            self._troubles[trouble] += 1
            lasting[trouble] += 1
            if lasting[trouble] >= _TROUBLE_TICKS:
                yield from self._say(trouble, f"the face is {TROUBLES[trouble]}")

    def _nobody(self) -> Iterator[str]:
        waited = self._times[-1] - (self._first or 0.0)
        yield from self._say(
            "nobody",
            f"no face has been found in {waited:.0f} s of video; one must be upright, turned to the camera, lit from "
            "the front and large enough in the picture",
        )

    def _rate(self) -> Iterator[str]:
        """Judge the rate by the usual distance of the last pictures: a pause among them does not matter."""
        if len(self._times) < 3:
            return
        fps = 1.0 / max(float(np.median(np.diff(self._times))), 1e-6)
        if 1.0 / fps >= _MILLISECONDS:
            yield from self._say(
                "rate",
                f"the source gives a picture every {1.0 / fps:.0f} s; at least 2 a second are needed (times are "
                "given in seconds, not in milliseconds)",
            )
        elif fps < _LOWEST_FPS:
            yield from self._say(
                "rate",
                f"the source gives {_few(fps)} a second; at least 2 are needed, and 20 for micro-expressions",
            )
        elif fps < _MICRO_FPS - 0.5:
            yield from self._say(
                "rate",
                f"{fps:.0f} pictures a second are analysed; micro-expressions are not observable under 20",
            )

    def _say(self, what: str, sentence: str) -> Iterator[str]:
        if what not in self._told:
            self._told.add(what)
            yield sentence


def _few(fps: float) -> str:
    rate = f"{round(fps, 1):g}"
    return f"{rate} picture{'s' * (rate != '1')}"
