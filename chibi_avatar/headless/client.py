"""A ComfyUI server as a Python object: upload, queue, wait, fetch.

The truth about a job is ``/api/jobs/{id}``, asked again and again; the websocket only makes that quicker and tells
progress. Job ids are the client's own, so that a request whose answer got lost can be recognised instead of repeated.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
import time
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .address import normal_url, shown_url
from .errors import (
    BadReply,
    InputError,
    JobCancelled,
    JobFailed,
    JobLost,
    JobTimeout,
    NodeProblem,
    OutputRefused,
    PromptRejected,
    ServerUnreachable,
)
from .files import broken, content_name, free_path, safe_name, sha256_of
from .problems import problems_from_reply, title_of
from .types import (
    CANCELLED,
    COMPLETED,
    FINISHED,
    RUNNING,
    Job,
    Output,
    OutputFile,
    Progress,
    Prompt,
    RunResult,
)

if TYPE_CHECKING:
    from .monitor import Monitor, Watch
    from .transport import Transport

DEFAULT_URL = "http://127.0.0.1:8188"
MAX_FILE_BYTES = 1 << 30
_POLL_SECONDS, _CONNECT_SECONDS = 8.0, 1.0
# At the end, or before a first of two endings: chibi_00001_, chibi_00001_.atlas (of .atlas.png).
_COUNTER = re.compile(r"_\d{5,}(?:_?$|_(?=\.[A-Za-z][A-Za-z0-9]{0,11}$))")

NameChooser = Callable[[Output, str], str]
"""Given an output and its cleaned-up server name, the local file name."""


class Client:
    """One ComfyUI server. Use inside one event loop, as ``async with Client(url) as client``.

    ``patience`` is for how many seconds a silent or restarting server is waited for before a call gives up. ``url`` may
    hold a user name and password (basic authentication); the attribute never does.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        client_id: str | None = None,
        headers: dict[str, str] | None = None,
        patience: float = 60.0,
        max_file_bytes: int = MAX_FILE_BYTES,
    ):
        self._address, self.url = url, shown_url(url)
        self.client_id = client_id or uuid.uuid4().hex
        self.patience = patience
        self.max_file_bytes = max_file_bytes
        self._headers = headers
        self._transport: Transport | None = None
        self._monitor: Monitor | None = None
        self._object_info: dict[str, Any] | None = None

    async def __aenter__(self) -> Client:
        self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _open(self) -> Transport:
        if self._transport is None:
            from .monitor import Monitor
            from .transport import Transport

            self._transport = Transport(normal_url(self._address), headers=self._headers)
            self.url = self._transport.url
            self._monitor = Monitor(self._transport, self.client_id)
        return self._transport

    async def close(self) -> None:
        """Close the websocket and every connection. The client can be used again afterwards."""
        if self._monitor is not None:
            await self._monitor.close()
        if self._transport is not None:
            await self._transport.close()
        self._transport = self._monitor = None

    # --- the server --------------------------------------------------------------------------------------------------

    async def system_stats(self, patience: float | None = None) -> dict[str, Any]:
        """ComfyUI's ``/system_stats``: version, devices. Raises :class:`ServerUnreachable` after ``patience``
        seconds.
        """
        status, value = await self._get("/system_stats", patience)
        if status != 200 or not isinstance(value, dict) or "system" not in value:
            raise BadReply(url=self.url, route="/system_stats", reason=f"HTTP {status}, not a ComfyUI")
        return value

    async def object_info(self, refresh: bool = False) -> dict[str, Any]:
        """What every node takes and gives; kept until ``refresh``."""
        if self._object_info is None or refresh:
            status, value = await self._get("/object_info")
            if status != 200 or not isinstance(value, dict):
                raise BadReply(url=self.url, route="/object_info", reason=f"HTTP {status}")
            self._object_info = value
        return self._object_info

    async def free(self) -> None:
        """Ask the server to unload its models."""
        await self._open().json(
            "POST", "/free", body={"unload_models": True, "free_memory": True}, patience=self.patience
        )

    async def _get(self, route: str, patience: float | None = None, seconds: float = 60.0) -> tuple[int, Any]:
        patience = self.patience if patience is None else patience
        return await self._open().json("GET", route, patience=patience, seconds=seconds)

    # --- inputs ------------------------------------------------------------------------------------------------------

    async def upload(self, source: Path | str | bytes, suffix: str = "") -> str:
        """Put a file into the server's input folder and return the name to give to a loader node.

        The name is made from the content, so the same photo is stored once. ``suffix`` is needed for bytes. Raises
        :class:`InputError` for a file that is not there or too large for the server.
        """
        if isinstance(source, bytes):
            data, where = source, "bytes"
        else:
            path = Path(source)
            where, suffix = str(path), suffix or path.suffix
            try:
                data = path.read_bytes()
            except OSError as error:
                raise InputError(
                    reason=f"cannot read {path}: {error.strerror}", reason_zh=f"无法读取 {path}：{error.strerror}"
                ) from error
        name = content_name(data, suffix)
        transport, problem = self._open(), None
        for attempt in range(3):
            try:
                status, reply = await transport.upload("/upload/image", name, data, {"type": "input"})
            except ServerUnreachable as error:
                problem = error
                await self.system_stats()
                continue
            if status == 413:
                megabytes = len(data) / 1e6
                raise InputError(
                    reason=f"{where} ({megabytes:.0f} MB) exceeds the server's --max-upload-size",
                    reason_zh=f"{where}（{megabytes:.0f} MB）超过服务器的上传上限；请用 --max-upload-size 启动服务器",
                )
            if status == 200 and isinstance(reply, dict) and isinstance(reply.get("name"), str):
                subfolder = str(reply.get("subfolder") or "")
                return f"{subfolder}/{reply['name']}" if subfolder else reply["name"]
            problem = BadReply(url=self.url, route="/upload/image", reason=f"HTTP {status} on try {attempt + 1}")
        raise problem or BadReply(url=self.url, route="/upload/image", reason="no answer")

    # --- jobs --------------------------------------------------------------------------------------------------------

    async def queue(
        self,
        prompt: Prompt,
        *,
        job_id: str | None = None,
        workflow: dict[str, Any] | None = None,
        front: bool = False,
        targets: Iterable[str] | None = None,
        allow_partial: bool = False,
    ) -> str:
        """Queue a prompt in API format and return its job id.

        A ``job_id`` that the server already knows is not queued again, however that job ended. ``workflow`` (canvas format) travels along into
        saved images. ``targets`` limits the run to these output nodes. Raises :class:`PromptRejected` with every
        problem; also when only part of the workflow is valid, unless ``allow_partial``.
        """
        if job_id is not None and await self.job(job_id) is not None:
            return job_id
        job_id = job_id or str(uuid.uuid4())
        body: dict[str, Any] = {"prompt": prompt, "client_id": self.client_id, "prompt_id": job_id}
        if workflow is not None:
            body["extra_data"] = {"extra_pnginfo": {"workflow": workflow}}
        if front:
            body["front"] = True
        if targets is not None:
            body["partial_execution_targets"] = list(targets)
        status, reply = await self._post_prompt(body, job_id)
        errors = reply.get("node_errors") if isinstance(reply, dict) else None
        if status == 200 and not (errors and not allow_partial):
            return job_id
        if status == 200:
            await self.cancel(job_id)
        if status not in (200, 400):
            raise BadReply(url=self.url, route="/prompt", reason=f"HTTP {status}")
        raise PromptRejected(await self._problems(reply, prompt), url=self.url, partial=status == 200)

    async def _post_prompt(self, body: dict[str, Any], job_id: str) -> tuple[int, Any]:
        deadline, refusals = time.monotonic() + self.patience, 0
        while True:
            try:
                return await self._open().json("POST", "/prompt", body=body)
            except BadReply:
                refusals += 1
                if refusals >= 3:
                    raise
            except ServerUnreachable:
                if time.monotonic() > deadline:
                    raise
            # The answer got lost; the prompt may not have been. Ask before saying it twice.
            if await self.job(job_id) is not None:
                return 200, {"prompt_id": job_id, "node_errors": {}}

    async def _problems(self, reply: Any, prompt: Prompt) -> list[NodeProblem]:
        try:
            info = await self.object_info(refresh=True)
        except (ServerUnreachable, BadReply):
            info = {}
        return problems_from_reply(reply, prompt, info)

    async def job(self, job_id: str, patience: float | None = None) -> Job | None:
        """How a job stands, or None when the server does not know it."""
        # A request that a restarting server swallowed must not use up all patience: ask again soon.
        status, value = await self._get(f"/api/jobs/{job_id}", patience, seconds=_POLL_SECONDS)
        if status == 404 or value is None:
            return None
        if status != 200 or not isinstance(value, dict) or value.get("id") != job_id:
            raise BadReply(url=self.url, route="/api/jobs", reason=f"HTTP {status}, not that job")
        return _job(value)

    async def wait(
        self,
        job_id: str,
        *,
        prompt: Prompt | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        timeout: float | None = None,
        from_start: bool = False,
    ) -> Job:
        """Wait until a job has ended and return it. At most 2 s late, whatever the websocket does.

        ``timeout`` seconds count from this call or, with ``from_start``, from when the server begins the job. Raises :class:`JobFailed`, :class:`JobCancelled`, :class:`JobLost`, :class:`JobTimeout` or
        :class:`ServerUnreachable`.
        """
        self._open()
        assert self._monitor is not None
        with self._monitor.watch(job_id, prompt or {}, on_progress) as watch:
            return await self._ended(job_id, watch, prompt, timeout, from_start)

    async def _ended(
        self, job_id: str, watch: Watch, prompt: Prompt | None, timeout: float | None, from_start: bool = False
    ) -> Job:
        job = await self._poll(job_id, watch, None if from_start else time.monotonic(), timeout)
        if job.status == COMPLETED:
            return job
        if job.status == CANCELLED:
            raise JobCancelled(job_id=job_id, url=self.url)
        error = job.error or {}
        node_id = str(error.get("node_id") or "?")
        raise JobFailed(
            url=self.url,
            job_id=job_id,
            node_id=node_id,
            title=title_of(prompt or {}, node_id)
            if prompt and node_id in prompt
            else str(error.get("node_type") or node_id),
            class_type=str(error.get("node_type") or ""),
            exception=str(error.get("exception_type") or "error").rsplit(".", 1)[-1],
            message=str(error.get("exception_message") or "").strip()[:2000],
            traceback="".join(str(line) for line in error.get("traceback") or [])[-4000:],
        )

    async def _poll(self, job_id: str, watch: Watch, started: float | None, timeout: float | None) -> Job:
        pause, misses = 0.1, 0
        while True:
            job = await self.job(job_id)
            if job is not None and job.finished:
                return job
            misses = misses + 1 if job is None else 0
            if misses >= 3:
                raise JobLost(job_id=job_id, url=self.url)
            if started is None and job is not None and job.status == RUNNING:
                started = time.monotonic()
            if timeout is not None and started is not None and time.monotonic() - started > timeout:
                raise JobTimeout(job_id=job_id, url=self.url, seconds=timeout)
            await watch.rest(0.2 if misses else pause)
            pause = min(pause * 1.3, 2.0)

    async def cancel(self, job_id: str) -> bool:
        """Cancel a job wherever it stands. False when there was nothing to cancel."""
        _, value = await self._open().json("POST", f"/api/jobs/{job_id}/cancel", patience=self.patience)
        return bool(isinstance(value, dict) and value.get("cancelled"))

    async def stop(self, job_id: str, seconds: float) -> bool:
        """Cancel a job and wait, at most so long, until the server has let go of it. False when it still runs then."""
        import asyncio

        deadline = time.monotonic() + seconds
        await self.cancel(job_id)
        while True:
            job = await self.job(job_id)
            if job is None or job.finished:
                return True
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.3)

    # --- outputs -----------------------------------------------------------------------------------------------------

    async def fetch(
        self,
        job: Job,
        out_dir: Path | str,
        *,
        prompt: Prompt | None = None,
        types: Iterable[str] = ("output",),
        name: NameChooser | None = None,
        tag: str = "",
        replace: bool = False,
    ) -> list[OutputFile]:
        """Fetch a job's files into ``out_dir``: checked, then renamed into place, in the workflow's order.

        ``types`` are ComfyUI's: ``"output"``, ``"temp"`` (previews). ``name`` chooses file names (made safe in any
        case); without it, the server's name without its counter. ``replace`` overwrites what is there, else the new
        file becomes ``name (2)``. Raises :class:`OutputRefused`.
        """
        folder = Path(out_dir)
        folder.mkdir(parents=True, exist_ok=True)
        wanted, fetched, own = set(types), [], set()
        for output in job.outputs:
            if output.type not in wanted:
                continue
            plain = _plain_name(output.filename, tag)
            chosen = safe_name(name(output, plain) if name else plain, fallback=f"output{Path(plain).suffix}")
            path = free_path(folder, chosen, taken=lambda p: p in own if replace else p in own or p.exists())
            own.add(path)
            await self._fetch_one(output, path)
            fetched.append(
                OutputFile(
                    path,
                    output.node_id,
                    title_of(prompt or {}, output.node_id),
                    output.kind,
                    path.stat().st_size,
                    sha256_of(path),
                )
            )
        return fetched

    async def _fetch_one(self, output: Output, path: Path) -> None:
        part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
        params = {"filename": output.filename, "subfolder": output.subfolder, "type": output.type}
        reason = ""
        try:
            for _ in range(8):
                try:
                    status, _ = await self._open().download(
                        "/view", params, part, max_bytes=self.max_file_bytes, seconds=600.0
                    )
                except ServerUnreachable as error:
                    reason = str(error.values.get("reason"))
                    await self.system_stats()
                    continue
                if status == 404:
                    raise OutputGone(url=self.url, name=output.filename, reason="the server no longer has it (404)")
                reason = f"HTTP {status}" if status != 200 else broken(part, Path(output.filename).suffix)
                if not reason:
                    part.replace(path)
                    return
            raise OutputRefused(url=self.url, name=output.filename, reason=reason)
        finally:
            part.unlink(missing_ok=True)

    # --- all of it ---------------------------------------------------------------------------------------------------

    async def run(
        self,
        workflow: Prompt | dict[str, Any] | Path | str,
        *,
        out_dir: Path | str | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        timeout: float | None = None,
        job_id: str | None = None,
        targets: Iterable[str] | None = None,
        types: Iterable[str] = ("output",),
        name: NameChooser | None = None,
        replace: bool = False,
        attempts: int = 3,
        canvas: dict[str, Any] | None = None,
    ) -> RunResult:
        """Run a workflow to the end and fetch its files. ``canvas`` is its canvas form, kept inside saved images.

        A job that the server forgot (a restart) and a file that it no longer has are tried again, ``attempts`` times in
        all.
        """
        prompt, own_canvas = await self.prepare(workflow)
        self._open()
        monitor = self._monitor
        assert monitor is not None
        canvas = canvas if canvas is not None else own_canvas
        started, attempt = time.monotonic(), 0
        while True:
            attempt += 1
            tagged, tag = with_tag(prompt, salt="" if attempt == 1 else f"{attempt}")
            try:
                own_id = job_id if attempt == 1 and job_id is not None else str(uuid.uuid4())
                with monitor.watch(own_id, prompt, on_progress) as watch:
                    if on_progress is not None:
                        await monitor.connected(_CONNECT_SECONDS)
                    queued = await self.queue(tagged, job_id=own_id, workflow=canvas, targets=targets)
                    job = await self._ended(queued, watch, prompt, timeout)
                files = (
                    await self.fetch(job, out_dir, prompt=prompt, types=types, name=name, tag=tag, replace=replace)
                    if out_dir
                    else []
                )
            except (JobLost, OutputGone):
                if attempt >= attempts:
                    raise
                continue
            return RunResult(queued, tuple(files), job.texts, time.monotonic() - started, job.seconds)

    async def prepare(self, workflow: Prompt | dict[str, Any] | Path | str) -> tuple[Prompt, dict[str, Any] | None]:
        """The API-format prompt of a workflow given as a value or a file, and its canvas form if that is what it
        was.
        """
        from .convert import convert, is_canvas
        from .workflow import checked_format, find, load

        name = "workflow"
        if isinstance(workflow, (str, Path)):
            name = str(find(workflow))
            workflow = load(name)
        workflow = checked_format(workflow, name)
        if not is_canvas(workflow):
            return copy.deepcopy(workflow), None
        try:
            return convert(workflow, await self.object_info(), name), copy.deepcopy(workflow)
        except PromptRejected as error:
            raise PromptRejected(error.problems, url=self.url) from None


