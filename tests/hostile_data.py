"""Data sets, tables, pictures, videos and journals that a stranger may hand over; see ``hostile.py``."""

from __future__ import annotations

import io
import sqlite3
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from small_data import write_small

Cases = Iterator[tuple[str, list[str]]]
"""Name and command line (without ``streamspot``) of each file."""

DEEP = "[" * 20_000
LONG = "A" * 3_000_000


def data_sets(folder: Path, good: Path) -> Cases:
    """Data sets: ``features.npz``, ``annotations.csv``, ``meta.yaml``."""
    write_small(folder / "0", subjects=2)
    files = {path.name: path.read_bytes() for path in (folder / "0").iterdir()}
    (folder / "0").rename(folder / "base")

    def case(name: str, **changed: str | bytes) -> tuple[str, list[str]]:
        place = folder / str(len(list(folder.iterdir())))
        place.mkdir()
        changes = {key.replace("_", "."): value for key, value in changed.items()}
        for key, value in (files | changes).items():
            (place / key).write_bytes(value if isinstance(value, bytes) else value.encode())
        return name, ["evaluate", "--data", str(place), "--weights", "streamspot-base"]

    def header(*shape: int) -> bytes:
        head = repr({"descr": "<f4", "fortran_order": False, "shape": shape}).encode() + b"\n"
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head

    for name, shape in {
        "claims 4 TB": (10**9, 512, 2),
        "claims more than there are numbers": (2**62, 2**62, 2),
        "a negative shape": (-1, 10, 2),
    }.items():
        yield case(name, features_npz=_zip({"s0_v0.npy": header(*shape)}))
    for name, frames in (("a zip bomb of 600 MB", 7_500_000), ("a bomb behind a modest header", 300)):
        yield case(name, features_npz=_bomb("s0_v0.npy", header(frames, 10, 2), bytes(10**7)))
    yield case("pickled objects", features_npz=_pickled())
    yield case("text as numbers", features_npz=_saved(np.array([["x"] * 2])))
    yield case("complex numbers", features_npz=_saved(np.zeros((300, 10, 2), complex)))
    yield case("one dimension", features_npz=_saved(np.zeros(300)))
    yield case("NaN", features_npz=_saved(np.full((300, 10, 2), np.nan)))
    yield case("huge numbers", features_npz=_saved(np.full((300, 10, 2), 1e300)))
    yield case("300 regions", features_npz=_saved(np.zeros((300, 300, 2), np.float32)))
    yield case("dates", features_npz=_saved(np.zeros((300, 10, 2), "datetime64[s]")))
    yield case("a structure", features_npz=_saved(np.zeros((300, 10, 2), [("a", "f4")])))
    yield case(
        "a header of code",
        features_npz=_zip({"a.npy": b"\x93NUMPY\x01\x00\x20\x00" + b"__import__('os').getcwd()".ljust(32)}),
    )
    yield case("path as a name", features_npz=_saved(np.zeros((300, 10, 2), np.float32), "../../x"))
    yield case("no zip", features_npz=b"hello")
    yield case("cut", features_npz=files["features.npz"][:999])
    yield case("40,000 arrays", features_npz=_zip({f"{n}.npy": b"" for n in range(40_000)}))
    table = files["annotations.csv"].decode()
    head, *rows = table.splitlines()
    columns = head.split(",")

    def cell(column: str, value: str) -> str:
        cells = rows[0].split(",")
        cells[columns.index(column)] = value
        return "\n".join((head, ",".join(cells), *rows[1:])) + "\n"

    for column in [
        name for name in columns if name in {"fps", "onset", "apex", "offset", "point", "frames", "kind"}
    ]:
        for value in ("1e999", "9" * 400, "-5", "NaN", "=1+1", "x\0y", LONG):
            if not (value == "NaN" and column in {"apex", "point", "offset"}) and not (
                value == "-5" and column != "fps"
            ):
                yield case(f"{column} {value[:8]}", annotations_csv=cell(column, value))
    yield case("a field of 3 MB, quoted", annotations_csv=head + '\n"' + LONG)
    yield case("NUL", annotations_csv=table.encode() + b"\0" * 4096)
    yield case("not UTF-8", annotations_csv=b"\xff\xfe" + table.encode())
    yield case("no columns", annotations_csv="a,b\n1,2\n")
    yield case("no table", annotations_csv="")
    yield case("200,000 wrong rows", annotations_csv=head + "\n" + "x,y\n" * 200_000)
    yield case("fps 1e-300", meta_yaml="fps: 1.0e-300\n")
    yield case("fps 1e-4", annotations_csv=cell("fps", "0.0001"))
    yield case("scale inf", meta_yaml="scale: .inf\n")
    yield case("columns 1e9", meta_yaml="columns: [1000000000]\n")
    yield case("missing_offset huge", meta_yaml="missing_offset: " + "9" * 30 + "\n")
    yield case("meta alias bomb", meta_yaml="a: &a [x,x]\nb: &b [*a,*a]\nlayout: *b\n")
    yield case("meta nested", meta_yaml=DEEP)
    yield case("meta binary", meta_yaml=bytes(range(256)))
    yield case("meta huge", meta_yaml=f"layout: {LONG}\n")


