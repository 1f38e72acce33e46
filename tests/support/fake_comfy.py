"""A ComfyUI that lies, stumbles, forgets and dies on request: the API of the real one, none of its work."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
import uuid
from collections import Counter, deque
from typing import Any

from aiohttp import WSMsgType, web

OBJECT_INFO = {
    "Echo": {
        "name": "Echo",
        "display_name": "Echo",
        "input": {
            "required": {
                "text": ["STRING", {"default": ""}],
                "seed": ["INT", {"default": 0, "min": 0, "max": 1 << 32, "control_after_generate": True}],
                "strength": ["FLOAT", {"default": 1.0, "min": 0.0, "max": 2.0}],
                "model": [["a.safetensors", "b.safetensors", "c.safetensors"], {}],
            },
            "optional": {"photo": [["x.png"], {"image_upload": True}]},
        },
        "output": ["TEXT"],
        "output_node": False,
    },
    "Save": {
        "name": "Save",
        "display_name": "Save",
        "input": {"required": {"value": ["TEXT", {}], "filename_prefix": ["STRING", {"default": "chibi"}]}},
        "output": [],
        "output_node": True,
    },
}


def echo_prompt(text: str = "hello", model: str = "a.safetensors") -> dict[str, Any]:
    """The smallest workflow: Echo into Save."""
    inputs = {"text": text, "seed": 1, "strength": 1.0, "model": model}
    return {
        "1": {"class_type": "Echo", "inputs": inputs, "_meta": {"title": "Say"}},
        "2": {
            "class_type": "Save",
            "inputs": {"value": ["1", 0], "filename_prefix": "avatar"},
            "_meta": {"title": "Save"},
        },
    }


class FakeComfy:
    """One fake server in a thread. ``faults`` gives the probability of each misdeed, ``ws`` how the websocket
    behaves.
    """

    def __init__(
        self, *, seconds: float = 0.0, load_seconds: float = 0.0, faults: dict[str, float] | None = None, ws: str = "ok"
    ):
        self.seconds, self.load_seconds, self.ws = seconds, load_seconds, ws
        self.faults = dict(faults or {})
        self.random = random.Random(7)
        self.jobs: dict[str, dict[str, Any]] = {}
        self.files: dict[str, bytes] = {}
        self.inputs: dict[str, bytes] = {}
        self.runs: Counter[str] = Counter()
        self.switches = 0
        self.posted = 0
        self.finished_at: dict[str, float] = {}
        self.die_after = 0
        self.view_hook: Any = None
        self.stats_hook: Any = None
        self.reject: Any = None
        self._pending: deque[str] = deque()
        self._sockets: dict[str, web.WebSocketResponse] = {}
        self._model = ""
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._main, daemon=True)
        self.port = 0
        self._stop: asyncio.Event | None = None

    # --- life --------------------------------------------------------------------------------------------------------

    def __enter__(self) -> FakeComfy:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        if self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        self._wake = asyncio.Event()
        await self._listen()
        worker = asyncio.create_task(self._work())
        self._ready.set()
        await self._stop.wait()
        worker.cancel()
        await self._runner.cleanup()

    async def _listen(self) -> None:
        app = web.Application(client_max_size=1 << 28, middlewares=[self._misbehave])
        app.router.add_get("/system_stats", self._stats)
        app.router.add_get("/object_info", self._info)
        app.router.add_get("/api/jobs/{id}", self._job)
        app.router.add_post("/api/jobs/{id}/cancel", self._cancel)
        app.router.add_post("/prompt", self._prompt)
        app.router.add_post("/upload/image", self._upload)
        app.router.add_get("/view", self._view)
        app.router.add_get("/ws", self._socket)
        self._runner = web.AppRunner(app, shutdown_timeout=0.05)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]

    def crash(self, down: float = 0.0) -> None:
        """Forget every job and cut every connection; listen again after ``down`` seconds."""
        asyncio.run_coroutine_threadsafe(self._crash(down), self._loop).result(20)

    async def _crash(self, down: float) -> None:
        await self._runner.cleanup()
        self.jobs.clear()
        self._pending.clear()
        self._sockets.clear()
        await asyncio.sleep(down)
        await self._listen()

    # --- misdeeds ----------------------------------------------------------------------------------------------------

    def _happens(self, name: str) -> bool:
        return self.random.random() < self.faults.get(name, 0.0)

    @web.middleware
    async def _misbehave(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.path == "/ws":
            return await handler(request)
        if self._happens("refuse"):
            request.transport.close()  # type: ignore[union-attr]
            return web.Response()
        if self._happens("http500"):
            return web.Response(status=500, text="500 Internal Server Error: Server got itself in trouble")
        reply = await handler(request)
        if self._happens("lost_answer"):
            request.transport.close()  # type: ignore[union-attr]
            return web.Response()
        if self._happens("half_json") and isinstance(reply, web.Response) and isinstance(reply.body, bytes):
            return web.Response(body=reply.body[: len(reply.body) // 2], content_type="application/json")
        return reply

    # --- work --------------------------------------------------------------------------------------------------------

    async def _next(self) -> str:
        """The id of the job that is up, as soon as there is one."""
        while not self._pending:
            self._wake.clear()
            await self._wake.wait()
        return self._pending.popleft()

    async def _work(self) -> None:
        while True:
            job_id = await self._next()
            job = self.jobs.get(job_id)
            if job is None:
                continue
            job["status"] = "in_progress"
            await self._send(job_id, "execution_start", {})
            echo = next(n["inputs"] for n in job["prompt"].values() if n["class_type"] == "Echo")
            if echo["model"] != self._model:
                self._model = echo["model"]
                self.switches += 1
                await asyncio.sleep(self.load_seconds)
            if self.seconds:
                await asyncio.sleep(self.seconds)
            if self.jobs.get(job_id) is not job:
                continue
            self._complete(job_id, job, echo)
            self.finished_at[job_id] = time.monotonic()
            if self.die_after and sum(self.runs.values()) >= self.die_after:
                self.jobs.clear()
                self._pending.clear()
                await self._runner.cleanup()
                return
            await self._send(job_id, "execution_success", {})
            await self._send(job_id, "executing", {"node": None})

    def _complete(self, job_id: str, job: dict[str, Any], echo: dict[str, Any]) -> None:
        if "explode" in str(echo["text"]):
            job["status"] = "failed"
            job["execution_error"] = {
                "node_id": "1", "node_type": "Echo", "exception_type": "builtins.ValueError",
                "exception_message": "it exploded", "traceback": ["here\n"],
            }  # fmt: skip
            return
        self.runs[str(echo["text"])] += 1
        prefix = next(n["inputs"]["filename_prefix"] for n in job["prompt"].values() if n["class_type"] == "Save")
        number = 1 + sum(1 for name in self.files if name.startswith(prefix))
        name = f"{prefix}_{number:05d}_.json"
        self.files[name] = json.dumps({"text": echo["text"], "seed": echo["seed"], "photo": echo.get("photo")}).encode()
        job["status"] = "completed"
        job["outputs"] = {"2": {"files": [{"filename": name, "subfolder": "", "type": "output"}]}}

    async def _send(self, job_id: str, kind: str, data: dict[str, Any]) -> None:
        if self.ws in ("silent", "steal"):
            return
        job = self.jobs.get(job_id) or {}
        socket = self._sockets.get(str(job.get("client_id")))
        if socket is None or socket.closed:
            return
        payload = json.dumps({"type": kind, "data": {"prompt_id": job_id, **data}})
        try:
            if self.ws == "garbage":
                await socket.send_str("{" + payload[:-9])
                await socket.send_json({"type": "progress_state", "data": {"prompt_id": job_id, "nodes": [1, 2]}})
                await socket.send_bytes(b"\x00")
            elif self.ws == "wrong_id":
                await socket.send_str(payload.replace(job_id, str(uuid.uuid4())))
            elif self.ws == "early":
                await socket.send_str(json.dumps({"type": "execution_success", "data": {"prompt_id": job_id}}))
            elif self.ws == "flood":
                for _ in range(200):
                    await socket.send_bytes(b"\x00\x00\x00\x01" + bytes(2000))
                await socket.send_str(payload)
            else:
                await socket.send_str(payload)
        except (ConnectionError, RuntimeError):
            return

    # --- routes ------------------------------------------------------------------------------------------------------

    async def _stats(self, request: web.Request) -> web.StreamResponse:
        if self.stats_hook is not None:
            return await self.stats_hook(request)
        return web.json_response({"system": {"comfyui_version": "fake"}, "devices": []})

    async def _info(self, _: web.Request) -> web.Response:
        return web.json_response(OBJECT_INFO)

    async def _prompt(self, request: web.Request) -> web.Response:
        body = await request.json()
        if self.reject is not None and (answer := self.reject(body)) is not None:
            return answer
        self.posted += 1
        job_id = body["prompt_id"]
        self.jobs[job_id] = {
            "id": job_id,
            "status": "pending",
            "prompt": body["prompt"],
            "client_id": body.get("client_id"),
        }
        self._pending.append(job_id)
        self._wake.set()
        return web.json_response({"prompt_id": job_id, "number": 1, "node_errors": {}})

    async def _job(self, request: web.Request) -> web.Response:
        job = self.jobs.get(request.match_info["id"])
        if job is None:
            return web.json_response({"error": "Job not found"}, status=404)
        return web.json_response({key: value for key, value in job.items() if key not in ("prompt", "client_id")})

    async def _cancel(self, request: web.Request) -> web.Response:
        job = self.jobs.get(request.match_info["id"])
        if job is not None and job["status"] in ("pending", "in_progress"):
            job["status"] = "cancelled"
        return web.json_response({"cancelled": job is not None})

    async def _upload(self, request: web.Request) -> web.Response:
        part = (await request.post())["image"]
        self.inputs[part.filename] = part.file.read()  # type: ignore[union-attr]
        return web.json_response({"name": part.filename, "subfolder": "", "type": "input"})  # type: ignore[union-attr]

    async def _view(self, request: web.Request) -> web.StreamResponse:
        if self.view_hook is not None:
            return await self.view_hook(request)
        data = self.files.get(request.query["filename"])
        if data is None:
            return web.Response(status=404)
        return web.Response(body=data, content_type="application/json")

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if self.ws == "refused":
            return web.Response(status=403)
        if self.ws == "html":
            return web.Response(text="<html>login</html>", content_type="text/html")
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._sockets[request.query["clientId"]] = socket
        if self.ws == "closed":
            await socket.close()
            return socket
        if self.ws == "slow":
            await asyncio.sleep(0.3)
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
        return socket
