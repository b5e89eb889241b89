"""Promises about what goes over the wire."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import pytest
from brokers import make_event
from hypothesis import given, settings
from hypothesis import strategies as st

from streamspot.commands import parse
from streamspot.dashboard.text import plain
from streamspot.errors import StreamspotError
from streamspot.events import decode, dumps, encode, read_events, time_lines, topic_name
from streamspot.types import Event, Moment

text = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
whole = st.integers(0, 2**53)
moments = st.builds(
    Moment,
    tick=whole,
    frame=whole,
    pts=st.floats(0, 1e6).map(lambda value: round(value, 6) + 0.0),
    time=st.just("2026-11-22T10:00:00.000000Z"),
)
unit = st.floats(0, 1).map(lambda value: round(value, 6))
events = st.builds(
    Event,
    run=text,
    session=text,
    stream=text,
    face=whole,
    expression=text,
    phase=st.sampled_from(["onset", "apex", "offset", "cancelled"]),
    kind=st.sampled_from(["macro", "micro"]),
    seq=whole,
    onset=moments,
    apex=st.none() | moments,
    offset=st.none() | moments,
    intensity=unit,
    score=unit.map(lambda value: -value + 0.0),
    decided_at=moments,
    look_ahead=st.integers(0, 16),
    model=text,
    reason=st.none() | text,
)


@given(events)
def test_an_event_survives_the_wire(event: Event):
    """What is decoded is what was encoded, in one line, whatever the names hold."""
    payload = encode(event, node="node")
    assert b"\n" not in payload
    assert decode(payload) == event
    assert encode(decode(payload), node="node") == payload


@given(st.binary(max_size=300) | st.text(max_size=300))
def test_garbage_is_refused_in_one_sentence(payload: bytes | str):
    """Whatever arrives, the decoder answers with a StreamspotError and nothing else."""
    with pytest.raises(StreamspotError):
        decode(payload)


def test_events_that_were_sent_once_more_stand_where_they_were_decided(tmp_path: Path):
    """A gap that ``resend`` filled makes no second run, and where a fleet's run goes on elsewhere is still seen."""
    here = [make_event(n + 6).model_copy(update={"seq": n}) for n in range(6)]
    elsewhere = [make_event(n).model_copy(update={"seq": n + 6}) for n in range(3)]
    door = [make_event(n).model_copy(update={"stream": "door"}) for n in range(2)]
    late = [here[0], door[0], *here[4:], *elsewhere, door[1], *here[1:4], here[5]]
    (tmp_path / "got.jsonl").write_bytes(b"".join(encode(event, node="n") + b"\n" for event in late))
    read = read_events(tmp_path / "got.jsonl")
    assert [event.stream for event in read[:3]] == ["cam", "door", "cam"]
    assert time_lines(read) == [here, door, elsewhere]


def spoilt(payload: bytes, draw: st.DrawFn) -> bytes:
    """Return a payload with stretches cut out, repeated, or replaced by what parsers stumble over."""
    poison = [
        b"9" * 5000,
        b"1e999",
        b"-1e-999",
        b"NaN",
        b"[" * 3000,
        b'{"":' * 300,
        rb"\udfff",
        b"\xff\xfe",
        b"\0",
        b'"',
    ]
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(payload)))
        end = draw(st.integers(start, min(start + 40, len(payload))))
        payload = (
            payload[:start] + draw(st.sampled_from([b"", payload[start:end] * 2, *poison])) + payload[end:]
        )
    return payload


@st.composite
def mutations(draw: st.DrawFn, payload: bytes) -> bytes:
    """Draw a mutation of a payload."""
    return spoilt(payload, draw)


@settings(max_examples=500)
@given(mutations(encode(make_event(3, "cancelled"), node="n")))
def test_a_spoilt_event_is_refused_or_prints_as_one_harmless_line(payload: bytes):
    """Cut, doubled, poisoned anywhere: no exception but ours, and what gets through forges nothing on a terminal."""
    try:
        event = decode(payload)
    except StreamspotError as refused:
        said = str(refused)
    else:
        said = plain(event) + encode(event, node="n").decode()
    assert said.isprintable()


