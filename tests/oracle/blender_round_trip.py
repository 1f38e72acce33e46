"""Runs inside Blender's own Python environment: imports each VRM, writes it again, prints what Blender saw.

python blender_round_trip.py OUT_FOLDER FILE...
"""

import json
import os
import sys

import bpy

bpy.ops.preferences.addon_enable(module="io_scene_vrm")


def round_trip(path: str, folder: str) -> dict:
    """What Blender's scene holds after the import, and where the file it wrote lies."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.preferences.addon_enable(module="io_scene_vrm")
    bpy.ops.import_scene.vrm(filepath=path, use_addon_preferences=False)
    armature = next(item for item in bpy.data.objects if item.type == "ARMATURE")
    extension = armature.data.vrm_addon_extension
    if extension.spec_version.startswith("1"):
        human = extension.vrm1.humanoid.human_bones
        bones = [name.value for name, bone in human.human_bone_name_to_human_bone().items() if bone.node.bone_name]
        springs = [len(spring.joints) for spring in extension.spring_bone1.springs]
        expressions = list(extension.vrm1.expressions.all_name_to_expression_dict())
    else:
        bones = [bone.bone for bone in extension.vrm0.humanoid.human_bones if bone.node.bone_name]
        springs = [len(group.bones) for group in extension.vrm0.secondary_animation.bone_groups]
        expressions = [group.name for group in extension.vrm0.blend_shape_master.blend_shape_groups]
    keys = [len(mesh.shape_keys.key_blocks) - 1 for mesh in bpy.data.meshes if mesh.shape_keys]
    target = os.path.join(folder, "blender_" + os.path.basename(path))
    result = bpy.ops.export_scene.vrm(filepath=target, armature_object_name=armature.name, use_addon_preferences=False)
    return {
        "file": path,
        "version": extension.spec_version,
        "bones": sorted(bones),
        "morphs": max(keys, default=0),
        "springs": springs,
        "expressions": len(expressions),
        "height": max((o.matrix_world @ v.co).z for o in bpy.data.objects if o.type == "MESH" for v in o.data.vertices),
        "result": sorted(result),
        "written": target if os.path.exists(target) else "",
    }


if __name__ == "__main__":
    for name in sys.argv[2:]:
        report = round_trip(name, sys.argv[1])
        sys.stdout.write("REPORT " + json.dumps(report) + "\n")
