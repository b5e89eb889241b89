"""Promises of pictures in a folder and on standard input: all that are whole come in order, damage is told."""

from __future__ import annotations

import resource
import struct
import time
import zlib
from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_pictures import encoded, small_picture

from streamspot.errors import SourceError
from streamspot.sources import open_source
from streamspot.sources.base import as_bgr
from streamspot.sources.images import natural
from streamspot.sources.stdin import StandardInput

# Folders


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3), (5, 7, 4)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_every_picture_becomes_bgr(shape, kind):
    """Grey, transparent and 16-bit pictures become three channels of bytes."""
    image = as_bgr(np.full(shape, np.iinfo(kind).max, kind))
    assert image.shape == (5, 7, 3)
    assert image.dtype == np.uint8
    assert image.min() == 255


def test_folder_is_read_in_natural_order(tmp_path):
    """img2 comes before img10; grey and transparent pictures come as BGR; other files do not matter."""
    for number in (10, 9, 2, 1):
        cv2.imwrite(str(tmp_path / f"img{number}.png"), np.full((6, 8), number, np.uint8))
    cv2.imwrite(str(tmp_path / "img11.png"), np.full((6, 8, 4), 11, np.uint8))
    (tmp_path / "notes.txt").touch()
    (tmp_path / "img3.png").mkdir()
    frames = list(open_source(f"{tmp_path}?fps=200").read())
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [1, 2, 9, 10, 11]
    assert all(frame.image.shape == (6, 8, 3) for frame in frames)
    assert [frame.pts for frame in frames] == [number / 200 for number in range(5)]
    assert open_source(str(tmp_path)).fps == 30


def test_damaged_picture_leaves_a_gap(tmp_path):
    """A picture that cannot be decoded is left out, counted and named; the others keep their times."""
    for number in range(4):
        cv2.imwrite(str(tmp_path / f"{number}.png"), small_picture(number))
    (tmp_path / "2.png").write_bytes(b"nothing")
    source = open_source(str(tmp_path))
    assert [frame.index for frame in source.read()] == [0, 1, 3]
    assert "2.png" in source.messages[0]


@pytest.mark.parametrize("piped", [False, True])
def test_a_change_of_size_loses_nobody(tmp_path, piped):
    """Pictures that grow are shown in the size before; of other proportions, which cannot be, each change is told."""
    sizes = [(64, 48), (128, 96), (64, 64), (64, 64)]
    for number, size in enumerate(sizes):
        cv2.imwrite(str(tmp_path / f"{number}.png"), small_picture(9, *size))
    data = b"".join((tmp_path / f"{number}.png").read_bytes() for number in range(4))
    source = StandardInput(fps=30, read=_pipe(data)) if piped else open_source(str(tmp_path))
    images = [frame.image for frame in source.read()]
    assert [image.shape[1::-1] for image in images] == [(64, 48), (64, 48), (64, 64), (64, 64)]
    assert np.abs(images[1].astype(int) - images[0]).mean() < 2
    assert list(source.messages) == [f"{source.name}: the picture is now 64x64"]


def test_what_is_no_picture_does_not_count(tmp_path):
    """What macOS leaves beside each file is no picture, and one that vanishes leaves a gap and no complaint."""
    for number in range(4):
        cv2.imwrite(str(tmp_path / f"{number}.png"), small_picture(number))
        (tmp_path / f"._{number}.png").write_bytes(b"\0\5\26\7")
    source = open_source(f"{tmp_path}?fps=25")
    (tmp_path / "1.png").unlink()
    frames = list(source.read())
    assert [(frame.index, frame.pts) for frame in frames] == [(0, 0.0), (2, 0.08), (3, 0.12)]
    assert not source.messages


def test_a_folders_identity_knows_all_its_pictures(tmp_path):
    """A copy of a folder has its identity; one with another picture in the middle, of the same size, has not."""
    for folder in ("a/seq", "b/seq"):
        (tmp_path / folder).mkdir(parents=True)
        for number in range(5):
            cv2.imwrite(str(tmp_path / folder / f"{number}.ppm"), small_picture(number))
    one, other = (open_source(str(tmp_path / folder)).identity for folder in ("a/seq", "b/seq"))
    assert one == other
    cv2.imwrite(str(tmp_path / "b/seq/2.ppm"), small_picture(9))
    assert open_source(str(tmp_path / "b/seq")).identity != one


