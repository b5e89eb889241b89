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
from streamspot.telemetry import Telemetry

from streamspot.dashboard import picture
from streamspot.engine import Run
from streamspot.mqtt.embedded import embedded_broker
from streamspot.mqtt.publisher import MqttSink
from streamspot.settings import load_settings

UNTIL = 12.6
"""Seconds of the clip after which the picture is taken."""


async def watch() -> None:
    """Run the synthetic clip in its own time, delivered to an embedded broker, and stop in the middle."""
    telemetry = Telemetry()
    settings = load_settings({"source": "synthetic", "speed": 1.0})
    with tempfile.TemporaryDirectory() as folder:
        async with embedded_broker(port=1883) as url:
            sink = MqttSink(url, node="demo", stream="synthetic", journal=Path(folder), telemetry=telemetry)
            async with sink, Run(settings, telemetry) as run:
                async for batch in run:
                    for event in batch.events:
                        await sink.event(event)
                    if telemetry.pts > UNTIL:
                        await asyncio.sleep(0.1)
                        (Path(__file__).parent / "dashboard.svg").write_text(svg(telemetry, 120, 36), "utf-8")
                        break


def svg(telemetry: Telemetry, width: int, height: int) -> str:
    """Return the dashboard as a self-contained SVG picture of a terminal."""
    console = Console(
        record=True, width=width, force_terminal=True, color_system="truecolor", file=io.StringIO()
    )
    lines = picture(telemetry, width, height, elapsed=telemetry.pts)
    console.print(
        Segments([segment for line in lines for segment in [*line, Segment.line()]]), end="", crop=False
    )
    drawn = console.export_svg(title="streamspot")
    local = re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL)  # rich fetches fonts from afar
    return local.replace("Fira Code", "Fira Code, DejaVu Sans Mono, Menlo, Consolas")


if __name__ == "__main__":
    asyncio.run(watch())
