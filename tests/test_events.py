"""Promises about what goes over the wire."""

from __future__ import annotations

import json
import math

import pytest
from brokers import make_event
from hypothesis import given
from hypothesis import strategies as st

from streamspot.errors import StreamspotError
from streamspot.events import decode, encode, to_cloudevent, topic_name
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


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.data())
def test_one_spoilt_field_never_gets_through_as_another_type(data: st.DataObject):
    """An event with a field replaced by anything is refused or decodes to something that encodes again."""
    envelope = to_cloudevent(make_event(3), node="n").model_dump()
    key = data.draw(st.sampled_from(sorted(envelope["data"])))
    envelope["data"][key] = data.draw(json_values)
    try:
        event = decode(json.dumps(envelope))
    except StreamspotError:
        return
    assert decode(encode(event, node="n")).id == event.id


def test_the_envelope_is_cloudevents_1_0_in_a_fixed_order():
    """A consumer may rely on the attributes, on their order and on the names documented."""
    envelope = to_cloudevent(make_event(7, "apex"), node="Robo Lab").model_dump()
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
    event = make_event(1).model_copy(update={"intensity": 0.1 + 0.2, "score": -1e-9})
    payload = encode(event, node="n")
    assert b'"intensity":0.3,"score":0.0,' in payload


def test_a_number_that_is_not_finite_is_never_sent():
    """NaN is no JSON: a consumer never sees it, the program says so."""
    with pytest.raises(StreamspotError, match="nan"):
        encode(make_event(1).model_copy(update={"score": math.nan}), node="n")


def test_fields_of_a_later_version_are_ignored():
    """A consumer of today survives what a later version adds."""
    envelope = to_cloudevent(make_event(1), node="n").model_dump()
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
