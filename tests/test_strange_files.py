"""Promises of files that are read wrongly elsewhere: each input is made here, and gives the right value."""

from __future__ import annotations

import struct
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import psutil
import pytest
from made_clips import (
    FPS,
    SIZE,
    as_frames,
    copy_streams,
    numbered,
    portrait_clip,
    reference,
    same,
    spot,
    spotted,
    turn,
    write_video,
)
from small_pictures import small_picture

from streamspot.sources import open_source
from streamspot.types import Frame


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the clip in an ordinary file."""
    return write_video(tmp_path_factory.mktemp("plain") / "plain.mp4", portrait_clip())


def _read(path: object) -> tuple[list[Frame], list[str]]:
    source = open_source(str(path))
    return list(source.read()), list(source.messages)


def test_the_plain_clip_gives_the_reference(plain: Path):
    """Two expressions, by way of a file as from the pictures themselves, and nothing is said."""
    assert len(reference()) == 2
    found, said = spotted(plain)
    assert same(found, reference())
    assert said == []


def test_a_damaged_packet_costs_its_picture(plain: Path, tmp_path: Path):
    """The rest of the file follows, every expression is found, and the damage is counted and said."""
    with av.open(str(plain)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        at = packets[130].pos
    data = bytearray(plain.read_bytes())
    data[at : at + 4] = b"\xff" * 4  # the length of the NAL unit
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(data)
    found, said = spotted(broken)
    assert same(found, reference(), within=2)
    assert len(said) == 1
    assert "1 picture damaged" in said[0]
    assert len(_read(broken)[0]) == len(packets) - 1


def test_a_change_of_size_is_shown_in_the_size_before(tmp_path: Path):
    """Pictures of another size but the same proportions fill the picture; the expressions are found."""
    pictures = portrait_clip()
    half = len(pictures) // 2
    smaller = [cv2.resize(picture, (288, 216), interpolation=cv2.INTER_AREA) for picture in pictures[half:]]
    parts = [
        write_video(tmp_path / "a.webm", pictures[:half], codec="libvpx"),
        write_video(tmp_path / "b.webm", smaller, codec="libvpx"),
    ]
    joined = tmp_path / "joined.webm"
    with av.open(str(joined), "w") as out:
        stream = None
        for number, part in enumerate(parts):
            with av.open(str(part)) as container:
                stream = stream or out.add_stream_from_template(container.streams.video[0])
                for packet in container.demux(video=0):
                    if packet.dts is not None:
                        packet.pts = packet.dts = packet.pts + number * half * 1000 // FPS
                        packet.stream = stream
                        out.mux(packet)
    frames, said = _read(joined)
    assert {frame.image.shape for frame in frames} == {(SIZE[1], SIZE[0], 3)}
    assert np.abs(frames[half + 3].image.astype(int) - pictures[half + 3]).mean() < 8
    assert same(spot(frames), reference(), within=2)
    assert said == []


def test_a_change_of_proportions_is_said(tmp_path: Path):
    """Pictures of other proportions come as they are, with one message."""
    parts = [
        write_video(tmp_path / "a.ts", [small_picture(n) for n in range(10)], codec="mpeg2video"),
        write_video(tmp_path / "b.ts", [small_picture(n, 64, 64) for n in range(10)], codec="mpeg2video"),
    ]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    frames, said = _read(joined)
    assert {frame.image.shape for frame in frames} == {(48, 64, 3), (64, 64, 3)}
    assert any("the picture is now 64x64" in message for message in said)


@pytest.mark.parametrize(("ratio", "stored"), [(Fraction(2), (192, 288)), (Fraction(1, 2), (384, 144))])
def test_pixels_become_square(tmp_path: Path, ratio: Fraction, stored: tuple[int, int]):
    """An anamorphic video is shown in its true proportions, with no picture line lost."""
    squeezed = [cv2.resize(picture, stored, interpolation=cv2.INTER_AREA) for picture in portrait_clip()]
    clip = write_video(tmp_path / "anamorphic.mp4", squeezed, ratio=ratio)
    assert _read(clip)[0][0].image.shape == (SIZE[1], SIZE[0], 3)
    found, said = spotted(clip)
    assert same(found, reference(), within=3)
    assert said == []


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rotated_videos_come_upright(plain: Path, tmp_path: Path, degrees: int):
    """What the metadata says of the camera's orientation is honoured."""
    pictures = portrait_clip()[:5]
    stored = [np.ascontiguousarray(np.rot90(picture, degrees // 90)) for picture in pictures]
    clip = turn(write_video(tmp_path / "phone.mp4", stored), stored[0].shape[1::-1], degrees)
    for frame, picture in zip(_read(clip)[0], pictures, strict=True):
        assert frame.image.shape == picture.shape
        assert np.abs(frame.image.astype(int) - picture).mean() < 4


@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (3, 2), (6, 1), (8, 3)])
def test_jpegs_with_exif_come_upright(tmp_path: Path, orientation: int, turns: int):
    """Pictures that carry EXIF, as network cameras and phones write them, are read, and turned as EXIF says."""
    picture = portrait_clip()[0]
    jpeg = cv2.imencode(".jpg", np.rot90(picture, turns))[1].tobytes()
    exif = b"Exif\0\0II*\0" + struct.pack("<IHHHIII", 8, 1, 0x0112, 3, 1, orientation, 0)
    jpeg = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]
    (tmp_path / "camera.mjpeg").write_bytes(3 * jpeg)
    frames, said = _read(tmp_path / "camera.mjpeg")
    assert said == []
    assert [frame.image.shape for frame in frames] == 3 * [picture.shape]
    assert np.abs(frames[2].image.astype(int) - picture).mean() < 4