@pytest.mark.parametrize("filling", ["{},", "[", " ", "0"])
def test_a_payload_of_megabytes_is_refused_before_it_is_parsed(filling: str):
    """A bomb costs nothing: neither events nor commands are read beyond their limits."""
    bomb = ("[" + filling * (2**24 // len(filling)) + "0]").encode()
    started = time.process_time()
    for parser in (decode, parse):
        with pytest.raises(StreamspotError, match="the limit is"):
            parser(bomb)
    assert time.process_time() - started < 0.05


@pytest.mark.parametrize(
    "reason",
    [
        "\x1b[2J\x1b]0;owned\x07",
        "fine\n00:01.000  face 0  macro  offset",
        "\x9b31m",
        "\u202egnp.exe",
        "é 表情",
    ],
)
def test_what_a_message_says_is_printed_and_never_obeyed(reason: str):
    """Escape sequences, line ends and turned text in ``reason`` reach no terminal; letters do."""
    event = make_event(1, "cancelled").model_copy(update={"reason": reason})
    for text in (plain(event), encode(event, node="n").decode()):
        assert text.isprintable()
    assert decode(encode(event, node="n")).reason == reason


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.data())
def test_one_spoilt_field_never_gets_through_as_another_type(data: st.DataObject):
    """An event with a field replaced by anything is refused or decodes to something that encodes again."""
    envelope = json.loads(encode(make_event(3), node="n"))
    key = data.draw(st.sampled_from(sorted(envelope["data"])))
    envelope["data"][key] = data.draw(json_values)
    try:
        event = decode(json.dumps(envelope))
    except StreamspotError:
        return
    assert decode(encode(event, node="n")).id == event.id


def test_the_envelope_is_cloudevents_1_0_in_a_fixed_order():
    """A consumer may rely on the attributes, on their order and on the names documented."""
    envelope = json.loads(encode(make_event(7, "apex"), node="Robo Lab"))
    assert list(envelope) == [
        "specversion",
        "id",
        "source",
        "type",
        "subject",
        "time",
        "datacontenttype",
        "dataschema",
        "data",
    ]
    assert envelope["id"] == "r1/cam/7"
    assert envelope["source"] == "streamspot/robo-lab/cam"
    assert envelope["type"] == "io.streamspot.expression.apex.v1"
    assert envelope["subject"] == "r1/cam/0-7"
    assert envelope["data"]["offset"] is None


def test_numbers_are_rounded_and_never_minus_zero():
    """The bytes do not depend on the last bits of a float."""
    fields = dict(make_event(1)) | {"intensity": 0.1 + 0.2, "score": -1e-9}
    assert b'"intensity":0.3,"score":0.0,' in encode(Event(**fields), node="n")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_that_is_not_finite_is_never_sent(value: float):
    """NaN is no JSON: no event can hold it, and what else is published says so."""
    with pytest.raises(ValueError, match="finite"):
        Event(**dict(make_event(1)) | {"score": value})
    with pytest.raises(StreamspotError, match="cannot be sent"):
        dumps({"intensity": value})


def test_fields_of_a_later_version_are_ignored():
    """A consumer of today survives what a later version adds."""
    envelope = json.loads(encode(make_event(1), node="n"))
    envelope["traceparent"] = "x"
    envelope["data"]["novelty"] = [1]
    assert decode(json.dumps(envelope)) == make_event(1)


@given(st.text())
def test_any_name_makes_one_topic_level(name: str):
    """No stream name can break out of its topic or hold a wildcard."""
    level = topic_name(name)
    assert level
    assert not set(level) & set("/#+ \0")
    assert topic_name(level) == level


def test_a_name_of_a_file_that_is_not_utf8_can_be_sent():
    """Old disks hold such names; what cannot be written is shown as a question mark."""
    assert dumps({"source": "caf\udce9.mp4"}) == b'{"source":"caf?.mp4"}'