class OutputGone(OutputRefused):
    """The server reported a file and no longer has it: somebody emptied its output folder."""


def with_tag(prompt: Prompt, salt: str = "") -> tuple[Prompt, str]:
    """A copy whose ``filename_prefix`` inputs end in a tag made from the prompt's own content.

    ComfyUI answers a repeated prompt from its cache with the old file name. Under a name that only this content has,
    that file is always the right one, even where somebody emptied the folder and the counters began again.
    """
    tag = hashlib.sha256((json.dumps(prompt, sort_keys=True, ensure_ascii=False) + salt).encode()).hexdigest()[:10]
    tagged = copy.deepcopy(prompt)
    for node in tagged.values():
        prefix = node.get("inputs", {}).get("filename_prefix")
        if isinstance(prefix, str):
            node["inputs"]["filename_prefix"] = f"{prefix}_{tag}"
    return tagged, tag


def _plain_name(filename: str, tag: str) -> str:
    """The server's file name without its counter and without our tag."""
    name = filename.replace("\\", "/").rsplit("/", 1)[-1]
    stem, dot, suffix = name.rpartition(".")
    stem = _COUNTER.sub("", stem) or stem
    if tag:
        stem = stem.replace(f"_{tag}", "")
    return f"{stem}{dot}{suffix}"