def _huge() -> bytes:
    """A PNG of 144 megapixels in 140 kB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 12_000, 12_000, 8, 0, 0, 0, 0)
    packed = zlib.compress(b"\0" * (12_001 * 12_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def test_huge_pictures_are_refused_before_they_are_decoded(tmp_path):
    """A small file that would fill the memory costs none, in a folder, on standard input or as a video."""
    data = _huge()
    (tmp_path / "bomb.png").write_bytes(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SourceError, match="64 mega"):
        list(open_source(str(tmp_path)).read())
    with pytest.raises(SourceError, match="12000x12000"):
        open_source(str(tmp_path / "bomb.png"))
    with pytest.raises(SourceError, match="holds no"):
        list(StandardInput(fps=10, read=_pipe(data)).read())
    # KiB; one would take 144 to 432 MB
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


@given(st.lists(st.text(max_size=8), max_size=8))
def test_natural_order_is_an_order(names):
    """Any file names can be put in natural order."""
    once = sorted(names, key=natural)
    assert all(natural(a) <= natural(b) for a, b in pairwise(once))


# Standard input


def _pipe(data: bytes, cuts: list[int] | None = None):
    """A reader that hands out ``data`` in pieces of the given sizes, then in large ones."""
    sizes = iter(cuts or [])
    at = 0

    def read(count: int) -> bytes:
        nonlocal at
        piece = data[at : at + min(count, next(sizes, count))]
        at += len(piece)
        return piece

    return read


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(1, 400), max_size=30), st.sampled_from([".jpg", ".png"]), st.binary(max_size=20))
def test_pictures_on_stdin_are_found_however_they_arrive(cuts, kind, between):
    """JPEG and PNG pictures are told apart however the stream is divided, with anything between them."""
    between = between.replace(b"\xff", b"").replace(b"\x89", b"")
    data = between.join(encoded(number, kind) for number in range(5))
    frames = list(StandardInput(fps=10, read=_pipe(data, cuts)).read())
    assert [frame.pts for frame in frames] == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert [int(frame.image[40, 40, 1] - 20 + 2) // 5 for frame in frames] == [0, 1, 2, 3, 4]


def test_a_large_picture_costs_no_more_for_coming_in_pieces():
    """What has come is not searched again with each piece of a picture that a pipe hands out."""
    scan = b"\xff\xd8\xff\xda\0\2" + bytes(1 << 23) + b"\xff\xd9"
    source = StandardInput(fps=10, read=_pipe(scan + encoded(0, ".jpg"), [1 << 12] * (1 << 11)))
    begun = time.thread_time()
    assert [frame.index for frame in source.read()] == [1]
    assert time.thread_time() - begun < 1


def test_thumbnail_inside_a_picture_is_no_picture():
    """A JPEG with another in its header, as cameras write them, is one picture; progressive ones too."""
    image = small_picture(3)
    progressive = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    thumbnail = b"Exif\0\0" + encoded(9, ".jpg")
    photo = (
        progressive[:2] + b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail + progressive[2:]
    )
    frames = list(StandardInput(fps=10, read=_pipe(photo + photo)).read())
    assert len(frames) == 2
    assert abs(int(frames[0].image[40, 40, 1]) - int(image[40, 40, 1])) < 3


def test_damage_on_stdin_is_reported():
    """A picture cut short is left out with a message; a stream without pictures is refused."""
    whole = encoded(0, ".jpg")
    source = StandardInput(fps=10, read=_pipe(whole[:300] + whole + whole[:200]))
    assert [frame.index for frame in source.read()] == [1]
    assert "1 of 2 pictures" in source.messages[-1]
    assert any("within a picture" in message for message in source.messages)
    for empty in (b"", b"hello" * 1000):
        with pytest.raises(SourceError, match="holds no"):
            list(StandardInput(fps=10, read=_pipe(empty)).read())


@settings(deadline=None, max_examples=50)
@given(st.data(), st.sampled_from([".jpg", ".png"]))
def test_any_bytes_on_stdin_end(data, kind):
    """Damage anywhere in piped pictures costs pictures, never the program."""
    stream = bytearray(encoded(0, kind) + encoded(1, kind) + encoded(2, kind))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(stream) - 1))
        stream[at : at + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=40))
    try:
        frames = list(StandardInput(fps=10, read=_pipe(bytes(stream))).read())
    except SourceError:
        return
    assert len(frames) < 10


def test_raw_pictures_that_are_too_large_are_refused_before_they_are_read():
    """No size that somebody writes fills the memory."""
    with pytest.raises(SourceError, match=r"99999x99999 pixels .*64 million"):
        open_source("-?size=99999x99999&fps=30")
    open_source("-?size=8192x8192&fps=30")


@settings(deadline=None, max_examples=10)
@given(st.lists(st.integers(1, 5000), max_size=20))
def test_raw_pictures_on_stdin(cuts):
    """Raw BGR bytes become pictures of the size given; a rest at the end is reported."""
    data = b"".join(small_picture(number).tobytes() for number in range(3))
    source = StandardInput(size=(64, 48), fps=10, read=_pipe(data + b"rest", cuts))
    frames = list(source.read())
    assert all(np.array_equal(frame.image, small_picture(frame.index)) for frame in frames)
    assert len(frames) == 3
    assert "4 of 9216 bytes" in source.messages[-1]
