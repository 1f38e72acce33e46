"""Start ComfyUI with this pack, and stay until Ctrl-C. Models, inputs and outputs live in --base."""

from __future__ import annotations

import argparse
import webbrowser
from pathlib import Path

from . import DONE, UsageError

ENVIRONMENT = "runtime"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=8188, help="the port to listen on (default: 8188)")
    parser.add_argument(
        "--base", type=Path, help="ComfyUI's folder for models, input and output (default: in the cache)"
    )
    parser.add_argument("--open", action="store_true", help="open the browser when it is ready")


def check(arguments: argparse.Namespace) -> None:
    from ..setup.server import port_is_free

    if not 1 <= arguments.port <= 65535:
        raise UsageError(f"--port {arguments.port} is not a port (1 to 65535).")
    if not port_is_free(arguments.port):
        raise UsageError(f"port {arguments.port} is taken by another program; choose another with --port.")


def run(arguments: argparse.Namespace) -> int:
    from ..models.locate import server_arguments
    from ..setup import paths
    from ..setup.progress import say
    from ..setup.server import running

    # Without a folder of its own it also has the models of COMFYUI_PATH and COMFYUI_EXTRA_MODEL_PATHS, as run has.
    seen = [] if arguments.base else server_arguments()
    base = (arguments.base or paths.cache_root() / "serve").expanduser().resolve()
    say("Starting ComfyUI ...")
    with running(port=arguments.port, base=base, arguments=seen, api_nodes=True) as server:
        say(f"ComfyUI with Chibi Avatar is at {server.url} (folder {base}). Ctrl-C ends it.")
        say("The example workflows: menu > Browse Templates > chibi-avatar > tiny_avatar or quickstart.")
        if arguments.open:
            webbrowser.open(server.url)
        server.wait()
        server.check()
    return DONE
