"""Make ``docs/dashboard.svg``, the picture of the dashboard in the README, from a real run of the demonstration.

Run ``python docs/screenshot.py`` from the root of the repository; it takes a quarter of a minute.
"""  # noqa: INP001

from __future__ import annotations

import asyncio
import io
import re
import tempfile
from pathlib import Path

from rich.console import Console
from rich.segment import Segment, Segments

from streamspot.dashboard.look import Look
from streamspot.dashboard.picture import picture
from streamspot.dashboard.view import Views
from streamspot.engine import Engine
from streamspot.mqtt.embedded import embedded_broker
from streamspot.outputs import Outputs
from streamspot.run import StreamRun
from streamspot.settings import load_settings

UNTIL = 12.0
"""Seconds of the clip after which the picture is taken."""


async def watch(width: int, height: int) -> list[list[Segment]]:
    """Run the synthetic clip in its own time, delivered to an embedded broker; return the picture in its middle."""
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
                    if update.pts > UNTIL:
                        break
                await asyncio.sleep(0.1)  # the last event is acknowledged
                return picture(
                    views.shown(elapsed=update.pts, ending="q quit · ? keys"), Look(), width, height
                )


def svg(lines: list[list[Segment]], width: int) -> str:
    """Return lines of the dashboard as a self-contained SVG picture of a terminal."""
    console = Console(
        record=True, width=width, force_terminal=True, color_system="truecolor", file=io.StringIO()
    )
    console.print(
        Segments([segment for line in lines for segment in [*line, Segment.line()]]), end="", crop=False
    )
    drawn = console.export_svg(title="streamspot")
    local = re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL)  # rich fetches fonts from afar
    return local.replace("Fira Code", "Fira Code, DejaVu Sans Mono, Menlo, Consolas")


if __name__ == "__main__":
    (Path(__file__).parent / "dashboard.svg").write_text(svg(asyncio.run(watch(120, 36)), 120), "utf-8")
