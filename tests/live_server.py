"""A camera of the network, made of a clip: ``python live_server.py rtsp|http|udp PORT CLIP``; it runs until killed.

``rtsp`` needs gst-rtsp-server with its Python bindings and a raw H.264 clip; ``http`` sends JPEG pictures as network
cameras do; ``udp`` sends a transport stream to the port. All show the clip at 25 pictures a second, again and again.
"""

from __future__ import annotations

import http.server
import sys
import time
from collections.abc import Iterator
from typing import Any


def rtsp(port: int, clip: str) -> None:
    """Serve ``rtsp://127.0.0.1:PORT/live``."""
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtspServer

    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(port))
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        f"( multifilesrc location={clip} loop=true "
        "caps=video/x-h264,stream-format=byte-stream,framerate=25/1 ! h264parse ! "
        "rtph264pay name=pay0 pt=96 config-interval=1 )"
    )
    server.get_mount_points().add_factory("/live", factory)
    server.attach(None)
    GLib.MainLoop().run()


def paced(clip: str) -> Iterator[Any]:
    """Yield the packets of a clip for ever, each when it is due."""
    import av

    started, number = time.monotonic(), 0
    while True:
        with av.open(clip) as container:
            for packet in container.demux(video=0):
                if packet.size:
                    time.sleep(max(0.0, started + number / 25 - time.monotonic()))
                    if time.monotonic() - started - number / 25 > 0.5:  # it was stopped meanwhile
                        started = time.monotonic() - number / 25
                    yield packet
                    number += 1


def web(port: int, clip: str) -> None:
    """Serve ``http://127.0.0.1:PORT/live``."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for packet in paced(clip):
                head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % packet.size
                self.wfile.write(head + bytes(packet) + b"\r\n")

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


def udp(port: int, clip: str) -> None:
    """Send to ``udp://127.0.0.1:PORT``."""
    import av

    with (
        av.open(clip) as source,
        av.open(f"udp://127.0.0.1:{port}?pkt_size=1316", "w", format="mpegts") as out,
    ):
        stream = out.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(paced(clip)):
            packet.pts = packet.dts = round(number / 25 / packet.time_base)
            packet.stream = stream
            out.mux(packet)


if __name__ == "__main__":
    {"rtsp": rtsp, "http": web, "udp": udp}[sys.argv[1]](int(sys.argv[2]), sys.argv[3])
