"""Follow streams from elsewhere: what they publish, as the updates that their own dashboard would have had."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import aiomqtt

from streamspot.commands import COMMAND, Command
from streamspot.errors import BrokerError, StreamspotError
from streamspot.events import MAX_BYTES, decode, first_fault, printable
from streamspot.mqtt.address import Broker
from streamspot.mqtt.connection import Dialler
from streamspot.mqtt.payloads import ErrorPayload, IntensityPayload, Quantiles, StatePayload, StatsPayload
from streamspot.mqtt.subscriber import Incoming, filter_of
from streamspot.stats import Delivery, Latency, Stats
from streamspot.types import Controls, FaceState, Score, Session, Update

_STREAMS = 16
"""Streams that are followed; a further one takes the place of one that is over, or is not."""
_BACK_S = 5.0
"""Seconds by which a stream's time goes back where it has begun anew."""


@dataclass(slots=True)
class Followed:
    """A stream as far as its messages tell.

    Attributes:
        stats: Its counts and rates; its name there is ``node/stream``.
        delivered: Events that are queued, acknowledged and lost.
        over: Whether its own status says so; if its node is gone, that says nothing any more.
        update: What the newest message brought to light.
    """

    stats: Stats
    delivered: tuple[int, int, int] = (0, 0, 0)
    over: bool = False
    update: Update = field(default_factory=lambda: Update(Session("", "", "", 0.0, datetime.now(UTC))))


class Watch(Incoming[Followed]):
    """Streams of a broker, each time that one of them says something new; one that began anew is a new one.

    Attributes:
        delivery: How the delivery of all their events fares.

    Args:
        url: Address of the broker.
        node: Only this machine or installation; ``+`` for all.
        stream: Only this source; ``+`` for all.

    Raises:
        SettingsError: The address makes no sense, or a name is none.
    """

    def __init__(self, url: str, *, node: str = "+", stream: str = "+") -> None:
        broker = Broker.parse(url)
        super().__init__(Dialler(broker), filter_of(node, stream, "+"), f"streamspot/{node}/status")
        self.delivery = Delivery(broker.address, "online")
        self._followed: dict[str, Followed] = {}
        self._gone: set[str] = set()  # nodes that are not there

    @property
    def stats(self) -> list[Stats]:
        """Of each stream that is followed now."""
        return [one.stats for one in self._followed.values()]

    async def send(self, name: str, command: Command) -> None:
        """Ask something of a stream, named ``node/stream``.

        Raises:
            BrokerError: The broker does not take it.
        """
        try:
            await self._connection.publish(f"streamspot/{name}/set", COMMAND.dump_json(command))
        except aiomqtt.MqttError as error:
            raise BrokerError(f"the broker did not take the command ({error}); try again") from None

    async def reconnect(self) -> None:
        """Make the connection anew, and show meanwhile that there is none."""
        self.delivery.state = "retrying"
        await super().reconnect()
        self.delivery.state = "online"

    def _take(self, topic: str, payload: bytes) -> Followed | None:
        node, *rest = topic.split("/")[1:]
        if len(rest) == 1:
            self._node_says(node, payload)
            return None
        stream, last = rest
        name = f"{node}/{stream}"
        if len(payload) > MAX_BYTES or (name not in self._followed and not self._has_room()):
            return None
        one = self._followed.get(name) or Followed(Stats(name, live=True, stream=name))
        before = one.update.pts
        one.update = replace(one.update, motion=(), scores=(), events=(), messages=())
        try:
            understood = _understand(one, last, payload)
        except (ValueError, RecursionError) as error:
            raise StreamspotError(f"{name}/{last} is not understood ({first_fault(error)})") from None
        if not understood:
            return None
        if one.update.pts < before - _BACK_S:
            one = Followed(replace(one.stats), one.delivered, one.over, one.update)
        one.stats.pts = one.update.pts
        self._followed[name] = one
        self._finish(node)
        numbers = zip(*(each.delivered for each in self._followed.values()), strict=True)
        self.delivery.queued, self.delivery.acknowledged, self.delivery.lost = map(sum, numbers)
        return one

    def _node_says(self, node: str, status: bytes) -> None:
        """Take whether a node is there: while it is not, its streams are over whatever they said last."""
        (self._gone.discard if status == b"online" else self._gone.add)(node)
        self._finish(node)

    def _finish(self, node: str) -> None:
        """Note which of a node's streams are over."""
        for name, one in self._followed.items():
            if name.partition("/")[0] == node:
                one.stats.finished = one.over or node in self._gone

    def _has_room(self) -> bool:
        """Return whether one more stream can be followed, perhaps in the place of one that is over."""
        if len(self._followed) >= _STREAMS:
            over = next((name for name, one in self._followed.items() if one.stats.finished), None)
            self._followed.pop(over or "", None)
        return len(self._followed) < _STREAMS


def _understand(one: Followed, last: str, payload: bytes) -> bool:
    """Take what a message says; return whether the dashboard shows anything of it."""
    update = one.update
    match last:
        case "status":
            one.over = payload != b"online"
        case "event":
            event = decode(payload)
            one.update = replace(update, events=(event,), pts=max(update.pts, event.decided_at.pts))
        case "state":
            state = StatePayload.model_validate_json(payload)
            silent = state.no_picture_since
            # both by its clock, which may not be ours
            ago = 0.0 if silent is None else (state.time - silent).total_seconds()
            one.stats.no_picture_since = None if silent is None else time.monotonic() - ago
            one.update = replace(
                update,
                faces={int(number): FaceState(**dict(face)) for number, face in state.faces.items()},
                controls=Controls(state.paused, state.sensitivity),
                no_picture_since=silent,
            )
        case "intensity":
            scores = tuple(_scores(IntensityPayload.model_validate_json(payload)))
            newest = max((score.pts for _, score in scores), default=update.pts)
            one.update = replace(update, scores=scores, pts=newest)
        case "stats":
            measured = StatsPayload.model_validate_json(payload)
            _count(one.stats, measured)
            one.delivered = measured.queued, measured.acknowledged, measured.lost
        case "error":
            message = printable(ErrorPayload.model_validate_json(payload).message)
            one.update = replace(update, messages=(message,))
        case _:
            return False
    return True


def _scores(payload: IntensityPayload) -> list[tuple[int, Score]]:
    return [
        (int(number), Score(tick, pts, 0, intensity, macro, micro))
        for number, curve in payload.faces.items()
        for tick, pts, intensity, macro, micro in zip(
            curve.tick, curve.pts, curve.intensity, curve.macro, curve.micro, strict=True
        )
    ]


def _count(stats: Stats, payload: StatsPayload) -> None:
    """Take over what the stream measures of itself."""
    stats.model, stats.look_ahead = printable(payload.model), payload.look_ahead
    stats.fps, stats.frames = payload.fps, payload.frames
    stats.dropped, stats.faceless = payload.dropped, payload.faceless
    for name, took in payload.latency_ms.items():
        if name in stats.stages:
            stats.stages[name] = _latency(took)


def _latency(took: Quantiles) -> Latency:
    """Return durations of these quantiles."""
    durations = Latency()
    for place in range(100):
        durations.add((took.p50 if place < 98 else took.p99) / 1e3)
    return durations
