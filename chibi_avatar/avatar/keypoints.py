"""The rig's own joints as OpenPose keypoints (COCO-18) in a camera's pixels: no detector, no error."""

from __future__ import annotations

from typing import Any

import numpy as np

from .camera import Camera
from .model import Avatar, AvatarError
from .skin import joint_transforms

_JOINTS = {
    1: "neck", 2: "rightUpperArm", 3: "rightLowerArm", 4: "rightHand", 5: "leftUpperArm", 6: "leftLowerArm", 7: "leftHand",
    8: "rightUpperLeg", 9: "rightLowerLeg", 10: "rightFoot", 11: "leftUpperLeg", 12: "leftLowerLeg", 13: "leftFoot",
}  # fmt: skip


def rig_points(avatar: Avatar, pose: Any = None, offset: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """World positions (18, 3) of the COCO-18 points, and the outward direction (18, 3) of those on the face (else zero).

    ``offset`` (3,) moves the hips in metres. A point is NaN when the rig lacks its bone; the head is required.
    """
    matrices = joint_transforms(avatar.joints, pose or {}, offset)

    def moved(joint: int, point: np.ndarray) -> np.ndarray:
        return matrices[joint, :, :3] @ point + matrices[joint, :, 3]

    points = np.full((18, 3), np.nan)
    outward = np.zeros((18, 3))
    for index, bone in _JOINTS.items():
        try:
            joint = avatar.bone(bone)
        except AvatarError:
            continue
        points[index] = moved(joint, np.asarray(avatar.joints[joint].position, np.float64))
    head = avatar.bone("head")
    origin = np.asarray(avatar.joints[head].position, np.float64)
    between = origin + np.asarray(avatar.look_offset)
    spread = head_width(avatar) / 2
    # eyes a quarter of the head apart from the middle, the nose below them, the ears at the sides
    places = {
        0: (between + (0, -0.24 * spread, 0.04 * spread), (0, 0, 1)),
        14: (between + (-0.48 * spread, 0, -0.05 * spread), (-0.4, 0, 1)),
        15: (between + (0.48 * spread, 0, -0.05 * spread), (0.4, 0, 1)),
        16: (np.array([-spread * 0.97, between[1] - 0.06 * spread, origin[2]]), (-1, 0, 0.25)),
        17: (np.array([spread * 0.97, between[1] - 0.06 * spread, origin[2]]), (1, 0, 0.25)),
    }
    for index, (place, direction) in places.items():
        points[index] = moved(head, place)
        outward[index] = matrices[head, :, :3] @ (np.asarray(direction) / np.linalg.norm(direction))
    return points, outward


def head_width(avatar: Avatar) -> float:
    """Width of the face in metres: the ``face`` part where there is one, else what hangs on the head bone."""
    mesh = avatar.mesh
    if "face" in avatar.parts:
        chosen = np.unique(mesh.faces[mesh.face_part == avatar.parts.index("face")])
    else:
        head = avatar.bone("head")
        chosen = np.flatnonzero(((mesh.joints == head) * mesh.weights).sum(1) > 0.5)
    if not len(chosen):
        return avatar.height / avatar.heads * 0.8
    return float(np.ptp(mesh.positions[chosen, 0]))


def pose_frame(avatar: Avatar, camera: Camera, pose: Any = None, offset: Any = None) -> dict[str, Any]:
    """One ``POSE_KEYPOINT`` frame for ``camera``: points that face away are left out (0, 0, 0), as a detector would."""
    points, outward = rig_points(avatar, pose, offset)
    known = np.isfinite(points).all(1)
    screen = camera.project(np.where(known[:, None], points, 0))[0]
    eye = np.broadcast_to(camera.toward_eye(np.where(known[:, None], points, 0)), outward.shape)
    known &= (np.linalg.norm(outward, axis=1) < 0.5) | ((outward * eye).sum(1) > -0.05)
    known &= np.isfinite(screen).all(1)
    flat: list[float] = []
    for seen, (x, y, _) in zip(known, screen, strict=True):
        flat += [round(float(x), 3), round(float(y), 3), 1.0] if seen else [0.0, 0.0, 0.0]
    person = {
        "pose_keypoints_2d": flat,
        "face_keypoints_2d": None,
        "hand_left_keypoints_2d": None,
        "hand_right_keypoints_2d": None,
    }
    return {"people": [person], "canvas_width": camera.width, "canvas_height": camera.height}
