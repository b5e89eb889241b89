"""MediaPipe's two face meshes behind one call: picture in, landmarks of every face out.

``pyproject.toml`` decides by platform which MediaPipe is installed: 0.10.21, the last release with FaceMesh, where it
has a wheel, and a later one with FaceLandmarker elsewhere.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from streamspot.errors import ModelError
from streamspot.files import write_atomically
from streamspot.types import Frame

# MediaPipe's C++ logs go to the terminal unless told before it is first imported.
os.environ.setdefault("GLOG_minloglevel", "2")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

LANDMARKER_URL = (
    "https://storage.googleapis.com/mediapipe-models/face_landmarker"
    "/face_landmarker/float16/1/face_landmarker.task"
)
LANDMARKER_SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"

_LANDMARK_BYTES = 17
"""A ``NormalizedLandmark`` on the wire: tag and length, then x, y, z, each a tag and four bytes."""


class FaceDetector(Protocol):
    """What finds faces; stateful, to be fed the frames of one stream in order."""

    name: str

    def __call__(self, frame: Frame) -> list[NDArray[np.float32]]:
        """Return for each face its landmarks ``(468 or 478, 3)``: x, y in pixels, z in the same unit."""
        ...

    def close(self) -> None:
        """Free the native graph."""
        ...


class MediaPipeGraph:
    """A graph of MediaPipe's with a stream ``image`` that goes in and a stream ``found``, lists of landmarks, out.

    It is run directly, not through ``solutions``, which copies each picture and makes a class for each result.

    Args:
        graph: The graph.
        options: Its side packets.
    """

    def __init__(self, graph: str, **options: bool | int) -> None:
        import mediapipe  # noqa: PLC0415 - takes two seconds
        from mediapipe import python as library  # noqa: PLC0415

        self._library = library
        library.resource_util.set_resource_dir(str(Path(mediapipe.__file__).parents[1]))
        self._graph = library.CalculatorGraph(graph_config=graph)
        self._found: list[object] = []
        self._graph.observe_output_stream("found", lambda _, packet: self._found.append(packet))
        make = library.packet_creator
        self._graph.start_run(
            {
                name: (make.create_bool if isinstance(value, bool) else make.create_int)(value)
                for name, value in options.items()
            }
        )
        self._microseconds = 0

    def landmarks(self, image: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Return the landmarks ``(N, 3)`` of all that is found: x, y in pixels, z in the same unit."""
        library = self._library
        self._found.clear()
        self._microseconds += 33_333  # the graph wants them to increase, and uses them for nothing
        picture = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        picture.flags.writeable = False  # so that the graph may read it where it lies
        packet = library.packet_creator.create_image_frame(
            picture, image_format=library.ImageFormat.SRGB, copy=False
        )
        self._graph.add_packet_to_input_stream("image", packet.at(self._microseconds))
        self._graph.wait_until_idle()
        height, width = image.shape[:2]
        scale = np.array([width, height, width], np.float32)
        # what get_proto_list begins with; making messages of it and taking them apart again costs 2 % of a frame
        read = library.packet_getter._packet_getter._get_serialized_proto_list  # noqa: SLF001
        return [_parse(wire) * scale for packet in self._found for wire in read(packet)]

    def close(self) -> None:
        """Free the native graph."""
        self._graph.close()


class FaceMesh(MediaPipeGraph):
    """MediaPipe FaceMesh, whose weights lie in the wheel of mediapipe 0.10.21.

    With attention (Grishchenko et al., 2020), which looks at lips and eyes a second time: a lowered mouth corner is
    read two thirds further.

    ``faces`` is how many are found at most. Benchmarks measure what attention brings.
    """

    name = "FaceMesh"

    def __init__(self, faces: int = 1, *, attention: bool = True) -> None:
        super().__init__(_GRAPH, faces_at_most=faces, attention=attention, tracking=True)

    def __call__(self, frame: Frame) -> list[NDArray[np.float32]]:
        """Return the landmarks of every face, ``(478, 3)`` each."""
        return self.landmarks(frame.image)


_GRAPH = """
input_stream: "image"
output_stream: "found"
node {
  calculator: "FaceLandmarkFrontCpu"
  input_stream: "IMAGE:image"
  input_side_packet: "NUM_FACES:faces_at_most"
  input_side_packet: "WITH_ATTENTION:attention"
  input_side_packet: "USE_PREV_LANDMARKS:tracking"
  output_stream: "LANDMARKS:found"
}
executor { name: "" type: "ApplicationThreadExecutor" }
"""
"""Its nodes run one after the other in the thread that asks. Handing them to others costs a tenth of a look more,
and on a busy machine waits for its turn."""


