"""Registration of model folders, so that lookups honour extra_model_paths.yaml."""

from __future__ import annotations

import os
from collections.abc import Iterable

import folder_paths


def register_model_folder(name: str, extensions: Iterable[str] | None = None) -> None:
    """Make ``models/<name>`` known to ComfyUI under the key ``name``.

    ``extensions`` (with dots) are the file types listed; None means ComfyUI's weight files. A folder that another pack
    registered keeps its own paths and types; ours are added.
    """
    wanted = set(extensions) if extensions is not None else set(folder_paths.supported_pt_extensions)
    known = name in folder_paths.folder_names_and_paths
    folder_paths.add_model_folder_path(name, os.path.join(folder_paths.models_dir, name), is_default=False)
    paths, listed = folder_paths.folder_names_and_paths[name]
    if not known:
        folder_paths.folder_names_and_paths[name] = (paths, wanted)
    elif listed:
        # An empty set lists every file already; a shared set object must not change for other folders.
        folder_paths.folder_names_and_paths[name] = (paths, set(listed) | wanted)
