"""Promises about passwords: from where they come, in which order, and that they are shown nowhere."""

from __future__ import annotations

import base64
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace

import cv2
import numpy as np
import pytest

from streamspot.credentials import check_command_line, has_password, password_of, redacted, with_password
from streamspot.errors import SettingsError
from streamspot.sources import open_source

VARIABLE = "STREAMSPOT_SOURCE_PASSWORD"
PASSWORD = "p@ss/w:o?r#d %41"  # noqa: S105


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], str]:
    """Give the system a keyring."""
    held: dict[tuple[str, str], str] = {}
    keyring = ModuleType("keyring")
    keyring.get_password = lambda service, name: held.get((service, name))  # type: ignore[attr-defined]
    keyring.errors = SimpleNamespace(KeyringError=RuntimeError)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    return held


def test_variable_file_and_keyring_are_asked_in_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ring: dict[tuple[str, str], str]
):
    """The first that has a password gives it; none at all is no error."""
    assert password_of(VARIABLE, "ann", "camera") is None
    ring["streamspot", "ann@camera"] = "from the ring"
    assert password_of(VARIABLE, "ann", "camera") == "from the ring"
    (tmp_path / "word").write_text("from the file\n")
    monkeypatch.setenv(f"{VARIABLE}_FILE", str(tmp_path / "word"))
    assert password_of(VARIABLE, "ann", "camera") == "from the file"
    monkeypatch.setenv(VARIABLE, "from the variable")
    assert password_of(VARIABLE, "ann", "camera") == "from the variable"


def test_without_a_keyring_there_is_just_no_password(monkeypatch: pytest.MonkeyPatch, ring: object):
    """Neither a missing package nor a locked ring ends anything."""

    def locked(*_: str) -> str:
        raise RuntimeError("locked")

    monkeypatch.setattr(sys.modules["keyring"], "get_password", locked)
    assert password_of(VARIABLE, "ann", "camera") is None
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert password_of(VARIABLE, "ann", "camera") is None


def test_an_unreadable_file_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It names the file and the remedy, and nothing that stands in it."""
    for name, content in (("missing", None), ("binary", b"hunter2\xff")):
        if content:
            (tmp_path / name).write_bytes(content)
        monkeypatch.setenv(f"{VARIABLE}_FILE", str(tmp_path / name))
        with pytest.raises(SettingsError, match=f"{name} is unreadable.*name another") as caught:
            password_of(VARIABLE, "ann", "camera")
        assert "hunter2" not in str(caught.value)


def test_a_password_may_hold_any_character(monkeypatch: pytest.MonkeyPatch):
    """In the address that the decoder gets it is escaped; shown, it is never there."""
    monkeypatch.setenv(VARIABLE, PASSWORD)
    full = with_password("rtsp://ann@[::1]:8554/live?x=1")
    assert full == "rtsp://ann:p%40ss%2Fw%3Ao%3Fr%23d%20%2541@[::1]:8554/live?x=1"
    assert redacted(full) == "rtsp://[::1]:8554/live?x=1"
    assert with_password("rtsp://camera/1") == "rtsp://camera/1"
    assert with_password("rtsp://ann:own@camera/1") == "rtsp://ann:own@camera/1"


def test_only_passwords_are_taken_for_passwords():
    """Ports, pictures with an @ in their name and plain users are none."""
    for harmless in (
        "rtsp://ann@camera:554/1",
        "http://camera:80/a@b",
        "clips/a@b:c.mp4",
        "mqtt://robo@host",
        "rtsp://camera/user=ann&password=&channel=1",
        "rtsp://camera/user=ann_password=_channel=1",
    ):
        check_command_line(["run", harmless])
    assert not has_password("rtsp://ann@camera:554/1")
    with pytest.raises(SettingsError, match="others on this machine can read"):
        check_command_line(["run", "--source=rtsp://ann:x@camera"])
    for address in ("rtsp://camera/user=ann&password=x&channel=1", "http://camera/video.cgi?user=ann&pwd=x"):
        with pytest.raises(SettingsError, match="into the variable STREAMSPOT_SOURCE"):
            check_command_line(["run", "--source", address])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Serve a clip to who knows the password."""
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for number in range(10):
        writer.write(np.full((48, 64, 3), 20 * number, np.uint8))
    writer.release()
    allowed = "Basic " + base64.b64encode(f"ann:{PASSWORD}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers["Authorization"] != allowed:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="x"')
                self.end_headers()
                return
            self.send_response(200)
            self.send_header("Content-Length", str(path.stat().st_size))
            self.end_headers()
            self.wfile.write(path.read_bytes())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://ann@127.0.0.1:{served.server_port}/clip.avi"
        served.shutdown()


def test_a_source_behind_a_password_is_read(server: str, monkeypatch: pytest.MonkeyPatch):
    """With the variable the pictures come; the source's name holds neither user nor password."""
    monkeypatch.setenv(VARIABLE, PASSWORD)
    source = open_source(server)
    assert len(list(source.read())) == 10
    assert "ann" not in source.name
    assert "p%40" not in source.name
