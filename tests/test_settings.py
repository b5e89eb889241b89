"""Promises of the settings: one tree; flags, file and environment are made from it and agree."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import get_type_hints

import pytest

from streamspot.cli.live import run
from streamspot.errors import SettingsError
from streamspot.layers import load_settings
from streamspot.settings import AnalysisSettings, Settings, build, leaves


def test_settings_come_from_file_environment_and_flag_in_that_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A flag wins over the environment, the environment over the file, the file over the default."""
    file = tmp_path / "live.yaml"
    file.write_text("source: a\nface:\n  faces: 2\nspotting: {sensitivity: 0.1}\nmotion: {flow: dis}\n")
    monkeypatch.setenv("STREAMSPOT_FACES", "3")
    monkeypatch.setenv("STREAMSPOT_SENSITIVITY", "0.2")
    settings = load_settings({"sensitivity": 0.3, "policy": None}, file)
    assert (settings.source, settings.face.faces, settings.spotting.sensitivity) == ("a", 3, 0.3)
    assert (settings.motion.flow, settings.capture.policy) == ("dis", None)


def test_an_impossible_value_is_shown_without_the_password_in_it(tmp_path: Path):
    """A list within a list is no address, and what stands in it is nobody's business."""
    file = tmp_path / "live.yaml"
    file.write_text("source: [[rtsp://me:hush@cam/live]]\n")
    with pytest.raises(SettingsError, match="rtsp://cam/live") as said:
        load_settings({}, file)
    assert "hush" not in str(said.value)


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch):
    """A container or a unit that leaves one empty has not set it."""
    for leaf in ("broker", "faces", "events", "source", "osc"):
        monkeypatch.setenv(f"STREAMSPOT_{leaf.upper()}", "")
    assert load_settings({}) == Settings()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("souce: a\n", r"'souce' \(in .*live\.yaml\); did you mean 'source'"),
        ("spoting: {sensitivity: 0.7}\n", r"'spoting' \(in .*live\.yaml\); did you mean 'spotting'"),
        ("source: []\n", r"source in .*live\.yaml is an empty list"),
        ("face: {faecs: 2}\n", r"'faecs' \(in face of .*live\.yaml\); did you mean 'faces'"),
        ("face: {flow: dis}\n", r"'flow' \(in face of"),
        ("faces: 2\n", r"faces in .*live\.yaml belongs into the group face; write it below face:"),
        ("face: 2\n", r"face in .*live\.yaml is a group of settings"),
        ("spotting: {sensitivity: yes}\n", r"sensitivity = True .* is impossible: write a number"),
        ("source: a\nsource: b\n", r"live\.yaml is not YAML \(it has the key 'source' twice\)"),
        ("face: {faces: 1, faces: 2}\n", r"it has the key 'faces' twice"),
        ("source: [a.mp4, null]\n", "a source in the list of sources is empty"),
        ("source: [{source: '', face: {faces: 2}}]\n", "begin each with - source: NAME"),
        ("source: [{source: [a.mp4, b.mp4]}]\n", r"source = \['a.mp4', 'b.mp4'\] .* is impossible"),
        ("name: {subject: 1.10}\n", r"subject = 1.1 .* is impossible: write it in quotation marks"),
        ("face: {faces: 0}\n", r"faces = 0 \(in .*live\.yaml\) is impossible: .* 1"),
    ],
)
def test_a_mistake_in_a_file_is_named_with_its_place(tmp_path: Path, text: str, words: str):
    """An unknown key, a key in the wrong group, an impossible value: one sentence with the remedy."""
    file = tmp_path / "live.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=words):
        load_settings({}, file)


@pytest.mark.parametrize("name", ["015", "0012", "7", "12-30", "2026-11-22", "0x1f", "1_000"])
def test_names_in_a_file_are_what_they_look_like(tmp_path: Path, name: str):
    """A subject 015 is no subject 13: only what JSON would take for a number is one."""
    file = tmp_path / "live.yaml"
    file.write_text(f"source: a\nname:\n  subject: {name}\nspotting: {{sensitivity: 7e-1}}\n")
    settings = load_settings({}, file)
    assert (settings.name.subject, settings.spotting.sensitivity) == (name, 0.7)


def test_the_first_camera_may_have_settings_of_its_own(tmp_path: Path):
    """Camera 0 is a source like any other, in a list too."""
    file = tmp_path / "live.yaml"
    file.write_text("source:\n  - source: 0\n    face: {faces: 3}\n")
    settings = load_settings({}, file)
    assert (settings.source, settings.face.faces) == ("0", 3)


@pytest.mark.parametrize("name", ["live", "replay"])
def test_ready_settings_are_valid(name: str):
    """The shipped files can be used by their names."""
    assert load_settings({"source": "clip.mp4"}, name).capture.policy in (
        "every",
        "latest",
    )


def test_a_report_finds_the_curve_of_the_ready_settings():
    """The curve is named like the events beside it."""
    output = load_settings({"source": "clip.mp4"}, "replay").output
    assert output.events is not None
    assert str(output.intensity) == str(output.events).replace(".jsonl", ".csv")


def test_every_setting_has_a_flag_of_its_name_and_says_what_it_is():
    """The leaves of the tree have distinct names, each a flag of ``run`` with a description."""
    names = [leaf for _, leaf, _ in leaves()]
    assert len(names) == len(set(names))
    assert set(names) <= set(inspect.signature(run).parameters)
    assert all(field.description for _, _, field in leaves())


def test_keywords_of_python_are_settings_of_the_tree():
    """What ``streamspot.open`` takes has the names and, value by value, the choices of the tree."""
    known = {leaf for _, leaf, _ in leaves()}
    hints = get_type_hints(AnalysisSettings)
    assert set(hints) <= known
    groups = {leaf: group for group, leaf, _ in leaves()}
    for name in ("policy", "flow", "device"):
        field = type(getattr(Settings(), groups[name])).model_fields[name]
        assert field.annotation == hints[name]


@pytest.mark.parametrize(
    ("leaf", "value", "other", "given"),
    [
        ("ros", True, "broker", "embedded"),
        ("homeassistant", True, "broker", "embedded"),
        ("journal", Path("journal"), "broker", "embedded"),
        ("client_id", "me", "broker", "embedded"),
        ("commands", False, "broker", "embedded"),
        ("fsync", 0.0, "broker", "embedded"),
        ("osc_map", "macro=Joy", "osc", "vmc://localhost:39540"),
        ("metrics_host", "::1", "metrics", 9000),
    ],
)
def test_what_does_nothing_without_another_setting_says_so(
    leaf: str, value: object, other: str, given: object
):
    """Nothing that was asked for is left undone without a word."""
    with pytest.raises(SettingsError, match=rf"{leaf} does nothing without {other}; add --{other}"):
        build({leaf: value})
    assert build({leaf: value, other: given})


@pytest.mark.parametrize("leaf", ["events", "log", "expressions", "journal"])
def test_what_all_streams_share_is_called_after_none(leaf: str):
    """Else a file of the literal name would be made."""
    with pytest.raises(SettingsError, match=rf"^{leaf} holds what all streams give.*leave {{stream}} out"):
        build({leaf: "{stream}.csv", "broker": "embedded"})


def test_a_misspelt_name_offers_its_neighbour():
    """So it is for whoever builds settings in Python."""
    with pytest.raises(SettingsError, match="did you mean 'sensitivity'"):
        build({"sensitivty": 0.5})
    with pytest.raises(SettingsError, match=r"sensitivity = 3 is impossible"):
        build({"sensitivity": 3})
