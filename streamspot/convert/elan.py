"""An annotation document of ELAN: each face a tier of kinds, below it one of kind, strength and what moved."""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence
from pathlib import Path, PurePath

from streamspot.convert.expressions import Expression
from streamspot.errors import SettingsError, needs


def write_elan(expressions: Sequence[Expression], path: Path, video: Path | None = None) -> None:
    """Write an ``.eaf`` file, linked with the video where one is given.

    Raises:
        SettingsError: pympi-ling is missing.
        OSError: The file cannot be written.
    """
    try:
        from pympi.Elan import Eaf, to_string  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise SettingsError(needs("ELAN", "pympi-ling", "convert", error)) from None
    document = Eaf(author="streamspot")
    document.add_linguistic_type("what moved", constraints="Symbolic_Association", timealignable=False)
    for tier in sorted({one.tier for one in expressions}):
        document.add_tier(tier)
        document.add_tier(f"{tier} moved", "what moved", parent=tier)
    document.remove_tier("default")
    for one in expressions:
        start, end = round(one.start * 1000), round(one.end * 1000)
        document.add_annotation(one.tier, start, end, one.event.kind)
        inside = (start + end) // 2  # its ends may be those of another
        document.add_ref_annotation(f"{one.tier} moved", one.tier, inside, one.text)
    if video is not None:
        mimetype, _ = mimetypes.guess_type(video.name)
        document.add_linked_file(media_url(video.resolve()), mimetype=mimetype or "unknown")
    path.write_bytes(to_string(document, encoding="UTF-8"))  # to_file renames a file that is there to .bak


def media_url(path: PurePath) -> str:
    """Return the address of a file as ELAN writes it: nothing is escaped, a share's machine follows two slashes."""
    text = path.as_posix()
    return f"file:{text}" if path.drive.startswith("\\\\") else f"file:///{text.lstrip('/')}"
