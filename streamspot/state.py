"""What each face does now: one fold of motion, scores and events, for every consumer alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from streamspot.types import Event, FaceMotion, FaceState, Motion, Score


def fold(
    faces: Mapping[int, FaceState],
    motion: Iterable[Motion],
    scores: Iterable[tuple[int, Score]],
    events: Iterable[Event],
) -> dict[int, FaceState]:
    """Return what the faces in view do after one step of the stream.

    A face is in view from its first tick of motion to the end of its segment. An expression goes on from its
    announced onset to its offset or cancellation.

    Args:
        faces: What they did before, by track number.
        motion: What is new of their motion.
        scores: (face, score) of the ticks now judged.
        events: Phases announced, in order.
    """
    now = dict(faces)
    ended = []
    for one in motion:
        if isinstance(one, FaceMotion):
            now[one.face] = replace(now.get(one.face, FaceState()), trouble=one.trouble)
        else:
            ended.append(one.face)
    for face, score in scores:
        now[face] = replace(now.get(face, FaceState()), intensity=score.intensity)
    for event in events:
        before = now.get(event.face, FaceState())
        if event.state == "neutral":
            now[event.face] = FaceState(intensity=before.intensity, trouble=before.trouble)
        else:
            now[event.face] = replace(
                before, state=event.state, expression=event.expression, since=event.onset.pts
            )
    for face in ended:
        now.pop(face, None)
    return now
