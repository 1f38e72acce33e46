"""Workflow files: load, change values by name, send local files along, check before queueing."""

from __future__ import annotations

import difflib
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from .errors import InputError, NodeProblem, PromptRejected, WorkflowError
from .files import IMAGE_SUFFIXES, is_file
from .problems import FILE_INPUT, MODEL_SUFFIXES, input_specs, options_of, pack_hint, title_of
from .types import Prompt

MAX_FILE_BYTES = 64 << 20
_FILE_ENDINGS = (
    *sorted(IMAGE_SUFFIXES),
    *MODEL_SUFFIXES,
    ".json",
    ".txt",
    ".csv",
    ".npz",
    ".vrm",
    ".glb",
    ".mp4",
    ".wav",
)
BUILT_IN = Path(__file__).resolve().parents[2] / "workflows"


def find(name: str | Path) -> Path:
    """A workflow file: a path, or the name of one that comes with this pack (its API twin if there is one).

    Raises :class:`InputError` naming the closest built-in workflows.
    """
    path = Path(name)
    if is_file(path):
        return path
    stem = path.name.removesuffix(".json")
    for candidate in (BUILT_IN / "api" / f"{stem}.json", BUILT_IN / f"{stem}.json"):
        if candidate.is_file():
            return candidate
    names = sorted({found.stem for found in (*BUILT_IN.glob("*.json"), *BUILT_IN.glob("api/*.json"))})
    close = difflib.get_close_matches(stem, names, n=3, cutoff=0.4) or names
    raise InputError(
        reason=f"there is no workflow {str(name)!r}; those that come with the pack: {', '.join(close) or 'none'}",
        reason_zh=f"没有工作流 {str(name)!r}；本包自带的有：{'、'.join(close) or '无'}",
    )


def load(path: str | Path) -> dict[str, Any]:
    """A workflow file as JSON. Raises :class:`WorkflowError` for anything but a JSON object of at most 64 MB."""
    path = Path(path)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise WorkflowError(path=str(path), reason="larger than 64 MB", reason_zh="超过 64 MB")
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(
            reason=f"cannot read {path}: {error.strerror}", reason_zh=f"无法读取 {path}：{error.strerror}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise WorkflowError(path=str(path), reason=f"not JSON ({error})", reason_zh=f"不是 JSON（{error}）") from error
    return checked_format(value, str(path))


def checked_format(value: Any, path: str = "workflow") -> dict[str, Any]:
    """The value itself when it is a canvas or an API workflow; raises :class:`WorkflowError` otherwise."""
    from .convert import is_canvas

    if is_canvas(value):
        return value
    if isinstance(value, dict) and isinstance(value.get("prompt"), dict) and "class_type" not in value:
        value = value["prompt"]
    if (
        isinstance(value, dict)
        and value
        and all(
            isinstance(node, dict)
            and isinstance(node.get("class_type"), str)
            and isinstance(node.get("inputs", {}), dict)
            for node in value.values()
        )
    ):
        return {str(node_id): {**node, "inputs": dict(node.get("inputs", {}))} for node_id, node in value.items()}
    raise WorkflowError(
        path=path,
        reason="neither a canvas workflow (nodes, links) nor API format (node id → class_type, inputs)",
        reason_zh="既不是画布工作流（nodes、links），也不是 API 格式（节点编号 → class_type、inputs）",
    )


# --- addressing ------------------------------------------------------------------------------------------------------


def find_input(prompt: Prompt, address: str, object_info: dict[str, Any] | None = None) -> tuple[str, str]:
    """``node.input`` → (node id, input name).

    The node is given by its id, its title or its class; a title or class must be the only one of its kind. Of a title
    in two languages (``Words · 文字``) either half will do. Raises :class:`InputError` naming what there is.
    """
    for cut in range(len(address) - 1, 0, -1):
        if address[cut] != ".":
            continue
        matches = _find_nodes(prompt, address[:cut])
        name = address[cut + 1 :]
        fitting = [node_id for node_id in matches if name in _input_names(prompt, node_id, object_info)]
        if len(fitting) == 1:
            return fitting[0], name
        if len(fitting) > 1:
            listed = ", ".join(f"#{node_id}" for node_id in fitting)
            raise InputError(
                reason=f"{address!r} fits several nodes ({listed}); use the node's id: {fitting[0]}.{name}",
                reason_zh=f"{address!r} 对应多个节点（{listed}）；请用节点编号：{fitting[0]}.{name}",
            )
    head, _, name = address.rpartition(".")
    matches = _find_nodes(prompt, head) if head else []
    if matches:
        names = _input_names(prompt, matches[0], object_info)
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.4) or names
        raise InputError(
            reason=f"node {head!r} has no input {name!r}; it has {', '.join(near)}",
            reason_zh=f"节点 {head!r} 没有输入 {name!r}；可用：{'、'.join(near)}",
        )
    titles = list(dict.fromkeys([*prompt, *(title_of(prompt, node_id) for node_id in prompt)]))
    near = difflib.get_close_matches(head or address, titles, n=5, cutoff=0.3) or titles[:12]
    raise InputError(
        reason=f"{address!r}: write node.input=value; there is no node {head or address!r}, nearest: {', '.join(near)}",
        reason_zh=f"{address!r}：请写成 节点.输入=值；没有节点 {head or address!r}，最接近：{'、'.join(near)}",
    )


