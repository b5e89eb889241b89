"""Building bricks of the picture: runs of styled text, boxes, and how numbers are written.

Rich's tables and layouts cost some ten milliseconds a picture; lines of ready segments cost a tenth of that,
which is what lets the dashboard run beside the network on the same core.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain, islice, repeat
from typing import Final

from rich.cells import cell_len, chop_cells, set_cell_size
from rich.segment import Segment
from rich.style import Style

from streamspot.events import printable
from streamspot.motion.moved import in_words
from streamspot.stats import Delivery, Stats
from streamspot.types import Event, Kind

Line = list[Segment]

# Middle tones: legible on black and on white, told apart by every common colour vision, and never the only
# sign: kinds differ in glyph and line, states are written out.
PLAIN: Final = Style()
DIM: Final = Style(dim=True)
BOLD: Final = Style(bold=True)
CALM: Final = Style(color="#1b9e8a")
MACRO: Final = Style(color="#c87a00")
MICRO: Final = Style(color="#3a86d8")
ALARM: Final = Style(color="#d7263d", bold=True)
FRAME: Final = Style(color="#808080")
KIND: Final[dict[Kind, Style]] = {"macro": MACRO, "micro": MICRO}


def run(text: str, style: Style = PLAIN) -> Segment:
    """Return a piece of text in one style, with nothing in it that the terminal obeys."""
    return Segment(printable(text), style)


def fit(line: Line, width: int) -> Line:
    """Return the line cropped or padded with blanks to exactly ``width`` cells."""
    return Segment.adjust_line_length(line, width, PLAIN)


def ends(left: Line, right: Line, width: int, fill: str = " ", style: Style = PLAIN) -> Line:
    """Return ``left`` and ``right`` at the two ends of a line; without room only the left."""
    gap = width - Segment.get_line_length(left) - Segment.get_line_length(right)
    if gap < 1:
        return fit([*left, Segment(fill * width, style)], width)
    return [*left, Segment(fill * gap, style), *right]


def elide(text: str, width: int) -> str:
    """Return ``text``, its middle replaced by ``…`` when it is longer than ``width`` cells."""
    if cell_len(text) <= width:
        return text
    head = max((width - 1) // 3, 0)
    tail = len(text)
    while tail and cell_len(text[tail - 1 :]) <= width - 1 - head:
        tail -= 1
    return set_cell_size(set_cell_size(text, head) + "…" + text[tail:], max(width, 0))


def wrapped(text: str, width: int) -> list[str]:
    """Return ``text`` as lines of at most ``width`` cells, at least 2, broken between words unless one is longer."""
    lines: list[str] = []
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and cell_len(joined) > width >= cell_len(word):
            lines.append(word)
        else:
            lines[-1:] = chop_cells(joined, width)
    return lines


def padded(text: str, width: int) -> str:
    """Return ``text`` with blanks behind it up to ``width`` cells."""
    return text + " " * (width - cell_len(text))


RULE: Final = Segment("", FRAME)
"""First segment of a body line that divides a box; what follows is its caption."""


def box(  # noqa: PLR0917
    title: Line, note: Line, body: Sequence[Line], width: int, height: int, foot: Line | None = None
) -> list[Line]:
    """Return a rounded frame of ``width`` cells and ``height`` lines around ``body``, cropped and padded to fit.

    The title stands left in the top edge and the note, where there is room, right; the foot in the bottom edge. A
    line that begins with ``RULE`` divides the box.
    """
    inner, begin, end = width - 2, run("─ ", FRAME), run(" ", FRAME)

    def edge(corners: str, left: Line, right: Line) -> Line:
        line = ends(left, right, inner, "─", FRAME)
        return [run(corners[0], FRAME), *line, run(corners[1], FRAME)]

    lines = [edge("╭╮", [begin, *title, end], [*note, run(" ─", FRAME)] if note else [])]
    for line in islice(chain(body, repeat([])), height - 2):
        if line and line[0] is RULE:
            lines.append(edge("├┤", [begin, *line[1:], end], []))
        else:
            lines.append([run("│", FRAME), *fit(line, inner), run("│", FRAME)])
    return [*lines, edge("╰╯", foot or [], [])]


def beside(*columns: Sequence[Line]) -> list[Line]:
    """Return columns of equal height side by side."""
    return [[segment for line in row for segment in line] for row in zip(*columns, strict=True)]


def clock(seconds: float, digits: int = 3) -> str:
    """Return a time of the source as ``mm:ss.mmm``, with hours when there are any."""
    if not math.isfinite(seconds):
        return "--:--"
    units = round(abs(seconds) * 10**digits)
    whole, part = divmod(units, 10**digits)
    text = f"{whole // 60 % 60:02d}:{whole % 60:02d}" + (f".{part:0{digits}d}" if digits else "")
    return ("-" if seconds < 0 and units else "") + (f"{whole // 3600}:" if whole >= 3600 else "") + text


def timing(event: Event) -> tuple[float, float | None, float]:
    """Return when the phase was, how long the expression lasted (None while open), the decided delay; in s.

    The delay is the time on the source's own line between the moment announced and the newest moment the
    program had seen when it decided.
    """
    moments = {"onset": event.onset, "apex": event.apex, "offset": event.offset}
    at = moments.get(event.phase) or event.decided_at
    lasted = event.offset.pts - event.onset.pts if event.offset else None
    return at.pts, lasted, event.decided_at.pts - at.pts


def bar(p50: float, p99: float, scale: float, width: int) -> str:
    """Return a bar of ``width`` cells for the whole ``scale``: heavy up to ``p50``, thin on to ``p99``."""
    if scale <= 0.0 or width < 1:
        return " " * max(width, 0)
    heavy = min(round(2 * width * p50 / scale), 2 * width)  # in halves of a cell
    thin = max(min(round(width * p99 / scale), width), (heavy + 1) // 2)
    text = "━" * (heavy // 2) + ("" if heavy % 2 == 0 else "╾" if thin > heavy // 2 + 1 else "╸")
    return (text + "─" * (thin - len(text))).ljust(width)


def plain(event: Event) -> str:
    """Return an event as one line of text, the columns of all lines aligned.

    Example:
        ``00:12.433  face 1  macro  offset  1.83 s  peak 0.82  decided +0.27 s  lips 24 %, chin 11 %``
    """
    at, lasted, late = timing(event)
    start = f"{clock(at)}  face {event.face}  {event.kind}  {event.phase:<6}"
    if event.phase == "cancelled":
        return printable(f"{start}  {event.reason or ''}".rstrip())
    length = f"{lasted:.2f} s" if lasted is not None else ""
    line = f"{start}  {length:>6}  peak {event.intensity:.2f}  decided +{late:.2f} s"
    return f"{line}  {in_words(event.moved)}".rstrip()


def summary(streams: Sequence[Stats], delivery: Delivery, expressions: int) -> str:
    """Return in a few words how a run that found so many expressions went.

    Example:
        ``320 frames, 5 expressions, 0 dropped``
    """
    text = counted_of(streams[0], expressions)
    if len(streams) > 1:
        frames, dropped = sum(one.frames for one in streams), sum(one.dropped for one in streams)
        seen = f"{len(streams)} streams, {counted(frames, 'frame')}"
        text = f"{seen}, {counted(expressions, 'expression')}, {dropped} dropped"
    if delivery.state != "none":
        text += f", {counted(delivery.acknowledged, 'event')} acknowledged by {delivery.address}"
        text += f" below {delivery.topics}" if delivery.topics else ""
        if delivery.queued:
            text += f", {delivery.queued} still queued"
    return text


def counted_of(stream: Stats, expressions: int) -> str:
    """Return how much of a stream was seen, and in it so many expressions."""
    seen = f"{stream.pts:.1f} s of motion" if stream.motion else counted(stream.frames, "frame")
    return f"{seen}, {counted(expressions, 'expression')}, {stream.dropped} dropped"


def counted(count: int, noun: str) -> str:
    """Return a count with its noun."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