@pytest.mark.parametrize("layout", ["bgr24", "bgra"])
def test_bitmaps_stored_from_the_last_row_come_upright(tmp_path: Path, layout: str):
    """An uncompressed AVI as Windows writes it shows what one does that is stored from the first row."""
    pictures = [small_picture(number) for number in range(3)]
    clip = write_video(
        tmp_path / "rows.avi", [one[::-1] for one in pictures], codec="rawvideo", layout=layout
    )
    data = bytearray(clip.read_bytes())
    height = data.index(b"strf") + 16
    assert struct.unpack_from("<i", data, height) == (-48,)
    struct.pack_into("<i", data, height, 48)
    (tmp_path / "windows.avi").write_bytes(data)
    frames, said = _read(tmp_path / "windows.avi")
    assert said == []
    assert all(np.array_equal(frame.image, one) for frame, one in zip(frames, pictures, strict=True))


@pytest.mark.parametrize(
    ("codec", "layout", "tagged"),
    [("libx264", "yuvj420p", False), ("libvpx-vp9", "yuv420p", True), ("mjpeg", "yuvj422p", False)],
)
def test_the_full_range_is_honoured(tmp_path: Path, codec: str, layout: str, tagged: bool):
    """Black is black and white is white, whether the video uses the full range of values or the broadcast one."""
    ramp = np.repeat(np.arange(0, 256, 4, np.uint8), 4)[None, :, None].repeat(64, 0).repeat(3, 2)
    options = {"color_range": "pc"} if tagged else {}
    path = tmp_path / ("ramp.mov" if codec == "mjpeg" else "ramp.mkv")
    if tagged:  # the encoder writes the planes as they are
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=FPS, options=options)
            stream.width, stream.height, stream.pix_fmt = 256, 64, layout
            stream.codec_context.color_range = 2
            frame = (
                av.VideoFrame.from_ndarray(ramp, "bgr24")
                .reformat(format="yuvj420p")
                .reformat(format="yuvj420p")
            )
            planes = frame.to_ndarray()
            frame = av.VideoFrame.from_ndarray(planes, "yuv420p")
            frame.color_range = 2
            frame.pts, frame.time_base = 0, Fraction(1, FPS)
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    else:
        write_video(path, [ramp], codec=codec, layout=layout)
    image = _read(path)[0][0].image.astype(int)
    assert np.abs(image - ramp).mean() < 4
    assert image[:, :8].mean() < 8
    assert image[:, -8:].mean() > 247


def test_the_quick_way_to_a_jpeg_is_the_right_one(tmp_path: Path):
    """The luma of motion JPEG, on which motion is measured, is what libjpeg makes of the same bytes."""
    clip = write_video(tmp_path / "clip.avi", portrait_clip()[:5], codec="mjpeg", layout="yuvj420p")
    with av.open(str(clip)) as container:
        packets = [np.frombuffer(packet, np.uint8) for packet in container.demux(video=0) if packet.size]
    for frame, packet in zip(_read(clip)[0], packets, strict=True):
        grey = cv2.cvtColor(frame.image, cv2.COLOR_BGR2GRAY).astype(int)
        assert np.abs(grey - cv2.imdecode(packet, cv2.IMREAD_GRAYSCALE)).mean() < 1


