"""The pack inside a real ComfyUI 0.30 server: it loads whole, it is light, and a broken room does not take the rest down."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

from chibi_testing import api

from chibi_avatar.setup.server import PACK_FOLDER, running


def test_the_pack_loads_and_every_room_with_it(root, server):
    """ComfyUI would start without the pack's nodes, or with a room missing, and only its log would say why."""
    log = server.log.read_text(encoding="utf-8", errors="replace")
    assert "IMPORT FAILED" not in log
    assert "could not be loaded" not in log
    assert "left out" not in log
    modules = {name: info["python_module"] for name, info in api.get(server.url, "/object_info").items()}
    ids = {name for name, module in modules.items() if module == f"custom_nodes.{PACK_FOLDER}"}
    assert ids, log[-2000:]
    assert all(name.startswith("Chibi") for name in ids)
    from_rooms = {
        line.split('"')[1]
        for path in (root / "nodes").glob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if 'node_id="' in line
    }
    assert from_rooms <= ids


BROKEN_IMPORT = "import a_package_that_nobody_has\nNODES = []\n"
BROKEN_SCHEMA = """
from comfy_api.latest import io
class ChibiBroken(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        raise ValueError("no schema today")
    @classmethod
    def execute(cls):
        return io.NodeOutput()
NODES = [ChibiBroken]
"""
BROKEN_START = """
from comfy_api.latest import io
class ChibiUnready(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(node_id="ChibiUnready", inputs=[], outputs=[])
    @classmethod
    def execute(cls):
        return io.NodeOutput()
async def on_load():
    raise RuntimeError("not today")
NODES = [ChibiUnready]
"""


def test_a_broken_room_is_logged_and_the_others_work(root, tmp_path):
    """One missing package or one bad line in one room would make every node of the pack disappear."""
    pack = tmp_path / "custom_nodes" / PACK_FOLDER
    pack.mkdir(parents=True)
    shutil.copy(root / "__init__.py", pack)
    shutil.copytree(root / "nodes", pack / "nodes", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(root / "chibi_avatar", pack / "chibi_avatar", ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in (("a_import", BROKEN_IMPORT), ("b_schema", BROKEN_SCHEMA), ("c_start", BROKEN_START)):
        (pack / "nodes" / f"{name}.py").write_text(text, encoding="utf-8")
    with running(base=tmp_path) as broken:
        ids = set(api.get(broken.url, "/object_info"))
        log = broken.log.read_text(encoding="utf-8", errors="replace")
    assert {"ChibiAvatarBase", "ChibiPromptBuilder"} <= ids
    assert not {"ChibiBroken", "ChibiUnready"} & ids
    for reason in ("a_package_that_nobody_has", "no schema today", "not today"):
        assert reason in log
    assert log.count("Traceback") >= 3


LIST_NEW_MODULES = """
import asyncio, importlib.util, json, sys
sys.path.insert(0, sys.argv[2])
sys.argv[1:], (pack, _) = ["--cpu"], sys.argv[1:]
import comfy.options
comfy.options.enable_args_parsing()
import nodes, folder_paths
from comfy_api.latest import io, ui, Types
before = set(sys.modules)
spec = importlib.util.spec_from_file_location("pack_under_test", pack + "/__init__.py", submodule_search_locations=[pack])
sys.modules["pack_under_test"] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
after_import = set(sys.modules)
async def load():
    extension = await module.comfy_entrypoint()
    await extension.on_load()
    return await extension.get_node_list()
count = len(asyncio.run(load()))
print(json.dumps([sorted(after_import - before), sorted(set(sys.modules) - before), count]))
"""
HEAVY = {
    "insightface",
    "onnxruntime",
    "onnx",
    "cv2",
    "skimage",
    "mediapipe",
    "controlnet_aux",
    "diffusers",
    "trimesh",
    "ray",
    "huggingface_hub",
}


def test_loading_the_pack_imports_nothing_heavy(root, comfyui_path):
    """Every start of ComfyUI would be slower for people who do not use the pack today."""
    command = [sys.executable, "-c", LIST_NEW_MODULES, str(root), str(comfyui_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    at_import, loaded, count = json.loads(done.stdout.splitlines()[-1])
    assert at_import == ["pack_under_test"], "the front door must import nothing at module scope"
    assert count >= 5
    tops = {name.split(".")[0] for name in loaded}
    assert not tops & HEAVY
    assert not [name for name in loaded if name.startswith(("scipy.ndimage", "scipy.spatial", "scipy.sparse"))]