def _find_nodes(prompt: Prompt, name: str) -> list[str]:
    if name in prompt:
        return [name]
    wanted = name.strip().lower()

    def names(node_id: str) -> tuple[list[str], list[str], list[str]]:
        title = title_of(prompt, node_id).lower()
        return [title.strip()], [half.strip() for half in title.split("·")], [prompt[node_id]["class_type"].lower()]

    known = {node_id: names(node_id) for node_id in prompt}
    for rank in range(3):
        found = [node_id for node_id, ranked in known.items() if wanted in ranked[rank]]
        if found:
            return found
    return []


def _input_names(prompt: Prompt, node_id: str, object_info: dict[str, Any] | None) -> list[str]:
    node = prompt[node_id]
    specs = input_specs((object_info or {}).get(node["class_type"], {}))
    return list(dict.fromkeys([*node["inputs"], *specs]))


def mute(prompt: Prompt, name: str, object_info: dict[str, Any]) -> list[str]:
    """Take a node (by id, title or class) out of the prompt, and with it every node that cannot do without; the ids that
    went. Optional inputs just lose the connection, as on a canvas. Raises :class:`InputError` for a name that fits none.
    """
    gone = _find_nodes(prompt, name)
    if not gone:
        titles = list(dict.fromkeys([*prompt, *(title_of(prompt, node_id) for node_id in prompt)]))
        near = difflib.get_close_matches(name, titles, n=5, cutoff=0.3) or titles[:12]
        raise InputError(
            reason=f"there is no node {name!r} to mute, nearest: {', '.join(near)}",
            reason_zh=f"没有可以关闭的节点 {name!r}，最接近：{'、'.join(near)}",
        )
    removed: list[str] = []
    while gone:
        node_id = gone.pop()
        if prompt.pop(node_id, None) is None:
            continue
        removed.append(node_id)
        for other_id, other in prompt.items():
            optional = ((object_info.get(other["class_type"]) or {}).get("input") or {}).get("optional") or {}
            for key, value in list(other["inputs"].items()):
                if isinstance(value, list) and value and str(value[0]) == node_id:
                    if key.split(".")[0] in optional:
                        del other["inputs"][key]
                    else:
                        gone.append(other_id)
    return removed


def set_value(prompt: Prompt, address: str, value: Any, object_info: dict[str, Any] | None = None) -> None:
    """Set ``node.input`` in place. Text is turned into what the input holds (see :func:`typed`)."""
    node_id, name = find_input(prompt, address, object_info)
    spec = input_specs((object_info or {}).get(prompt[node_id]["class_type"], {})).get(name)
    value = typed(value, spec, address, prompt[node_id]["inputs"].get(name))
    prompt[node_id]["inputs"][name] = {"__value__": value} if isinstance(value, list) else value


def typed(value: Any, spec: tuple[Any, dict[str, Any]] | None, where: str, current: Any = None) -> Any:
    """A text from a command line or a table as the type that the input takes. Raises :class:`InputError`.

    Without a spec, the type of the current value decides; with neither, JSON literals are read and all else stays text.
    """
    if not isinstance(value, str):
        return value
    options = options_of(spec)
    kind = "COMBO" if options is not None else str(spec[0]) if spec else ""
    if not kind and current is not None and not isinstance(current, (list, dict)):
        kind = {bool: "BOOLEAN", int: "INT", float: "FLOAT", str: "STRING"}[type(current)]
    text = value.strip()
    try:
        if kind == "INT":
            return int(text, 0) if not text.replace("_", "").isdigit() else int(text)
        if kind == "FLOAT":
            return float(text)
        if kind == "BOOLEAN":
            return {
                "true": True,
                "1": True,
                "yes": True,
                "on": True,
                "false": False,
                "0": False,
                "no": False,
                "off": False,
            }[text.lower()]
    except (ValueError, KeyError):
        names = {
            "INT": ("a whole number", "整数"),
            "FLOAT": ("a number", "数字"),
            "BOOLEAN": ("true or false", "true 或 false"),
        }
        english, chinese = names[kind]
        raise InputError(
            reason=f"{where} takes {english}, got {value!r}", reason_zh=f"{where} 需要{chinese}，得到 {value!r}"
        ) from None
    if kind == "COMBO":
        return next((option for option in options or [] if str(option) == text), value)
    if kind == "STRING" or (not kind and not text.startswith(("{", "[", '"'))):
        return value
    try:
        return json.loads(text)
    except ValueError:
        return value


# --- local files -----------------------------------------------------------------------------------------------------


