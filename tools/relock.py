"""Make every ``chibi_avatar/setup/lock/*.lock`` from its ``.in`` file, for Python 3.10 and newer on Linux, macOS and Windows.

Needs ``uv`` (``pip install uv``). Review the difference, then run the whole test suite: new locks mean a new environment.
"""

from __future__ import annotations

import subprocess
import sys

from _bootstrap import ROOT

LOCKS = ROOT / "chibi_avatar" / "setup" / "lock"
# insightface asks for opencv-python; runtime.in names the headless build of the same module instead.
OPTIONS = (
    "--universal",
    "--python-version",
    "3.10",
    "--no-annotate",
    "--no-header",
    "--no-emit-package",
    "opencv-python",
)
INSIDE = {"train": "runtime", "test": "train", "ray": "test"}  # locks that take their versions from another one


def main() -> int:
    for name in ("runtime", "train", "test", "comfy_cli", "node", "ray"):
        command = ["uv", "pip", "compile", "--quiet", *OPTIONS, "-o", f"{name}.lock", f"{name}.in"]
        if name in INSIDE:
            command += ["-c", f"{INSIDE[name]}.lock"]
        subprocess.run(command, cwd=LOCKS, check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
