"""What the export node leaves in ComfyUI's output folder."""

from __future__ import annotations

import errno
import os
import types

import pytest
from chibi_testing import pack


def test_a_full_disk_leaves_no_half_of_an_avatar(comfyui_path, root, tmp_path, monkeypatch):
    """The next run would take the number after it, and the person a VRM without its GLB for a whole avatar."""
    node = pack.load(comfyui_path, root, "nodes.avatar")
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path))
    exported = types.SimpleNamespace(files=lambda: {".vrm": b"one", ".glb": b"two"})
    saved = node._save(exported, "avatar/chibi")
    assert [item["filename"] for item in saved] == ["chibi_00001_.vrm", "chibi_00001_.glb"]
    assert {item["subfolder"] for item in saved} == {"avatar"}

    real, calls = os.fdopen, []

    def second_fails(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*arguments)

    monkeypatch.setattr(os, "fdopen", second_fails)
    with pytest.raises(ValueError, match=r"chibi_00002_\.glb could not be written: No space left on device"):
        node._save(exported, "avatar/chibi")
    assert sorted(path.name for path in (tmp_path / "avatar").iterdir()) == ["chibi_00001_.glb", "chibi_00001_.vrm"]
