"""Promises to ROS and Home Assistant: messages in their shape beside the events."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from brokers import Mosquitto, make_event, make_update, overhear, publisher_to

from streamspot.mqtt import payloads
from streamspot.mqtt.address import Broker
from streamspot.mqtt.bridges import Message
from streamspot.mqtt.channel import Channel
from streamspot.mqtt.connection import Connection, Dialler
from streamspot.mqtt.homeassistant import HomeAssistant
from streamspot.mqtt.ros import Ros
from streamspot.stats import Stats
from streamspot.types import Controls, Event, FaceState, Score, State, Update


async def test_bridges_speak_on_the_same_connection(tmp_path: Path):
    """Home Assistant's discovery is retained and announced at once, ROS messages follow each event."""
    with Mosquitto(tmp_path) as broker:
        async with Dialler(Broker.parse(broker.url)).connect() as connection:
            await connection.client.subscribe("streamspot/n/cam/ros/f0/expression", qos=1)
            bridges = [Ros("n", "cam"), HomeAssistant("n", "cam")]
            async with publisher_to(broker.url, tmp_path, bridges=bridges) as publisher:
                await publisher.take("cam", make_update(make_event(0, "onset")))
                await publisher.take("cam", make_update(make_event(1, "cancelled")))
                async with asyncio.timeout(5):
                    got = [(await anext(connection.client.messages)).payload for _ in range(2)]
            await connection.client.subscribe("homeassistant/#")
            async with asyncio.timeout(5):
                message = await anext(connection.client.messages)
    assert [json.loads(payload)["state"] for payload in got] == ["macro", "neutral"]
    assert message.retain
    assert str(message.topic) == "homeassistant/device/streamspot_n/cam/config"


def seen(*faces: int, events: tuple[Event, ...] = ()) -> Update:
    """Return an update with these faces in view."""
    return Update(faces={face: FaceState() for face in faces}, events=events)


def said(bridge: Ros, update: Update) -> list[tuple[str, Any]]:
    """Return what a bridge says: the last levels of the topic, and the list of ids or the face's state."""
    messages = []
    for message in bridge.update(update):
        content = json.loads(message.payload)
        messages.append(
            (message.topic.partition("/ros/")[2], content.get("ids") or content.get("state") or [])
        )
    return messages


def test_ros_hears_of_faces_before_they_do_something_and_after():
    """A face is in the tracked list while anything is said of it; its id is a place, taken again when free."""
    bridge = Ros("n", "cam")
    assert said(bridge, seen()) == []
    assert said(bridge, seen(4)) == [("tracked", ["f0"])]
    assert said(bridge, seen(4)) == []
    assert said(bridge, seen(4, 0, events=(make_event(0, "onset"),))) == [
        ("tracked", ["f0", "f1"]),
        ("f1/expression", "macro"),
    ]
    assert said(bridge, seen(0)) == [("tracked", ["f1"])]
    assert said(bridge, seen(0, 5)) == [("tracked", ["f0", "f1"])]
    assert said(bridge, seen(events=(make_event(1, "cancelled"),))) == [
        ("f1/expression", "neutral"),
        ("tracked", []),
    ]


def test_a_new_connection_hears_which_faces_are_in_view():
    """Whoever restarts the broker need not wait for a face to come or go."""
    bridge = Ros("n", "cam")
    bridge.update(seen(7))
    (message,) = bridge.announce()
    assert json.loads(message.payload)["ids"] == ["f0"]


def test_the_ros_messages_have_the_fields_of_their_types():
    """The bridge maps them without code: every field of the definition there, of its type, and no emotion named."""
    folder = Path(__file__).parents[1] / "docs" / "samples" / "ros2" / "streamspot_msgs" / "msg"
    lines = (line.partition("#")[0].split() for line in (folder / "Expression.msg").read_text().splitlines())
    fields = {name: kind for kind, name in filter(None, lines)}
    tracked, expression = Ros("n", "cam").update(make_update(make_event(0, "onset")))
    assert list(json.loads(tracked.payload)) == ["header", "ids"]
    message = json.loads(expression.payload)
    assert list(message) == list(fields)
    python = {"string": str, "uint32": int, "float32": float}
    for name, kind in fields.items():
        if kind == "std_msgs/Header":
            stamp = {"sec": 1795341600, "nanosec": 300000000}
            assert message[name] == {"stamp": stamp, "frame_id": "face_f0"}
        elif kind == "builtin_interfaces/Time":
            assert set(message[name]) == {"sec", "nanosec"}
        else:
            assert isinstance(message[name], python[kind]), name
    assert message["offset"] == {"sec": 0, "nanosec": 0}
    assert message["state"] in {"neutral", "macro", "micro"}


class HomeAssistantTemplates:
    """Renders what the discovery message tells Home Assistant to extract, as Home Assistant does."""

    def __init__(self) -> None:
        jinja2 = pytest.importorskip("jinja2")
        (message,) = HomeAssistant("n", "cam").announce()
        self.config = json.loads(message.payload)
        self._environment = jinja2.Environment(autoescape=False)
        self._environment.filters["tojson"] = json.dumps
        self.now = datetime(2026, 11, 22, tzinfo=UTC)
        self.shown = SimpleNamespace(state="unknown", last_updated=self.now)

    def render(self, part: str, payload: bytes) -> str:
        """Return the state of a component after a message."""
        text = self.config["components"][part]["value_template"]
        values = {"value_json": json.loads(payload), "this": self.shown, "now": lambda: self.now}
        return str(self._environment.from_string(text).render(**values))

    def show(self, intensity: float, after: float) -> str:
        """Return what the intensity shows when the curve of face 10, not 9, comes so many seconds later."""
        self.now += timedelta(seconds=after)
        curve = [(10, Score(1, 0.0, 1, 0.9, 0, 0)), (9, Score(1, 0.0, 1, intensity, 0, 0))]
        state = self.render("intensity", payloads.intensity(curve))
        if state != self.shown.state:
            self.shown = SimpleNamespace(state=state, last_updated=self.now)
        return state


