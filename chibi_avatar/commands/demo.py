"""A photo and a sentence in; a picture and a rigged 3D avatar out, made by a real ComfyUI that starts and ends with it.

The model that comes with the pack paints the picture and the avatar's four sides, without a GPU or a download; --no-diffusion keeps
the crisp base paint and is faster. Leaves avatar.png, avatar.vrm, avatar.glb, atlas.png, turntable.png and report.json in --out. Without
--photo the words decide alone; with neither --photo nor --prompt an example is used.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from . import DONE, UsageError

ENVIRONMENT = "runtime"
EXAMPLE_PROMPT = "粉色双马尾、穿校服、微笑的女孩"
MAX_PROMPT = 20_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--photo", type=Path, help="a picture with a face (jpg, png, webp, ...)")
    parser.add_argument(
        "--prompt",
        help=f"who the avatar is, in Chinese or English (default without --photo: {EXAMPLE_PROMPT}; with it: nothing)",
    )
    parser.add_argument("--pose", help="a pose preset by name (default: the workflow's)")
    parser.add_argument("--out", type=Path, default=Path("out"), help="where the files go (default: out)")
    parser.add_argument(
        "--no-diffusion",
        dest="diffusion",
        action="store_false",
        help="render the avatar with its own paint instead of sampling with the embedded model",
    )
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object on stdout")


def check(arguments: argparse.Namespace) -> None:
    if arguments.photo is not None:
        if not arguments.photo.exists():
            raise UsageError(f"there is no photo at {arguments.photo}.")
        if not arguments.photo.is_file():
            raise UsageError(f"{arguments.photo} is not a file; --photo wants one picture.")
    if arguments.prompt is not None and len(arguments.prompt) > MAX_PROMPT:
        raise UsageError(f"the prompt has {len(arguments.prompt)} characters; at most {MAX_PROMPT} are read.")
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder {arguments.out}: {error.strerror}.") from error
    if not os.access(arguments.out, os.W_OK):
        raise UsageError(f"cannot write in the folder {arguments.out}.")


def run(arguments: argparse.Namespace) -> int:
    from ..quickstart import Request, make
    from ..setup.progress import say

    prompt = EXAMPLE_PROMPT if arguments.prompt is None and arguments.photo is None else arguments.prompt or ""
    report = make(
        Request(prompt, arguments.photo, arguments.pose, out=arguments.out.resolve(), diffusion=arguments.diffusion)
    )
    if arguments.json:
        sys.stdout.write(json.dumps(report, ensure_ascii=False) + "\n")
    for line in report["warnings"]:
        say(f"Note: {line}")
    say(
        f"Done in {report['seconds']['total']:.0f} s. In {arguments.out}: "
        + ", ".join([*report["files"], "report.json"])
        + "."
    )
    return DONE
