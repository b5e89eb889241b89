"""Promises of the install: the measured program everywhere it can be had, light to import, at home on any system."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from streamspot.errors import SettingsError, needs
from streamspot.face.detectors import has_face_mesh
from streamspot.shipped import settings_file, shipped

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NEEDS = [Requirement(line) for line in PROJECT["dependencies"]]

PRIVATE = {
    ("_client", "aiomqtt"),
    ("_disconnected", "aiomqtt"),
    ("_sock_close", "paho-mqtt"),
    ("_packet_getter", "mediapipe"),
    ("_get_serialized_proto_list", "mediapipe"),
}
"""Every private attribute of another library that the package touches, and whose it is; that those of MQTT clients
are there is tested in ``test_connections.py``."""

MACHINES = [
    ("linux", "x86_64"),
    ("linux", "aarch64"),
    ("darwin", "arm64"),
    ("win32", "AMD64"),
    ("win32", "ARM64"),
]


def python(script: str) -> str:
    """Run a script in a fresh interpreter and return what it prints."""
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return run.stdout


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14"])
@pytest.mark.parametrize(("system", "machine"), MACHINES)
def test_each_platform_gets_one_mediapipe_with_what_goes_with_it(system: str, machine: str, version: str):
    """FaceMesh's release with its numpy and OpenCV where it has a wheel; FaceLandmarker's, once, elsewhere."""
    here = {"python_version": version, "sys_platform": system, "platform_machine": machine}
    chosen = [need for need in NEEDS if need.marker is None or need.marker.evaluate(here)]
    names = [need.name for need in chosen]
    assert len(names) == len(set(names))
    specifiers = {need.name: need.specifier for need in chosen}
    wheel = version in {"3.11", "3.12"} and machine not in {"aarch64", "ARM64"}
    assert specifiers["mediapipe"].contains("0.10.21") == wheel
    assert specifiers["mediapipe"].contains("1.2.3") != wheel
    assert specifiers["numpy"].contains("1.26.4") == wheel
    assert specifiers["opencv-contrib-python"].contains("4.11.0.86") == wheel


def test_this_machine_has_the_face_mesh_that_its_mediapipe_should_bring():
    """What the program takes for its face mesh is what the requirements of this machine say."""
    (need,) = [each for each in NEEDS if each.name == "mediapipe" and each.marker and each.marker.evaluate()]
    assert has_face_mesh() == need.specifier.contains("0.10.21")


def test_no_private_part_of_another_library_without_an_exact_pin():
    """A library's private attributes may change with any release, so its release is fixed and they are named here."""
    touched = set()
    for path in (ROOT / "streamspot").rglob("*.py"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if "noqa: SLF001" in line:
                touched |= set(re.findall(r"(?<=\.)_[a-z]\w*", line))
    assert touched == {attribute for attribute, _ in PRIVATE}
    for _, library in PRIVATE:
        specifiers = [str(need.specifier) for need in NEEDS if need.name == library]
        assert any(re.fullmatch(r"==[\d.]+", specifier) for specifier in specifiers)


def test_a_package_that_is_missing_is_one_of_the_extra_that_is_named():
    """The command at the end of the sentence installs what is missing."""
    extras = {
        extra: {Requirement(line).name for line in lines}
        for extra, lines in PROJECT["optional-dependencies"].items()
    }
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "streamspot").rglob("*.py"))
    named = re.findall(r'Error\(needs\(.+?, (?:"([\w-]+)"|.+?), "(\w+)"', text)
    assert len(named) == text.count("Error(needs(")
    assert all(package in extras[extra] for package, extra in named if package)
    assert needs("OSC", "python-osc", "osc").endswith("pip install 'streamspot[osc]'")


@pytest.mark.skipif(not has_face_mesh(), reason="this MediaPipe has no FaceMesh")
def test_the_private_part_of_mediapipe_is_there():
    """The pinned MediaPipe has the function that reads landmarks as bytes."""
    from mediapipe.python import packet_getter

    assert callable(packet_getter._packet_getter._get_serialized_proto_list)


def test_importing_streamspot_imports_nothing_heavy():
    """``import streamspot`` takes no noticeable time: it loads a handful of modules of the standard library."""
    script = "import sys; before = set(sys.modules); import streamspot; print(*set(sys.modules) - before)"
    new = python(script).split()
    roots = {name.partition(".")[0] for name in new} - set(sys.stdlib_module_names)
    assert roots == {"streamspot"}
    assert len(new) < 40


WITHOUT_POSIX = """
import importlib, importlib.abc, os, pkgutil, sys

class Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in {"fcntl", "termios", "tty", "pty", "pwd", "grp", "resource", "syslog", "curses", "readline"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

for name in ("pwd", "grp", "fcntl", "termios", "tty"):
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Hidden())
for name in ("pread", "pwrite", "getuid", "geteuid", "getpgid", "mkfifo", "O_CLOEXEC", "O_NONBLOCK"):
    delattr(os, name)

import streamspot
for module in pkgutil.walk_packages(streamspot.__path__, "streamspot."):
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        if error.name not in {"ray", "triton"}:  # an extra, and what comes with PyTorch for a GPU
            raise

from streamspot.cli import main
for line in (["--help"], ["run", "--help"], ["schema"]):
    sys.argv = ["streamspot", *line]
    try:
        main()
    except SystemExit as leaving:
        assert not leaving.code, line
"""


def test_nothing_needs_posix():
    """On Windows, which has neither fcntl nor termios, every module can be imported and the commands answer."""
    said = python(WITHOUT_POSIX)
    assert "Facial-expression spotting" in said
    assert '"$schema"' in said


def test_settings_are_found_by_name_and_by_path(tmp_path: Path):
    """A ready file is named as shipped, one's own by its path; anything else is one sentence with the names."""
    own = tmp_path / "own.yaml"
    own.write_text("seed: 1\n", encoding="utf-8")
    assert settings_file(own) == own
    assert settings_file("live") == shipped("configs", ".yaml")["live"]
    with pytest.raises(SettingsError, match=r"'casme9'.*casme2"):
        settings_file("casme9", "configs/train")