def test_interlaced_video_shows_one_field(tmp_path: Path):
    """Two fields of different moments are not shown as the teeth of a comb."""
    pictures = []
    for number in range(10):
        field = [np.full((96, 128, 3), 30, np.uint8) for _ in range(2)]
        for late, picture in enumerate(field):
            at = 8 * number + 4 * late
            picture[:, at : at + 30] = 220
        mixed = field[0].copy()
        mixed[1::2] = field[1][1::2]
        pictures.append(mixed)
    path = write_video(
        tmp_path / "tape.ts",
        pictures,
        codec="mpeg2video",
        options={"flags": "+ildct+ilme", "b": "8M"},
    )
    frames, _ = _read(path)
    for frame in frames:
        rows = frame.image[20:70].astype(int)
        assert frame.image.shape == (96, 128, 3)
        assert np.abs(np.diff(rows, axis=0)).mean() < 3
    rows = pictures[5][20:70].astype(int)
    assert np.abs(np.diff(rows, axis=0)).mean() > 8


# Times


def test_an_edit_list_and_a_late_start_are_no_damage(plain: Path, tmp_path: Path):
    """A clip that begins in the middle of another, or at 5 s, is whole: nothing is said, and it begins at 0."""
    late = copy_streams(tmp_path / "late.mkv", plain, shift=5.0)
    negative = copy_streams(tmp_path / "negative.mkv", plain, shift=-2.0, kind="matroska")
    cut = copy_streams(tmp_path / "cut.mp4", plain, shift=-1.0)  # the container hides what lies before 0
    for path in (late, negative, cut):
        frames, said = _read(path)
        assert said == []
        assert frames[0].pts == 0.0
        assert np.allclose(np.diff([frame.pts for frame in frames]), 1 / FPS, atol=2e-3)


