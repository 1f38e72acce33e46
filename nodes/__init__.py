"""The node layer: thin V3 nodes, one file per room. The only place that imports comfy.

Each ``nodes/<room>.py`` ends with ``NODES``, and may have ``async def on_load()`` (model folders, node renames, routes).
A room that fails is logged with its traceback and the others go on.
"""

from __future__ import annotations

import importlib
import logging
import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

    from comfy_api.latest import ComfyExtension, io

logger = logging.getLogger(__name__)


def load_rooms() -> list[ModuleType]:
    """Import every module beside this file that defines NODES, in name order; a failing one is logged and left out."""
    rooms = []
    for info in sorted(pkgutil.iter_modules(__path__), key=lambda info: info.name):
        try:
            module = importlib.import_module(f".{info.name}", __name__)
        except Exception:
            logger.exception(
                "Chibi Avatar: the %r nodes could not be loaded; the other nodes work without them.", info.name
            )
            continue
        if hasattr(module, "NODES"):
            rooms.append(module)
    return rooms


def build_extension() -> ComfyExtension:
    """The extension that ComfyUI loads: all rooms' nodes, and each room's start-up work."""
    from comfy_api.latest import ComfyExtension

    rooms = load_rooms()

    class ChibiAvatarExtension(ComfyExtension):
        async def on_load(self) -> None:
            for room in list(rooms):
                if not hasattr(room, "on_load"):
                    continue
                try:
                    await room.on_load()
                except Exception:
                    rooms.remove(room)
                    logger.exception("Chibi Avatar: %s could not start; its nodes are left out.", room.__name__)

        async def get_node_list(self) -> list[type[io.ComfyNode]]:
            nodes: list[type[io.ComfyNode]] = []
            for room in rooms:
                try:
                    for node in room.NODES:
                        node.GET_SCHEMA()
                except Exception:
                    logger.exception("Chibi Avatar: %s has a broken node; its nodes are left out.", room.__name__)
                    continue
                nodes.extend(room.NODES)
            return nodes

    return ChibiAvatarExtension()
