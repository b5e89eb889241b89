"""Make the pictures of the dashboard in the README from a real run of the demonstration.

``dashboard.svg`` is one moment of it, ``dashboard.gif`` nine seconds. Run ``python docs/screenshot.py`` from the root
of the repository; it takes a minute and needs Pillow and Matplotlib, whose font it draws with.
"""

from __future__ import annotations

import asyncio
import io
import re
import tempfile
from pathlib import Path

import matplotlib as mpl
from PIL import Image, ImageDraw, ImageFont
from rich.color import ColorTriplet
from rich.console import Console
from rich.segment import Segment, Segments
from rich.style import Style
from rich.terminal_theme import SVG_EXPORT_THEME as THEME

from streamspot.dashboard.look import Look
from streamspot.dashboard.picture import picture
from streamspot.dashboard.view import Views
from streamspot.engine import Engine
from streamspot.layers import load_settings
from streamspot.mqtt.embedded import embedded_broker
from streamspot.outputs import Outputs
from streamspot.run import StreamRun

FROM, UNTIL, EVERY = 4.0, 13.0, 0.3
"""Seconds of the clip: when pictures begin and end, and between two of them."""

WIDTH, HEIGHT = 110, 32
"""Cells of the terminal."""

CELL = 8, 16
"""Pixels of a cell of the moving picture."""

Lines = list[list[Segment]]


async def watch() -> list[Lines]:
    """Run the synthetic clip in its own time, delivered to an embedded broker; return the pictures."""
    drawn: list[Lines] = []
    with tempfile.TemporaryDirectory() as folder:
        async with embedded_broker(port=1883) as url:
            flags = {"source": "synthetic", "speed": 1.0, "broker": url, "node": "demo"}
            run = StreamRun(load_settings({**flags, "journal": Path(folder)}))
            run.load()
            async with Outputs([run]) as outputs, Engine([run]) as engine:
                views = Views([run.stats], outputs.delivery)
                async for run, update in engine:
                    await outputs.take(run, update)
                    views.take(run.name, update)
                    if update.pts >= FROM + EVERY * len(drawn):
                        shown = views.shown(elapsed=update.pts, ending="q quit · ? keys")
                        drawn.append(picture(shown, Look(), WIDTH, HEIGHT))
                    if update.pts > UNTIL:
                        return drawn
    return drawn


def svg(lines: Lines) -> str:
    """Return a picture as a self-contained SVG of a terminal."""
    console = Console(
        record=True, width=WIDTH, force_terminal=True, color_system="truecolor", file=io.StringIO()
    )
    console.print(Segments([part for line in lines for part in [*line, Segment.line()]]), end="", crop=False)
    drawn = console.export_svg(title="streamspot")
    local = re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL)  # rich fetches fonts from afar
    return local.replace("Fira Code", "Fira Code, DejaVu Sans Mono, Menlo, Consolas")


def pixels(lines: Lines) -> Image.Image:
    """Return a picture as pixels."""
    folder = Path(mpl.get_data_path()) / "fonts/ttf"
    fonts = [ImageFont.truetype(folder / f"DejaVuSansMono{bold}.ttf", 13) for bold in ("", "-Bold")]
    image = Image.new("RGB", (WIDTH * CELL[0], HEIGHT * CELL[1]), THEME.background_color)
    draw = ImageDraw.Draw(image)
    for row, line in enumerate(lines):
        column = 0
        for text, styled, _ in line:
            style = styled or Style()
            ink, paper = _colours(style)
            for character in text:
                x, y = column * CELL[0], row * CELL[1]
                if paper != THEME.background_color:
                    draw.rectangle((x, y, x + CELL[0] - 1, y + CELL[1] - 1), fill=paper)
                if 0x2800 <= ord(character) <= 0x28FF:  # the font has no braille
                    _dots(draw, ord(character) - 0x2800, x, y, ink)
                else:
                    draw.text((x, y), character, ink, fonts[bool(style.bold)])
                column += 1
    return image


def _colours(style: Style) -> tuple[ColorTriplet, ColorTriplet]:
    """Return the colours of text and of what is behind it."""
    ink = style.color.get_truecolor(THEME) if style.color else THEME.foreground_color
    paper = style.bgcolor.get_truecolor(THEME, foreground=False) if style.bgcolor else THEME.background_color
    if style.dim:
        ink = ColorTriplet(*((a + b) // 2 for a, b in zip(ink, paper, strict=True)))
    return (paper, ink) if style.reverse else (ink, paper)


def _dots(draw: ImageDraw.ImageDraw, dots: int, x: int, y: int, ink: ColorTriplet) -> None:
    """Draw the dots of a braille character; bits 0 to 5 go down the columns, 6 and 7 are the lowest row."""
    for bit in range(8):
        if dots >> bit & 1:
            right, down = (bit // 3, bit % 3) if bit < 6 else (bit - 6, 3)
            left, top = x + 1 + 4 * right, y + 1 + 4 * down
            draw.rectangle((left, top, left + 2, top + 2), fill=ink)


def main() -> None:
    """Make both pictures."""
    docs, drawn = Path(__file__).parent, asyncio.run(watch())
    (docs / "dashboard.svg").write_text(svg(drawn[-8]), "utf-8")
    first, *rest = (pixels(lines).quantize(32) for lines in drawn)
    first.save(
        docs / "dashboard.gif",
        save_all=True,
        append_images=rest,
        duration=1000 * EVERY,
        loop=0,
        optimize=True,
    )


if __name__ == "__main__":
    main()