def _job(value: dict[str, Any]) -> Job:
    status = str(value.get("status"))
    start, end = value.get("execution_start_time"), value.get("execution_end_time")
    outputs: list[Output] = []
    texts: dict[str, list[str]] = {}
    reported = value.get("outputs") if status in FINISHED else None
    for node_id, kinds in (reported if isinstance(reported, dict) else {}).items():
        for kind, items in (kinds if isinstance(kinds, dict) else {}).items():
            for item in items if isinstance(items, list) else []:
                if isinstance(item, dict) and isinstance(item.get("filename"), str) and item["filename"]:
                    outputs.append(
                        Output(
                            str(node_id),
                            str(kind),
                            item["filename"],
                            str(item.get("subfolder") or ""),
                            str(item.get("type") or "output"),
                        )
                    )
                elif isinstance(item, str) and kind == "text":
                    texts.setdefault(str(node_id), []).append(item)
    outputs.sort(key=lambda output: _natural(output.node_id))
    error = value.get("execution_error")
    seconds = (end - start) / 1000 if isinstance(start, (int, float)) and isinstance(end, (int, float)) else None
    return Job(str(value["id"]), status, tuple(outputs), texts, error if isinstance(error, dict) else None, seconds)


def _natural(node_id: str) -> tuple[tuple[int, str], ...]:
    return tuple((int(part), "") if part.isdigit() else (1 << 30, part) for part in node_id.split(":"))
