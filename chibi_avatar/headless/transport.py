"""HTTP and websocket to one ComfyUI server, with limits on everything that comes back. The only module that knows
aiohttp.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp

from .address import shown_url
from .errors import BadReply, OutputRefused, ServerUnreachable
from .files import flush, looks_like_html
from .waiting import within

MAX_JSON_BYTES = 128 << 20
RETRY_STATUS = frozenset({429, 500, 502, 503, 504})
_CONNECTION = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, asyncio.TimeoutError, ConnectionError)


class Transport:
    """One server's connection pool. Make and use it inside one event loop. ``url`` is the address to show."""

    def __init__(
        self,
        url: str,
        *,
        headers: dict[str, str] | None = None,
        connect_seconds: float = 10.0,
        read_seconds: float = 60.0,
    ):
        self._address, self.url = url, shown_url(url)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_seconds, sock_read=read_seconds)
        self._session = aiohttp.ClientSession(headers=headers, timeout=timeout, trust_env=False)

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()

    async def json(
        self,
        method: str,
        route: str,
        *,
        body: Any = None,
        params: dict[str, str] | None = None,
        patience: float = 0.0,
        seconds: float = 60.0,
    ) -> tuple[int, Any]:
        """Send a request and return the status and the parsed JSON (None for an empty body).

        Lost connections, 429 and 5xx are tried again, waiting longer each time, until ``patience`` seconds are over:
        pass it only for requests that may be repeated. Raises :class:`ServerUnreachable` or :class:`BadReply`.
        """
        deadline = asyncio.get_running_loop().time() + patience
        pause = 0.03
        while True:
            try:
                return await within(self._json_once(method, route, body, params), seconds)
            except _Again as again:
                problem: Exception = again.error
            except _CONNECTION as error:
                problem = ServerUnreachable(url=self.url, reason=_reason(error))
            if asyncio.get_running_loop().time() + pause > deadline:
                raise problem
            await asyncio.sleep(pause)
            pause = min(pause * 1.7, 2.0)

    async def _json_once(self, method: str, route: str, body: Any, params: dict[str, str] | None) -> tuple[int, Any]:
        async with self._session.request(
            method, self._address + route, json=body, params=params, allow_redirects=False
        ) as reply:
            data = await self._read(reply, route)
            if reply.status in RETRY_STATUS:
                raise _Again(BadReply(url=self.url, route=route, reason=f"HTTP {reply.status} {_glimpse(data)}"))
            if 300 <= reply.status < 400:
                raise BadReply(
                    url=self.url, route=route, reason=f"a redirect to {reply.headers.get('Location', '?')[:120]}"
                )
            if not data.strip():
                return reply.status, None
            try:
                return reply.status, json.loads(data)
            except (ValueError, RecursionError) as error:
                if reply.status == 404:
                    return 404, None
                raise _Again(
                    BadReply(url=self.url, route=route, reason=f"HTTP {reply.status}, no JSON: {_glimpse(data)}")
                ) from error

    async def _read(self, reply: aiohttp.ClientResponse, route: str) -> bytes:
        if (reply.content_length or 0) > MAX_JSON_BYTES:
            raise BadReply(url=self.url, route=route, reason=f"a reply of {reply.content_length} bytes")
        pieces, total = [], 0
        async for piece in reply.content.iter_chunked(1 << 16):
            total += len(piece)
            if total > MAX_JSON_BYTES:
                raise BadReply(url=self.url, route=route, reason=f"a reply of more than {MAX_JSON_BYTES} bytes")
            pieces.append(piece)
        return b"".join(pieces)

    async def upload(
        self, route: str, name: str, data: bytes, fields: dict[str, str], seconds: float = 300.0
    ) -> tuple[int, Any]:
        """Post one file as a multipart form. ``name`` must be ASCII (aiohttp would percent-encode anything else)."""

        async def post() -> tuple[int, Any]:
            form = aiohttp.FormData()
            for key, value in fields.items():
                form.add_field(key, value)
            form.add_field("image", data, filename=name, content_type="application/octet-stream")
            async with self._session.post(self._address + route, data=form, allow_redirects=False) as reply:
                raw = await self._read(reply, route)
                try:
                    return reply.status, json.loads(raw) if raw.strip() else None
                except ValueError:
                    return reply.status, None

        try:
            return await within(post(), seconds)
        except _CONNECTION as error:
            raise ServerUnreachable(url=self.url, reason=_reason(error)) from error

    async def download(
        self, route: str, params: dict[str, str], target: Path, *, max_bytes: int, seconds: float
    ) -> tuple[int, str]:
        """Stream a reply into ``target``. Returns the status and, for 200, an empty string; the file is only written
        for 200.

        Raises :class:`OutputRefused` when it is too large, a web page, or shorter than announced.
        """
        name = params.get("filename", "")

        async def get() -> tuple[int, str]:
            async with self._session.get(self._address + route, params=params, allow_redirects=False) as reply:
                if reply.status != 200:
                    return reply.status, ""
                announced = reply.content_length
                if announced is not None and announced > max_bytes:
                    raise OutputRefused(
                        url=self.url, name=name, reason=f"it has {announced} bytes, the limit is {max_bytes}"
                    )
                total = 0
                with target.open("wb") as handle:
                    async for piece in reply.content.iter_chunked(1 << 18):
                        if (
                            total == 0
                            and reply.content_type == "text/html"
                            and looks_like_html(piece[:64])
                            and not name.endswith((".html", ".htm"))
                        ):
                            raise OutputRefused(url=self.url, name=name, reason="a web page came instead")
                        total += len(piece)
                        if total > max_bytes:
                            raise OutputRefused(url=self.url, name=name, reason=f"it has more than {max_bytes} bytes")
                        handle.write(piece)
                    flush(handle)
                if announced is not None and total != announced and "Content-Encoding" not in reply.headers:
                    raise aiohttp.ClientPayloadError(f"{total} of {announced} bytes")
                return 200, ""

        try:
            return await within(get(), seconds)
        except _CONNECTION as error:
            raise ServerUnreachable(url=self.url, reason=_reason(error)) from error

    async def events(self, client_id: str, opened: asyncio.Event) -> AsyncIterator[dict[str, Any] | bytes]:
        """Messages of one websocket until it ends, however it ends; ``opened`` is set while it is open. Broken messages
        are left out. Never raises for a bad server.
        """
        with suppress(aiohttp.ClientError, OSError, asyncio.TimeoutError, ValueError):
            async with self._session.ws_connect(
                f"{self._address}/ws",
                params={"clientId": client_id},
                heartbeat=20.0,
                max_msg_size=32 << 20,
                autoclose=True,
            ) as socket:
                opened.set()
                async for message in socket:
                    if message.type is aiohttp.WSMsgType.BINARY:
                        yield message.data
                    elif message.type is aiohttp.WSMsgType.TEXT:
                        with suppress(ValueError, RecursionError):
                            value = json.loads(message.data)
                            if isinstance(value, dict):
                                yield value


class _Again(Exception):
    """A reply that may be different next time."""

    def __init__(self, error: BadReply):
        self.error = error


def _reason(error: BaseException) -> str:
    if isinstance(error, (TimeoutError, asyncio.TimeoutError)):
        return "no answer in time"
    cause = getattr(error, "os_error", None) or error
    return (getattr(cause, "strerror", None) or str(cause) or type(cause).__name__)[:200]


def _glimpse(data: bytes) -> str:
    return repr(data[:80].decode("utf-8", "replace"))
