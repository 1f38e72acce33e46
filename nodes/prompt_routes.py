"""The prompt panel's routes under ``/chibi_avatar/prompt``: read-only preview and words, and a person's own presets."""

from __future__ import annotations

import asyncio
import logging
from functools import lru_cache
from pathlib import Path

import folder_paths
from comfy_api.latest import io

from ..chibi_avatar.character import Character, CharacterError
from ..chibi_avatar.prompt import build, read_prompt
from ..chibi_avatar.prompt.dialects import FamilyError
from ..chibi_avatar.prompt.panel_data import panel_data
from ..chibi_avatar.prompt.presets import PresetError, builtin, builtin_list, delete_user, save_user, user_list
from ..chibi_avatar.textfile import read_text

log = logging.getLogger(__name__)
_MAX_BODY = 256 * 1024
_PRESETS = "chibi_avatar/presets"
NODES: list[type[io.ComfyNode]] = []


@lru_cache(maxsize=1)
def clip_counter():
    """ComfyUI's own CLIP tokenizer as a counter of tokens (start, end and padding not counted)."""
    from comfy.sd1_clip import SDTokenizer

    tokenizer = SDTokenizer()

    @lru_cache(maxsize=4096)
    def count(text: str) -> int:
        batches = tokenizer.tokenize_with_weights(text, return_word_ids=True)
        return sum(1 for batch in batches for _, _, word in batch if word != 0)

    return count


def user_wildcards() -> dict[str, list[str]]:
    """Wildcard lists of the person: ``user/default/chibi_avatar/wildcards/**/*.txt``, one choice a line, ``#`` starts a comment."""
    root = Path(folder_paths.get_user_directory()) / "default" / "chibi_avatar" / "wildcards"
    lists: dict[str, list[str]] = {}
    for path in sorted(root.rglob("*.txt"))[:500] if root.is_dir() else ():
        if path.stat().st_size <= _MAX_BODY:
            try:
                lines = read_text(path).splitlines()
            except UnicodeDecodeError:
                log.warning("%s is neither UTF-8 nor GBK: this wildcard file is left out; save it as UTF-8", path)
                continue
            name = path.relative_to(root).with_suffix("").as_posix()
            lists[name] = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")][:5000]
    return lists


def preview(data: dict) -> dict:
    """What the node would make of this form: nothing is written."""
    preset = data.get("preset") or "none"
    base = None if preset == "none" else builtin(str(preset))
    if data.get("character"):
        given = Character.coerce(data["character"])
        base = given if base is None else base.merge(given)
    seed = data.get("seed", 0)
    variety = data.get("variety", 0.0)
    result = build(
        str(data.get("description", "")),
        str(data.get("family", "illustrious")),
        character=base,
        seed=int(seed) if isinstance(seed, (int, float)) else 0,
        form=str(data.get("form", "") or ""),
        variety=float(variety) if isinstance(variety, (int, float)) else 0.0,
        wildcards=user_wildcards(),
        count=clip_counter(),
    )
    reply = result.to_dict()
    reply["report"] = result.report
    reply["description"] = result.description
    return reply


def _add_routes(server) -> None:
    from aiohttp import web

    routes = server.routes

    def folder(request) -> Path:
        found = server.user_manager.get_request_user_filepath(request, _PRESETS, create_dir=False)
        if found is None:
            raise PresetError("this user has no folder for presets")
        return Path(found)

    async def body(request) -> dict:
        if request.content_length is not None and request.content_length > _MAX_BODY:
            raise CharacterError(f"the request is larger than {_MAX_BODY} bytes")
        try:
            data = await request.json()
        except (ValueError, UnicodeDecodeError) as error:
            raise CharacterError(f"the request is not JSON: {error}") from error
        if not isinstance(data, dict):
            raise CharacterError("the request must be a JSON object")
        return data

    def guarded(handler):
        async def answer(request):
            try:
                return await handler(request)
            except (FamilyError, CharacterError, PresetError) as error:
                return web.json_response({"error": str(error)}, status=400)

        return answer

    @routes.get("/chibi_avatar/prompt/words")
    async def words(request):
        return web.json_response(panel_data())

    @routes.post("/chibi_avatar/prompt/preview")
    @guarded
    async def show(request):
        return web.json_response(await asyncio.to_thread(preview, await body(request)))

    @routes.post("/chibi_avatar/prompt/read")
    @guarded
    async def read(request):
        data = await body(request)
        character, unknown = read_prompt(str(data.get("positive", "")), str(data.get("negative", "")))
        return web.json_response({"character": character.to_dict(), "unknown": unknown})

    @routes.get("/chibi_avatar/prompt/presets")
    @guarded
    async def presets(request):
        return web.json_response({"builtin": builtin_list(), "user": user_list(folder(request))})

    @routes.post("/chibi_avatar/prompt/presets/{name}")
    @guarded
    async def save(request):
        data = await body(request)
        path = save_user(folder(request), request.match_info["name"], Character.coerce(data))
        return web.json_response({"saved": path.stem})

    @routes.delete("/chibi_avatar/prompt/presets/{name}")
    @guarded
    async def delete(request):
        gone = delete_user(folder(request), request.match_info["name"])
        return web.json_response({"deleted": gone}, status=200 if gone else 404)


async def on_load() -> None:
    """Register the routes when a server is there."""
    from server import PromptServer

    server = getattr(PromptServer, "instance", None)
    if server is None:
        log.info("no server: the prompt panel's routes are left out")
        return
    _add_routes(server)