def test_home_assistant_reads_our_state():
    """The lowest-numbered face counts, 9 before 10; no face is a neutral one."""
    templates = HomeAssistantTemplates()

    def state(faces: dict[int, State]) -> bytes:
        known = {number: FaceState(state=what) for number, what in faces.items()}
        return payloads.state(Update(faces=known, controls=Controls(paused=True, sensitivity=0.7)))

    assert templates.render("state", state({10: "macro", 9: "micro"})) == "micro"
    assert templates.render("state", state({})) == "neutral"
    assert templates.render("active", state({})) == "off"
    assert templates.render("sensitivity", state({})) == "0.7"
    event = b'{"data":{"phase":"offset","kind":"macro","face":0,"intensity":0.5}}'
    assert json.loads(templates.render("event", event))["event_type"] == "offset"


def test_home_assistant_shows_peaks_and_is_not_flooded():
    """A rise shows at once, a fall after a second: no peak is missed, and a curve at rest writes once a second."""
    templates = HomeAssistantTemplates()
    assert templates.show(0.1, 0.1) == "0.1"
    assert templates.show(0.969, 0.1) == "0.97"
    assert templates.show(0.2, 0.1) == "0.97"
    assert templates.show(0.2, 0.5) == "0.97"
    assert templates.show(0.2, 0.5) == "0.2"


def test_home_assistant_takes_stopped_for_offline():
    """A stream that ended well does not stay alive for ever."""
    templates = HomeAssistantTemplates()
    places = templates.config["availability"]
    assert [place["topic"] for place in places] == ["streamspot/n/status", "streamspot/n/cam/status"]
    for place in places:
        template = templates._environment.from_string(place["value_template"])
        told = {value: template.render(value=value) for value in ("online", "stopped", "offline")}
        assert told == {"online": "online", "stopped": "offline", "offline": "offline"}


def test_home_assistant_is_shown_no_command_where_none_is_obeyed():
    """With --no-commands there is no switch and no number: pressing them would do nothing."""
    (message,) = HomeAssistant("n", "cam", commands=False).announce()
    components = json.loads(message.payload)["components"]
    assert {part["platform"] for part in components.values()} == {"sensor", "event"}
    assert b"/set" not in message.payload


def test_streams_of_similar_names_are_different_devices():
    """Neither topics nor ids of two streams are ever the same."""
    names = [("lab", "cam-1"), ("lab", "cam_1"), ("lab_cam", "1"), ("lab", "cam.1"), ("lab", "cam_-1")]
    said = [HomeAssistant(*name).announce()[0] for name in names]
    configs = [json.loads(message.payload) for message in said]
    unique = [part["unique_id"] for config in configs for part in config["components"].values()]
    assert len({message.topic for message in said}) == len(names)
    assert len({config["device"]["identifiers"][0] for config in configs}) == len(names)
    assert len(set(unique)) == 5 * len(names)


class Chatty:
    """Says something at each update, and announces nothing."""

    def announce(self) -> list[Message]:
        return []

    def update(self, update: Update) -> list[Message]:
        return [Message("chat", b"{}")]


async def test_events_go_before_what_bridges_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Where the broker is slow and a bridge always has more to say, an event still goes out at once."""
    publish = Connection.publish

    async def far_away(*what: Any, **how: Any) -> None:
        await asyncio.sleep(0.01)
        await publish(*what, **how)

    monkeypatch.setattr(Connection, "publish", far_away)
    with Mosquitto(tmp_path) as broker:
        async with (
            overhear(broker.url, "chat", "streamspot/n/cam/event") as heard,
            publisher_to(broker.url, tmp_path, bridges=[Chatty()]) as publisher,
            asyncio.timeout(15),
        ):
            for _ in range(100):
                await publisher.take("cam", make_update())
            await heard.get()
            await publisher.take("cam", make_update(make_event(0)))
            topics = [(await heard.get())[0] for _ in range(100)]
    assert topics.index("streamspot/n/cam/event") < 10


async def test_after_a_long_absence_the_newest_is_what_stays():
    """Who is in view and the device are announced at once, whatever waits; of that the newest stays."""
    bridge = Ros("n", "cam")
    channel = Channel("cam", Stats(source="cam", model="m"), bridges=[bridge, HomeAssistant("n", "cam")])
    channel.below("n")
    for number in range(250):
        channel.take(Update(faces=seen(number % 2).faces))
    newest = channel.messages[-1]

    topics = []

    class Slow:
        async def publish(self, topic: str, *_: object, **__: object) -> None:
            topics.append(topic)

        async def subscribe(self, *_: object, **__: object) -> None: ...

        @property
        def client(self) -> Any:
            return self

    await channel.birth(Slow())  # type: ignore[arg-type]
    assert {"streamspot/n/cam/ros/tracked", "homeassistant/device/streamspot_n/cam/config"} < {*topics}
    assert channel.messages[-1] == newest
    assert len(channel.messages) == 200
