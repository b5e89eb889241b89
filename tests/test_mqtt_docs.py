"""Promises of docs/mqtt.md: what it shows runs, and what it says holds."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from brokers import Mosquitto, free_port, make_event, make_update, overhear, printed_by, until

from streamspot.commands import Command, Label, Pause, Resume, Sensitivity, Undo, parse
from streamspot.errors import BrokerError, SettingsError
from streamspot.events import decode, encode
from streamspot.mqtt.address import Broker
from streamspot.mqtt.channel import Channel
from streamspot.mqtt.connection import Dialler
from streamspot.mqtt.contract import asyncapi, json_schema
from streamspot.mqtt.homeassistant import HomeAssistant
from streamspot.mqtt.publisher import Publisher
from streamspot.mqtt.ros import Ros
from streamspot.mqtt.subscriber import subscribe
from streamspot.sinks.prometheus import MetricsServer
from streamspot.stats import STAGES, Delivery, Stats
from streamspot.types import Score

PAGE = (Path(__file__).parents[1] / "docs" / "mqtt.md").read_text()


def blocks(language: str) -> list[str]:
    """Return the code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("program", blocks("python"))
async def test_the_ten_lines_of_python_print_events(program: str, tmp_path: Path):
    """A reader who copies the example sees the events of a running stream, with our package or any other."""
    with Mosquitto(tmp_path, settings=blocks("conf")[0].replace("persistence true\n", "")) as broker:
        program = program.replace("1883", str(broker.port))
        assert b"macro 2026-11-22T10:00:" in await printed_by(program, broker.url, tmp_path)


def test_the_event_shown_is_one():
    """The example satisfies the schema and decodes; encoded again it is the same line."""
    line = blocks("json")[0].strip()
    jsonschema.Draft202012Validator(json_schema()).validate(json.loads(line))
    assert encode(decode(line), node="lab").decode() == line


@pytest.mark.parametrize(("number", "topic"), [(1, "state"), (2, "intensity"), (3, "stats")])
def test_the_payloads_shown_are_those_of_the_contract(number: int, topic: str):
    """The examples hold every field that the program publishes, and no other."""
    document = asyncapi()
    shown = json.loads(blocks("json")[number])
    payload = document["components"]["messages"][topic]["payload"]
    jsonschema.Draft202012Validator({**payload, "components": document["components"]}).validate(shown)
    schema = document["components"]["schemas"][payload["$ref"].rsplit("/", 1)[1]]
    assert list(shown) == list(schema["properties"])
    if topic == "stats":
        assert tuple(shown["latency_ms"]) == STAGES


def test_the_commands_shown_are_understood():
    """They are the five that there are, as the contract has them."""
    document = asyncapi()
    schema = {
        **document["components"]["messages"]["set"]["payload"],
        "components": document["components"],
    }
    lines = blocks("jsonl")[0].splitlines()
    for line in lines:
        jsonschema.Draft202012Validator(schema).validate(json.loads(line))
    assert [type(parse(line.encode())) for line in lines] == [Pause, Resume, Sensitivity, Label, Label, Undo]


def test_every_topic_of_the_contract_is_in_the_table():
    """Nobody has to read a schema to find a topic; quality of service and retention are right."""
    rows = {
        row[0].strip(" `"): row[1:]
        for row in (line.strip("|").split("|") for line in PAGE.splitlines() if line.startswith("| `<node>"))
    }
    document = asyncapi()
    discovery = document["channels"].pop("homeAssistant")["address"]
    assert f"`{discovery.replace('{', '<').replace('}', '>')}`" in PAGE
    for name, channel in document["channels"].items():
        address = channel["address"].removeprefix("streamspot/").replace("{", "<").replace("}", ">")
        qos, retained = (cell.strip() for cell in rows.pop(address)[:2])
        binding = document["operations"][name]["bindings"]["mqtt"]
        assert int(qos) == binding["qos"]
        assert (retained == "yes") == binding["retain"]
    assert not rows