def tables(folder: Path, good: Path) -> Cases:
    """Point labels in CSV, and Excel sheets."""
    head = "video,subject,kind,point,fps\n"

    def case(
        name: str, content: str | bytes, file: str = "points.csv", layout: str = "folder"
    ) -> tuple[str, list[str]]:
        place = folder / str(len(list(folder.iterdir())))
        place.mkdir()
        (place / "v.motion").write_bytes(good.read_bytes())
        (place / file).write_bytes(content if isinstance(content, bytes) else content.encode())
        out = str(folder / "out")
        return name, ["extract", str(place), "--layout", layout, "--out", out, "--jobs", "1", "--no-ui"]

    for video in (
        "/etc/passwd",
        "../../../etc/passwd",
        "/dev/zero",
        "/proc/self/mem",
        ".",
        LONG,
        "x\0y",
        "\x1b[2J",
    ):
        yield case(f"video {video[:12]!r}", head + f"{video},ann,macro,20,\n")
    for point in ("9" * 400, "1e999", "NaN", "-1", "x", "10000000"):
        yield case(f"point {point[:8]}", head + f"v.motion,ann,macro,{point},\n")
    for fps in ("0", "1" + "0" * 400, "0." + "0" * 200 + "1"):
        yield case(f"fps {fps[:8]}", head + f"v.motion,ann,macro,20,{fps}\n")
    yield case("an unknown kind of 3 MB", head + f"v.motion,ann,{LONG},20,\n")
    yield case("a quoted field without an end", head + '"' + LONG)
    yield case("NUL", b"video,subject\0,kind,point\n")
    yield case("UTF-16", (head + "v.motion,ann,macro,20,\n").encode("utf-16"))
    code, sheet = "CAS(ME)^2code_final.xlsx", "xl/worksheets/sheet1.xml"
    for name, content in {
        "no zip": b"hello",
        "an empty zip": _zip({}),
        "a bomb of 600 MB": _bomb(sheet, _SHEET, b"<row/>" * 1_600_000, _BOOK),
        "entities that double": _zip(_BOOK | {sheet: _LAUGHS}),
        "a cell in column XFD of a million rows": _zip(_BOOK | {sheet: _FAR}),
        "no sheet": _zip({name: content for name, content in _BOOK.items() if "sheet" not in name}),
        "broken XML": _zip(_BOOK | {sheet: b"<worksheet><sheetData><row"}),
    }.items():
        yield case(f"Excel: {name}", content, code, "casme2")


def pictures(folder: Path, good: Path) -> Cases:
    """Folders of pictures."""

    def case(name: str, content: bytes, ending: str = "png") -> tuple[str, list[str]]:
        place = folder / str(len(list(folder.iterdir())))
        place.mkdir()
        (place / f"1.{ending}").write_bytes(content)
        return name, ["run", "--source", str(place), "--no-ui"]

    def png(width: int, height: int, body: bytes) -> bytes:
        parts = [
            (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
            (b"IDAT", body),
            (b"IEND", b""),
        ]
        return b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(part)) + kind + part + struct.pack(">I", zlib.crc32(kind + part))
            for kind, part in parts
        )

    yield case("claims 2**31 x 2**31", png(2**31 - 1, 2**31 - 1, b""))
    yield case("30,000 x 30,000 of nothing", png(30_000, 30_000, zlib.compress(bytes(10**7))))
    yield case("no pixel", png(0, 0, b""))
    yield case("text", b"hello")
    yield case("cut", png(640, 480, zlib.compress(bytes(1000)))[:50])
    yield case("JPEG cut", b"\xff\xd8\xff\xe0\x00\x10JFIF", "jpg")
    yield case(
        "JPEG of 65,535 x 65,535",
        b"\xff\xd8\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01\xff\xda",
        "jpg",
    )
    yield case("SVG", b'<svg xmlns="http://www.w3.org/2000/svg" width="99999" height="99999"/>', "png")


