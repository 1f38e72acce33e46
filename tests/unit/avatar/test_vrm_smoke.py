"""What an app would refuse: a file without the extensions, bones and expressions that the avatar has."""

from __future__ import annotations

import pytest

from chibi_avatar.avatar.export import export_avatar
from chibi_avatar.avatar.gltf import read_glb
from chibi_avatar.avatar.model import REQUIRED_BONES, Avatar


@pytest.mark.parametrize("version", ["1.0", "0.x"])
def test_written_file_holds_bones_expressions_and_springs(figure: Avatar, version: str) -> None:
    """Without them the avatar stands still and stares."""
    document = read_glb(export_avatar(figure, version=version).vrms[version]).document
    if version == "1.0":
        vrm = document["extensions"]["VRMC_vrm"]
        assert set(REQUIRED_BONES) <= set(vrm["humanoid"]["humanBones"])
        assert {"blink", "happy", "neutral"} <= set(vrm["expressions"]["preset"])
        assert document["extensions"]["VRMC_springBone"]["springs"][0]["joints"]
    else:
        vrm = document["extensions"]["VRM"]
        assert set(REQUIRED_BONES) <= {entry["bone"] for entry in vrm["humanoid"]["humanBones"]}
        assert {"blink", "joy", "neutral"} <= {group["presetName"] for group in vrm["blendShapeMaster"]["blendShapeGroups"]}
        assert vrm["secondaryAnimation"]["boneGroups"]