def test_a_late_recording_that_is_cut_is_said_to_be_cut(plain: Path, tmp_path: Path):
    """Where a recording that begins at ten hours ends too early is said, in seconds from its begin."""
    late = copy_streams(tmp_path / "late.mkv", plain, shift=36_000.0)
    late.write_bytes(late.read_bytes()[: late.stat().st_size // 2])
    frames, said = _read(late)
    assert len(frames) < 200
    assert [message.split()[1:4] for message in said] == [["ends", "after", f"{frames[-1].pts + 0.04:.1f}"]]
    assert "of 10.2 s: damaged or cut short" in said[0]


def test_sound_that_goes_on_is_no_damage(tmp_path: Path):
    """A container that only says how long all of it is may hold sound that is longer than the video."""
    path = tmp_path / "sound.flv"
    with av.open(str(path), "w") as container:
        video, sound = container.add_stream("flv", rate=25), container.add_stream("aac", rate=44100)
        video.height, video.width, video.pix_fmt = 48, 64, "yuv420p"
        for number in range(25):
            container.mux(video.encode(av.VideoFrame.from_ndarray(small_picture(number), "bgr24")))
        container.mux(video.encode(None))
        for number in range(130):
            silence = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", layout="stereo")
            silence.sample_rate, silence.pts = 44100, 1024 * number
            container.mux(sound.encode(silence))
        container.mux(sound.encode(None))
    frames, said = _read(path)
    assert (len(frames), said) == (25, [])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    assert "damaged or cut short" in _read(path)[1][0]


def test_a_gap_is_named_and_kept(tmp_path: Path):
    """A recording that pauses for ten seconds says so; times after it are its own, and it is not called damaged."""
    stamps = [number / FPS + (10 if number >= 20 else 0) for number in range(40)]
    clip = write_video(tmp_path / "gap.mkv", [small_picture(n) for n in range(40)], stamps=stamps)
    frames, said = _read(clip)
    assert len(frames) == 40
    assert np.allclose([frame.pts for frame in frames], stamps, atol=2e-3)
    assert said == [f"{clip}: gap of 10 s at 0.8 s"]


def test_a_jump_of_the_clock_is_named(tmp_path: Path):
    """Two transport streams glued together, the second 1,000 s later or earlier: said, never a jump back."""
    pictures = [small_picture(n) for n in range(30)]
    one = write_video(tmp_path / "one.ts", pictures, codec="mpeg2video")
    other = copy_streams(tmp_path / "other.ts", one, shift=1000)
    for parts, word in (((one, other), "the clock jumps by 99"), ((other, one), "did not increase")):
        joined = tmp_path / "joined.ts"
        joined.write_bytes(b"".join(part.read_bytes() for part in parts))
        frames, said = _read(joined)
        assert len(frames) == 60
        assert all(b.pts > a.pts for a, b in pairwise(frames))
        assert any(word in message for message in said), said
        assert frames[-1].pts == pytest.approx(59 / FPS, abs=0.05)


def test_an_avi_of_h264_counts_its_pictures_once(plain: Path, tmp_path: Path):
    """A container whose header counts twice as many pictures is not called cut short; every picture has its time."""
    clip = write_video(tmp_path / "twice.avi", portrait_clip()[:60], options={"bf": "2"})
    frames, said = _read(clip)
    assert said == []
    assert np.allclose(np.diff([frame.pts for frame in frames]), 1 / FPS, atol=1e-3)


def test_pictures_that_share_a_stamp_follow_at_their_rate(tmp_path: Path):
    """A program stream of H.264 stamps few of its small pictures: the others lie between them at its rate."""
    clip = write_video(tmp_path / "few.mpg", numbered(100), kind="mpeg", options={"bf": "3"})
    frames, _ = _read(clip)
    assert np.allclose([frame.pts for frame in frames], np.arange(100) / FPS, atol=0.05)
    assert open_source(str(clip)).fps == FPS


def test_a_held_picture_holds(tmp_path: Path):
    """Equal pictures that a variable-rate file leaves out cancel no expression; frame numbers are the file's."""
    pictures = list(portrait_clip())
    (_, onset, _), _ = reference()
    apex, left_out = onset + 18, 30
    held = pictures[: apex + 1] + [pictures[apex]] * left_out + pictures[apex + 1 :]
    whole = spot(as_frames(held))
    stamps = [(number + (left_out if number > apex else 0)) / FPS for number in range(len(pictures))]
    clip = write_video(tmp_path / "held.mp4", pictures, stamps=stamps)
    found, said = spotted(clip)
    wanted = [
        (kind, *(frame - min(max(frame - apex, 0), left_out) for frame in span)) for kind, *span in whole
    ]
    assert said == []
    assert same(found, wanted, within=2)


def test_a_long_file_costs_no_memory(tmp_path: Path):
    """341 s in one run: every picture comes, and the process is no larger at the end than near the beginning."""
    pictures = [small_picture(number, 160, 120) for number in range(40)]
    shown = (pictures[number % 40] for number in range(341 * 12))
    clip = write_video(tmp_path / "long.mp4", shown, codec="mpeg4", fps=12)
    process = psutil.Process()
    count, early = 0, 0
    for frame in open_source(str(clip)).read():
        count += 1
        if frame.index == 1000:
            early = process.memory_info().rss
    assert count == 341 * 12
    assert process.memory_info().rss - early < 0.02 * early


# Streams


def test_the_stream_of_a_player_is_read(plain: Path, tmp_path: Path):
    """Neither a still nor a smaller video in front hides the film; another can be asked for."""
    still = write_video(
        tmp_path / "still.mkv", [small_picture(1, 640, 480)], codec="mjpeg", layout="yuvj420p"
    )
    small = write_video(tmp_path / "small.mp4", [small_picture(n) for n in range(30)])
    shape = (SIZE[1], SIZE[0], 3)
    frames, said = _read(copy_streams(tmp_path / "cover.mkv", still, plain))
    assert (len(frames), frames[0].image.shape, said) == (len(portrait_clip()), shape, [])
    two = copy_streams(tmp_path / "two.mkv", small, plain)
    frames, said = _read(two)
    assert frames[0].image.shape == shape
    assert "number 1 is read; ?stream=N takes another" in said[0]
    assert open_source(f"{two}?stream=0").identity != open_source(f"{two}?stream=1").identity
    frames, said = _read(f"{two}?stream=0")
    assert (len(frames), frames[0].image.shape, said) == (30, (48, 64, 3), [])
    with pytest.raises(Exception, match="no video stream 2"):
        open_source(f"{two}?stream=2")


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm"])
def test_the_length_of_a_variable_frame_rate_is_its_time(tmp_path: Path, name: str):
    """Seconds are those between first and last picture, not pictures by the rate that the container declares."""
    stamps = [*np.arange(100) / 10, *(10 + np.arange(300) / 30)]
    codec = "libvpx" if name.endswith("webm") else "libx264"
    source = open_source(str(write_video(tmp_path / name, numbered(400), codec=codec, stamps=stamps)))
    assert source.duration == pytest.approx(20.0, abs=0.15)