def videos(folder: Path, good: Path) -> Cases:
    """Videos and what pretends to be one."""
    contents = {
        "empty.mp4": b"",
        "text.mp4": b"hello\n" * 1000,
        "noise.mp4": np.random.default_rng(0).bytes(300_000),
        "zeros.mp4": bytes(3_000_000),
        "box.mp4": struct.pack(">I4sQ", 1, b"ftyp", 2**62),
        "moov.mp4": struct.pack(">I4s8s", 16, b"ftyp", b"isom\0\0\0\0") + struct.pack(">I4s", 2**31, b"moov"),
        "avi.avi": b"RIFF\xff\xff\xff\xffAVI LIST\xff\xff\xff\xffhdrl",
        "mkv.mkv": b"\x1a\x45\xdf\xa3\x01\xff\xff\xff\xff\xff\xff\xff",
        "list.m3u8": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        "concat.ffconcat": b"ffconcat version 1.0\nfile /etc/passwd\n",
        "pickle.motion": b"\x80\x04\x95.",
        "sdp.sdp": b"v=0\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n",
        "wave.wav": b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x44\xac\0\0\x88\x58\x01\0\x02\0\x10\0data\0\0\0\0",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
        yield name, ["run", "--source", str(folder / name), "--no-ui"]


def journals(folder: Path, good: Path) -> Cases:
    """Journals that ``resend`` is handed; nobody listens at the broker's address."""

    def case(name: str, make: Callable[[Path], object]) -> tuple[str, list[str]]:
        path = folder / f"{len(list(folder.iterdir()))}.sqlite"
        make(path)
        return name, ["resend", str(path), "--broker", "mqtt://127.0.0.1:1"]

    def tabled(*statements: str) -> Callable[[Path], None]:
        def make(path: Path) -> None:
            with sqlite3.connect(path) as rows:
                for statement in statements:
                    rows.execute(statement)
            rows.close()

        return make

    columns = (
        "CREATE TABLE event (id INTEGER PRIMARY KEY, time REAL NOT NULL, "
        "delivered INTEGER NOT NULL DEFAULT 0, payload BLOB NOT NULL)"
    )
    yield case("text", lambda path: path.write_text("hello" * 1000))
    yield case("empty", lambda path: path.touch())
    yield case("a recording", lambda path: path.write_bytes(good.read_bytes()))
    yield case("a header alone", lambda path: path.write_bytes(b"SQLite format 3\0" + bytes(84)))
    yield case("another table", tabled("CREATE TABLE other (a, b)"))
    yield case("other columns", tabled("CREATE TABLE event (a, b)"))
    yield case(
        "a view without end",
        tabled(
            "CREATE VIEW event AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) "
            "SELECT id, 1e12 AS time, 0 AS delivered, zeroblob(100000000) AS payload FROM n"
        ),
    )
    yield case(
        "a view with a bomb",
        tabled(
            "CREATE VIEW event AS SELECT 1 AS id, 1e12 AS time, 0 AS delivered, zeroblob(999999999) AS payload"
        ),
    )
    yield case("text as payload", tabled(columns, "INSERT INTO event VALUES (1, 1e12, 0, 'hello')"))
    yield case("a number as payload", tabled(columns, "INSERT INTO event VALUES (1, 1e12, 0, 7)"))
    yield case(
        "a payload of 50 MB", tabled(columns, "INSERT INTO event VALUES (1, 1e12, 0, zeroblob(50000000))")
    )
    yield case(
        "a payload nested",
        tabled(columns, f"INSERT INTO event VALUES (1, 1e12, 0, x'{(b'[' * 50_000).hex()}')"),  # noqa: S608
    )


_BOOK = {
    "[Content_Types].xml": b'<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    b'<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.'
    b'spreadsheetml.sheet.main+xml"/></Types>',
    "_rels/.rels": b'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    b'<Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/'
    b'officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": b'<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
    b'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">'
    b'<sheets><sheet name="naming rule1" sheetId="1" r:id="r1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": b'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    b'<Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" '
    b'Target="worksheets/sheet1.xml"/></Relationships>',
}
_SHEET = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
_LAUGHS = (
    b'<!DOCTYPE x [<!ENTITY a0 "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 10))
    + b"]>"
    + _SHEET
    + b'<row r="1"><c r="A1" t="str"><v>&a9;</v></c></row></sheetData></worksheet>'
)
_FAR = (
    _SHEET
    + b"".join(b'<row r="%d"><c r="XFD%d"><v>1</v></c></row>' % (n, n) for n in (1, 2, 1_000_000))
    + b"</sheetData></worksheet>"
)


def _zip(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, one in files.items():
            archive.writestr(name, one)
    return content.getvalue()


def _bomb(name: str, head: bytes, part: bytes, others: dict[str, bytes] | None = None) -> bytes:
    """Return an archive of a few MB whose last file is a head and 600 MB of one part."""
    content = io.BytesIO(_zip(others or {}))
    with (
        zipfile.ZipFile(content, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(name, "w", force_zip64=True) as file,
    ):
        file.write(head)
        for _ in range(6 * 10**8 // len(part)):
            file.write(part)
    return content.getvalue()


def _saved(array: np.ndarray, name: str = "s0_v0") -> bytes:
    content = io.BytesIO()
    np.savez_compressed(content, **{name: array})
    return content.getvalue()


def _pickled() -> bytes:
    content = io.BytesIO()
    np.savez_compressed(content, s0_v0=np.array([{"a": 1}], object))
    return content.getvalue()
