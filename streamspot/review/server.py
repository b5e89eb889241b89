"""The web server of a review: on loopback alone, behind a token, for the page and nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from streamspot.errors import SettingsError, StreamspotError
from streamspot.review.labels import Change
from streamspot.review.reviewing import Reviewed, Reviewing

HOST = "127.0.0.1"

_PAGE = Path(__file__).with_name("page")
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_MOST_BINS = 4000
_MOST_SECONDS = 60.0
"""Of poses in one answer."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Asked(BaseModel):
    """A change and the version of the labels on which it was made."""

    model_config = ConfigDict(extra="forbid")

    version: int
    change: Change


class ReviewServer:
    """Serves a review at ``address`` until the block ends.

    Attributes:
        address: With the token; whoever has it on this computer may look and label.

    Args:
        review: What is served.
        port: 0 takes a free one.

    Raises:
        SettingsError: The port cannot be used (on entering).
    """

    def __init__(self, review: Reviewing, *, port: int = 0) -> None:
        self.address = ""
        self._review, self._port = review, port
        self._token = secrets.token_urlsafe(24)
        self._hosts: set[str] = set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Serve while the block lasts; give the address."""
        app = web.Application(middlewares=[self._guarded], client_max_size=1 << 16)
        app.on_response_prepare.append(_add_headers)
        app.add_routes(self._routes())
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        try:
            site = web.TCPSite(runner, HOST, self._port)
            try:
                await site.start()
            except OSError as error:
                raise SettingsError(
                    f"port {self._port} cannot be opened ({error.strerror}); name another with --port"
                ) from None
            port = runner.addresses[0][1]
            self._hosts = {f"{HOST}:{port}", f"localhost:{port}"}
            self.address = f"http://{HOST}:{port}/{self._token}/"
            working = asyncio.create_task(self._work())
            try:
                yield self.address
            finally:
                working.cancel()
        finally:
            await runner.cleanup()

    async def _work(self) -> None:
        """Keep analyses going, and try again to write what could not be written."""
        while True:
            await asyncio.sleep(1)
            self._review.work()
            await self._review.save_all()

    def _routes(self) -> list[web.RouteDef]:
        def answered(answer: Callable[[web.Request, Reviewed], Awaitable[web.StreamResponse]]) -> Handler:
            async def handle(request: web.Request) -> web.StreamResponse:
                number = int(request.match_info["item"])
                if number >= len(self._review.items):
                    raise web.HTTPNotFound
                try:
                    return await answer(request, self._review.opened(number))
                except StreamspotError as error:
                    return web.json_response({"error": str(error)}, status=422)

            return handle

        item = "/{token}/items/{item:[0-9]{1,6}}"
        return [
            web.get("/{token}/", self._page),
            web.get("/{token}/{name:[a-z]+\\.[a-z]+}", self._page),
            web.get("/{token}/items", self._items),
            web.post(f"{item}/look", answered(self._look)),
            web.get(f"{item}/status", answered(self._status)),
            web.post(f"{item}/labels", answered(self._change)),
            web.get(f"{item}/frames", answered(_frames)),
            web.get(f"{item}/times", answered(_times)),
            web.get(f"{item}/curve", answered(_curve)),
            web.get(f"{item}/poses", answered(_poses)),
            web.get(f"{item}/video", answered(_video)),
            web.get(f"{item}/picture", answered(_picture)),
        ]

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let only those in who have the token and speak to this host, from this page."""
        host, origin = request.headers.get("Host", "").lower(), request.headers.get("Origin")
        token = request.path.lstrip("/").partition("/")[0]
        if host not in self._hosts or not secrets.compare_digest(token.encode(), self._token.encode()):
            return web.Response(status=404)
        if origin is not None and origin.lower() != f"http://{host}":
            return web.Response(status=403)
        if request.method == "POST" and request.content_type != "application/json":
            return web.Response(status=415)
        return await handler(request)

    async def _page(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info.get("name", "index.html")
        path = next((path for path in _PAGE.iterdir() if path.name == name), None)
        if path is None or path.suffix not in _TYPES:
            raise web.HTTPNotFound
        return web.Response(body=path.read_bytes(), content_type=_TYPES[path.suffix], charset="utf-8")

    async def _items(self, _: web.Request) -> web.StreamResponse:
        files = self._review.files
        return web.json_response(
            {
                "items": await asyncio.to_thread(self._review.overview),
                "files": [str(files.points.path), str(files.annotations.path)],
                "coder": files.coder,
                "hidden": self._review.hidden,
            }
        )

    async def _look(self, request: web.Request, one: Reviewed) -> web.StreamResponse:
        self._review.look_at(int(request.match_info["item"]))
        return await self._status(request, one)

    async def _status(self, _: web.Request, one: Reviewed) -> web.StreamResponse:
        return web.json_response(_told(one))

    async def _change(self, request: web.Request, one: Reviewed) -> web.StreamResponse:
        try:
            asked = _Asked.model_validate_json(await request.read())
        except ValidationError as error:
            first = error.errors()[0]
            return web.json_response({"error": f"the label cannot be taken: {first['msg']}"}, status=400)
        if asked.version != one.version:
            answer = {"error": "the labels were changed in another window; look again", **_told(one)}
            return web.json_response(answer, status=409)
        await one.change(asked.change)
        return web.json_response(_told(one))


def _told(one: Reviewed) -> dict[str, Any]:
    """Return all that the page shows of an item but for the curve and the pictures."""
    facts, known, history = one.facts, one.progress, one.history
    return {
        "name": one.item.path.name,
        "motion": one.item.motion,
        "plays": facts.plays,
        "seconds": facts.seconds,
        "expected": facts.frames,
        "fps": facts.fps,
        "known": known.seconds,
        "frames": known.frames,
        "done": known.done,
        "trouble": known.trouble,
        "messages": known.messages,
        "faces": [] if one.analysis is None else one.analysis.faces,
        "events": [] if one.analysis is None else one.analysis.events(),
        "labels": [label.model_dump() for label in history.now.given],
        "seen": history.now.seen,
        "undoable": history.undoable,
        "redoable": history.redoable,
        "version": one.version,
        "unsaved": one.unsaved,
    }


def _number(request: web.Request, name: str, least: float, most: float) -> float:
    try:
        value = float(request.query[name])
    except (KeyError, ValueError):
        raise web.HTTPBadRequest from None
    if not least <= value <= most:
        raise web.HTTPBadRequest
    return value


async def _frames(request: web.Request, one: Reviewed) -> web.StreamResponse:
    first = int(_number(request, "first", 0, 1e10))
    body = b"" if one.analysis is None else one.analysis.frames(first)
    return web.Response(body=body, content_type="application/octet-stream")


async def _times(_: web.Request, one: Reviewed) -> web.StreamResponse:
    body = b"" if one.item.motion else await asyncio.to_thread(one.pictures.times)
    return web.Response(body=body, content_type="application/octet-stream")


async def _curve(request: web.Request, one: Reviewed) -> web.StreamResponse:
    start, end = _number(request, "start", 0, 1e9), _number(request, "end", 0, 1e9)
    bins = int(_number(request, "bins", 1, _MOST_BINS))
    if one.analysis is None or end <= start:
        raise web.HTTPBadRequest
    return web.json_response(await asyncio.to_thread(one.analysis.curve, start, end, bins))


async def _poses(request: web.Request, one: Reviewed) -> web.StreamResponse:
    start = _number(request, "start", 0, 1e9)
    end = _number(request, "end", start, start + _MOST_SECONDS)
    if one.analysis is None:
        raise web.HTTPBadRequest
    return web.json_response(await asyncio.to_thread(one.analysis.poses, start, end))


async def _video(_: web.Request, one: Reviewed) -> web.StreamResponse:
    if one.facts.plays is None:
        raise web.HTTPNotFound
    return web.FileResponse(one.item.path, headers={"Content-Type": one.facts.plays})


async def _picture(request: web.Request, one: Reviewed) -> web.StreamResponse:
    number = int(_number(request, "frame", 0, 1e10))
    pts = _number(request, "time", 0, 1e9) if "time" in request.query else None
    if one.item.motion:
        raise web.HTTPNotFound
    jpeg = await asyncio.to_thread(one.pictures.jpeg, number, pts)
    return web.Response(body=jpeg, content_type="image/jpeg")


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
    response.headers.pop("Server", None)
