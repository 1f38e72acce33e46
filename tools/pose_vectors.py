"""Golden vectors that the Python retargeter and the editor's geometry module share.

Run: python3 -m tools.pose_vectors   (writes tests/data/pose_vectors.json)
"""

from __future__ import annotations

import json
from pathlib import Path

from chibi_avatar.pose import library
from chibi_avatar.pose.keypoints import to_keypoints
from chibi_avatar.pose.retarget import canonical_lengths, retarget

CASES = (
    ("standing", 7.0, 2.5),
    ("waving", 2.5, 4.0),
    ("running", 7.0, 2.0),
    ("sitting_chair", 3.0, 2.2),
    ("peace", 2.0, 6.0),
)


def vectors() -> dict:
    """Canonical lengths for some heads, and poses before and after a change of proportions."""
    lengths = {
        str(h): [round(float(v), 9) for v in canonical_lengths(h)]
        for h in (1.8, 2.0, 2.25, 2.5, 3.0, 3.7, 4.0, 5.5, 7.0)
    }
    poses = []
    for name, before, after in CASES:
        source = library.frame(name, 768, 960, before)
        made = retarget([source], after, contacts=False, fit=False)
        poses.append(
            {"name": name, "heads": after, "before": to_keypoints([source])[0], "after": to_keypoints(made)[0]}
        )
    return {"lengths": lengths, "poses": poses}


def main() -> None:
    target = Path(__file__).resolve().parents[1] / "tests" / "data" / "pose_vectors.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(vectors(), separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
