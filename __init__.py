"""Chibi Avatar for ComfyUI: the front door.

Nothing heavy happens at module scope; ComfyUI calls :func:`comfy_entrypoint`, which collects each room's nodes.
"""

WEB_DIRECTORY = "./web"

__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]


async def comfy_entrypoint():
    """ComfyUI's V3 entry point: an extension with the nodes of every room that imports."""
    from .nodes import build_extension

    return build_extension()
