"""Copies of what another thread is writing, so that a picture is drawn of one moment."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TypeVar

from streamspot.telemetry import Telemetry
from streamspot.types import Kind, Phase, Score

T = TypeVar("T")


def copied(items: deque[T]) -> list[T]:
    """Return the items of a deque that may grow meanwhile; empty if it never holds still."""
    for _ in range(16):
        try:
            return list(items)
        except RuntimeError:  # mutated during iteration
            continue
    return []


@dataclass(frozen=True, slots=True)
class FaceNow:
    """One face at the moment of the picture.

    Attributes:
        track: Its number.
        scores: Its curve, oldest first.
        marks: (tick, phase, kind) of what was announced, in order.
        state: ``neutral``, ``macro`` or ``micro``.
        visible: Whether it is in view.
        silent: Seconds since its curve ended; 0 while it is in view.
    """

    track: int
    scores: list[Score]
    marks: list[tuple[int, Phase, Kind]]
    state: str
    visible: bool
    silent: float


def faces_now(telemetry: Telemetry, seconds: float) -> list[FaceNow]:
    """Return the faces in view and those lost less than ``seconds`` ago, the lost ones last."""
    found: list[FaceNow] = []
    for _ in range(16):
        try:
            views = list(telemetry.faces.items())
            break
        except RuntimeError:  # a face came or went during iteration
            continue
    else:
        return []
    for track, view in views:
        scores = copied(view.curve)
        silent = 0.0
        if not view.visible:
            silent = max(telemetry.pts - scores[-1].pts, 0.0) if scores else seconds
        if silent < seconds:
            face = FaceNow(track, scores, copied(view.marks), view.state, view.visible, silent)
            found.append(face)
    return sorted(found, key=lambda face: (not face.visible, face.silent, face.track))