def local_file(value: Any, spec: tuple[Any, dict[str, Any]] | None, base: Path | None = None) -> Path | None:
    """The local file that a value names, relative to ``base``, or None: ``@path`` whatever the input, a plain path where
    the input takes uploads. ``@@text`` is the text ``@text``.
    """
    if not isinstance(value, str) or not value or len(value) > 4096 or value.startswith("@@"):
        return None
    if not value.startswith("@") and not _takes_files(spec):
        return None
    try:
        path = Path(value.removeprefix("@")).expanduser()
    except RuntimeError:
        return None
    path = path if path.is_absolute() or base is None else base / path
    return path if is_file(path) else None


def must_be_file(value: Any, spec: tuple[Any, dict[str, Any]] | None) -> bool:
    """Whether it is a mistake that a value names no local file. Not for a file that the server has, nor for a text that
    begins with ``@`` (the tag of an artist), unless it ends like a file name.
    """
    if not isinstance(value, str) or value.startswith("@@"):
        return False
    if value.startswith("@"):
        return spec is None or spec[0] != "STRING" or value.strip().lower().endswith(_FILE_ENDINGS)
    return _takes_files(spec) and value not in (options_of(spec) or [])


def _takes_files(spec: tuple[Any, dict[str, Any]] | None) -> bool:
    return spec is not None and any(spec[1].get(flag) for flag in FILE_INPUT)


def unescaped(value: Any) -> Any:
    """A value that a user gave, with ``@@`` at its beginning read as ``@``."""
    return value[1:] if isinstance(value, str) and value.startswith("@@") else value


def local_files(
    prompt: Prompt, object_info: dict[str, Any], base: Path | None = None, changed: Iterable[tuple[str, str]] = ()
) -> list[tuple[str, str, str]]:
    """Local files that the prompt names, as (node id, input, path).

    A value is a local file when the input takes uploads and the file exists here (relative to ``base``), or when it is
    written ``@path``, whatever the input. In an input listed in ``changed`` (set by the user) a file that is not there
    is an error.
    """
    own, found = set(changed), []
    for node_id, node in prompt.items():
        specs = input_specs(object_info.get(node["class_type"], {}))
        for name, value in node["inputs"].items():
            spec = specs.get(name)
            path = local_file(value, spec, base)
            if path is not None:
                found.append((node_id, name, str(path)))
            elif must_be_file(value, spec) and (value.startswith("@") or (node_id, name) in own):
                raise InputError(
                    reason=f"there is no file {value.removeprefix('@')}",
                    reason_zh=f"文件 {value.removeprefix('@')} 不存在",
                )
    return found


def unescape(prompt: Prompt, changed: Iterable[tuple[str, str]]) -> None:
    """Read ``@@`` as ``@`` in the inputs that the user set, in place; after :func:`local_files`."""
    for node_id, name in changed:
        prompt[node_id]["inputs"][name] = unescaped(prompt[node_id]["inputs"][name])


async def upload_files(
    prompt: Prompt,
    object_info: dict[str, Any],
    upload: Callable[[Path], Awaitable[str]],
    base: Path | None = None,
    changed: Iterable[tuple[str, str]] = (),
) -> None:
    """Upload the prompt's :func:`local_files` and put the server's names in their place; ``@@`` becomes ``@`` in what
    was ``changed``.
    """
    done: dict[str, str] = {}
    changed = list(changed)
    files = local_files(prompt, object_info, base, changed)
    unescape(prompt, changed)
    for node_id, name, path in files:
        if path not in done:
            done[path] = await upload(Path(path))
        prompt[node_id]["inputs"][name] = done[path]


# --- checks before queueing ------------------------------------------------------------------------------------------


def preflight(prompt: Prompt, object_info: dict[str, Any]) -> list[NodeProblem]:
    """What the server would refuse one at a time or not at all: every unknown node, every link to nowhere."""
    found: list[NodeProblem] = []
    for node_id, node in prompt.items():
        kind = node["class_type"]
        if kind not in object_info:
            found.append(
                NodeProblem(
                    node_id,
                    title_of(prompt, node_id),
                    kind,
                    "missing_node_type",
                    hint_en=pack_hint(kind, "en"),
                    hint_zh=pack_hint(kind, "zh"),
                )
            )
            continue
        for name, value in node["inputs"].items():
            if isinstance(value, list) and not (
                len(value) == 2
                and str(value[0]) in prompt
                and isinstance(value[1], int)
                and _has_output(prompt[str(value[0])]["class_type"], value[1], object_info)
            ):
                found.append(NodeProblem(node_id, title_of(prompt, node_id), kind, "bad_linked_input", name, value))
    return found


def _has_output(kind: str, slot: int, object_info: dict[str, Any]) -> bool:
    return kind not in object_info or 0 <= slot < len(object_info[kind].get("output") or [])


def with_model_hints(error: PromptRejected) -> PromptRejected:
    """The same error with the ``models download`` line at each missing model that models.yaml knows."""
    from ..models.manifest import by_filename

    problems = []
    for problem in error.problems:
        entry = by_filename(str(problem.received)) if problem.type == "missing_model" else None
        if entry is not None:
            command = f"python3 -m chibi_avatar models download {entry.id}"
            problem = replace(problem, hint_en=f"Get it with: {command}", hint_zh=f"下载命令：{command}")
        problems.append(problem)
    return PromptRejected(problems, url=error.values["url"], partial=error.values["partial"])