def _parse(wire: bytes) -> NDArray[np.float32]:
    """Read ``(N, 3)`` normalised landmarks off the wire format: twenty times faster than attribute access."""
    fields = np.frombuffer(wire, np.uint8).reshape(-1, _LANDMARK_BYTES)[:, 2:].reshape(-1, 3, 5)[:, :, 1:]
    return np.ascontiguousarray(fields).view("<f4")[..., 0].astype(np.float32)


class FaceLandmarker:
    """MediaPipe Tasks' FaceLandmarker in VIDEO mode, which drops no frame.

    ``faces`` is how many are found at most, ``model`` the .task file; None takes the cached one, fetched once from
    its publisher and checked.

    Raises:
        ModelError: The file is missing or damaged, or could not be fetched.
    """

    name = "FaceLandmarker"

    def __init__(self, faces: int = 1, model: Path | None = None) -> None:
        import mediapipe as mp  # noqa: PLC0415 - takes two seconds
        from mediapipe.tasks import python as tasks  # noqa: PLC0415
        from mediapipe.tasks.python import vision  # noqa: PLC0415

        path = model or fetch_landmarker()
        if not path.is_file():
            raise ModelError(f"there is no face model at {path}; give the path of a face_landmarker.task")
        self._mp = mp
        options = vision.FaceLandmarkerOptions(
            base_options=tasks.BaseOptions(model_asset_buffer=path.read_bytes()),
            running_mode=vision.RunningMode.VIDEO,
            num_faces=faces,
        )
        try:
            self._graph = vision.FaceLandmarker.create_from_options(options)
        except (RuntimeError, ValueError) as error:
            raise ModelError(
                f"{path} is not a usable face landmarker model; fetch face_landmarker.task anew"
            ) from error
        self._last_ms = -1

    def __call__(self, frame: Frame) -> list[NDArray[np.float32]]:
        """Return the landmarks of every face, ``(478, 3)`` each."""
        picture = self._mp.Image(
            image_format=self._mp.ImageFormat.SRGB, data=cv2.cvtColor(frame.image, cv2.COLOR_BGR2RGB)
        )
        # the graph wants strictly increasing whole milliseconds; a 2,000 fps clip has several frames in one
        self._last_ms = max(self._last_ms + 1, round(frame.pts * 1000))
        height, width = frame.image.shape[:2]
        scale = np.array([width, height, width], np.float32)
        found = self._graph.detect_for_video(picture, self._last_ms).face_landmarks
        return [np.array([(p.x, p.y, p.z) for p in face], np.float32) * scale for face in found]

    def close(self) -> None:
        """Free the native graph."""
        self._graph.close()


def landmarker_path() -> Path:
    """Return where FaceLandmarker's model is kept once it has been fetched."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return cache / "streamspot" / "face_landmarker.task"


def fetch_landmarker() -> Path:
    """Return the path of FaceLandmarker's model, which is fetched once from its publisher and checked.

    Raises:
        ModelError: It cannot be fetched, or is not the file it should be.
    """
    path = landmarker_path()
    if path.is_file():
        if hashlib.sha256(path.read_bytes()).hexdigest() != LANDMARKER_SHA256:
            raise ModelError(
                f"{path} is not the face model it should be (its sha256 differs); delete it and run again"
            )
        return path
    remedy = f"fetch {LANDMARKER_URL} by hand and save it as {path}"
    try:
        with urllib.request.urlopen(LANDMARKER_URL, timeout=30) as answer:
            content = answer.read()
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise ModelError(f"the face model cannot be fetched ({reason}); {remedy}") from error
    if hashlib.sha256(content).hexdigest() != LANDMARKER_SHA256:
        raise ModelError(
            f"what was fetched is not the face model it should be (its sha256 differs); {remedy}"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as part:
        part.write_bytes(content)
    return path


def has_face_mesh() -> bool:
    """Tell whether the installed MediaPipe has FaceMesh."""
    try:
        return importlib.util.find_spec("mediapipe.python.solutions.face_mesh") is not None
    except ModuleNotFoundError:
        return False


def make_detector(faces: int = 1, model: Path | None = None) -> FaceDetector:
    """Return FaceMesh where this MediaPipe has it and no model file is named, FaceLandmarker otherwise.

    Raises:
        ModelError: FaceLandmarker's model is missing or damaged, or cannot be fetched.
    """
    if model is None and has_face_mesh():
        return FaceMesh(faces)
    return FaceLandmarker(faces, model)
