"""The pack's node layer outside a server: ComfyUI's modules on the path, in CPU mode, and the pack under a name of its own."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

NAME = "chibi_pack"


def load(comfyui: Path, root: Path, module: str) -> ModuleType:
    """``module`` of the pack (``nodes.identity_apply``) as ComfyUI would import it, with comfy ready for the CPU."""
    if str(comfyui) not in sys.path:
        sys.path.insert(0, str(comfyui))
    from comfy.cli_args import args

    args.cpu = True
    if NAME not in sys.modules:
        package = ModuleType(NAME)
        package.__path__ = [str(root)]  # type: ignore[attr-defined]
        sys.modules[NAME] = package
    return importlib.import_module(f"{NAME}.{module}")