def test_every_address_shown_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Each form is understood; the files it names must exist."""
    monkeypatch.chdir(tmp_path)
    for line in blocks("text")[0].split():
        if line == "embedded":
            continue
        if "cafile" in line:
            with pytest.raises(SettingsError, match=r"ca\.pem does not exist"):
                Broker.parse(line)
            for name in ("ca.pem", "me.pem", "me.key"):
                (tmp_path / name).touch()
        Broker.parse(line)


async def test_the_access_rules_shown_give_each_what_it_needs_and_no_more(tmp_path: Path):
    """The stream delivers and obeys its operator; a mere listener neither commands nor forges."""
    (tmp_path / "acl").write_text(blocks("acl")[0])
    with Mosquitto(tmp_path, settings=f"acl_file {tmp_path}/acl\n") as broker:

        def url(user: str) -> str:
            return broker.url.replace("//", f"//{user}@") + "?version=5"

        got: asyncio.Queue[Command] = asyncio.Queue()
        bridges = [Ros("lab", "cam"), HomeAssistant("lab", "cam")]
        publisher = Publisher(
            url("lab-cam"),
            node="lab",
            channels=[Channel("cam", Stats(), on_command=got.put_nowait, bridges=bridges)],
            journal=tmp_path / "j",
            delivery=(delivery := Delivery()),
        )
        async with (
            subscribe(url("robot")) as events,
            publisher,
            Dialler(Broker.parse(url("robot"))).connect() as robot,
            Dialler(Broker.parse(url("operator"))).connect() as operator,
        ):
            await until(lambda: delivery.state == "online")
            for topic in ("lab/cam/set", "lab/cam/status", "lab/cam/event", "lab/status"):
                with pytest.raises(BrokerError, match="access rules"):
                    await robot.publish(f"streamspot/{topic}", b'{"command":"pause"}')
            with pytest.raises(BrokerError, match="access rules"):
                await operator.publish("streamspot/lab/cam/event", b"{}")
            await operator.publish("streamspot/lab/cam/set", b'{"command":"resume"}')
            await publisher.take(
                "cam",
                make_update(
                    make_event(0),
                    scores=[(0, Score(0, 0.0, 0, 0.5, 0.9, 0.1))],
                    messages=["the light is poor; add some"],
                ),
            )
            async with asyncio.timeout(5):
                assert await got.get() == Resume()
                assert (await anext(events)).event.seq == 0
            await asyncio.sleep(0.3)
            assert delivery.state == "online"
            async with overhear(url("home-assistant"), "homeassistant/#") as announced, asyncio.timeout(5):
                assert (await announced.get())[0] == "homeassistant/device/streamspot_lab/cam/config"
            async with Dialler(Broker.parse(url("lab-cam"))).connect() as engine:
                await engine.publish("streamspot/lab/cam/lease", b"{}", retain=True)
        assert delivery.queued == 0


def test_the_broker_lines_shown_are_accepted_by_mosquitto(tmp_path: Path):
    """An administrator can paste them."""
    persistence, web = blocks("conf")
    with Mosquitto(tmp_path, settings=web.replace("9001", str(free_port())), listener=""):
        pass
    for line in persistence.split("\n")[1:]:
        with Mosquitto(tmp_path, settings=f"{line}\n"):
            pass


def test_the_ros_bridge_reads_our_topics_as_the_messages_they_are():
    """Node and stream in place, the YAML maps the topics we publish, and loses nothing on the way."""
    parameters = yaml.safe_load(blocks("yaml")[0])["/**/*"]["ros__parameters"]
    bridge = parameters["bridge"]["mqtt2ros"]
    said = Ros("lab", "cam").update(
        make_update(make_event(0, "onset"), make_event(1).model_copy(update={"face": 1}))
    )
    assert [message.topic for message in said] == bridge["mqtt_topics"]
    for topic in bridge["mqtt_topics"]:
        last = topic.partition("/ros/")[2]
        kind = "hri_msgs/msg/IdsList" if last == "tracked" else "streamspot_msgs/msg/Expression"
        assert (bridge[topic]["ros_topic"], bridge[topic]["ros_type"]) == (f"/humans/faces/{last}", kind)
        assert bridge[topic]["json"] is True
        assert bridge[topic]["advanced"]["mqtt"]["qos"] == 1
        assert bridge[topic]["advanced"]["ros"]["queue_size"] >= 100
    assert parameters["client"]["clean_session"] is False
    assert parameters["client"]["id"]


def test_the_line_that_removes_a_device_names_its_message():
    """What is to be deleted is the very topic that the discovery message has."""
    (message,) = HomeAssistant("lab", "cam").announce()
    assert blocks("sh")[0].split()[-1] == message.topic


def test_every_metric_named_is_served():
    """The table names all there are, with their types."""
    rows = re.findall(r"^\| (`(?:streamspot)?_.*?) \| (\w+) \|", PAGE, re.MULTILINE)
    named = {
        re.sub("^_", "streamspot_", name).removesuffix("_total"): kind
        for names, kind in rows
        for name in re.findall(r"`(\w+)`", names)
    }
    figures = MetricsServer([Stats(stream="s")], Delivery(), node="n")._figures
    assert named == {metric.name: metric.type for metric in figures.collect()}


def test_every_flag_named_exists():
    """What the page tells to type is understood."""
    from typer.main import get_command

    from streamspot.cli import app

    commands = get_command(app).commands
    known = {
        option
        for name in ("run", "resend")
        for item in commands[name].params
        for option in item.opts + item.secondary_opts
    }
    assert set(re.findall(r"(?<![\w-])--[a-z]+(?:-[a-z]+)*", PAGE)) <= known


def test_the_figures_promised_are_those_of_the_program():
    """Bounds named in the page are the journal's defaults."""
    import inspect

    from streamspot.mqtt.journal import Journal

    defaults = {name: item.default for name, item in inspect.signature(Journal).parameters.items()}
    assert defaults["max_bytes"] == 64 * 2**20
    assert f"{defaults['max_memory']:,} events wait in memory" in PAGE
    assert defaults["fsync"] == 1.0
