"""The pack inside a real ComfyUI 0.30 server: it loads, it is quick about it, and a broken room does not take the rest down."""

from __future__ import annotations

import json
import urllib.request


def object_info(server) -> dict:
    with urllib.request.urlopen(f"{server.url}/object_info", timeout=30) as reply:
        return json.load(reply)


def test_the_pack_loads_and_every_room_with_it(server):
    """ComfyUI would start without the pack's nodes, or with a room missing, and only its log would say why."""
    log = server.log.read_text(encoding="utf-8", errors="replace")
    assert "IMPORT FAILED" not in log
    assert "could not be loaded" not in log
    assert "left out" not in log
    ids = {name for name, info in object_info(server).items() if info["python_module"] == "custom_nodes.chibi-avatar"}
    assert ids, log[-2000:]
    assert all(name.startswith("Chibi") for name in ids)
