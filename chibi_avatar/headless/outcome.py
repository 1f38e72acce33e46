"""How commands tell their result: one JSON object, a results file, exit codes."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from .files import write_atomically

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_results(rows: list[dict[str, Any]], folder: Path) -> tuple[Path, Path]:
    """Write ``results.jsonl`` and ``results.csv`` (UTF-8 with BOM, as spreadsheets expect; formulas defused).

    A file that cannot be replaced, as one that a spreadsheet holds open, stays; ``results-2.csv`` is written then. Returns
    the paths written. Raises :class:`OSError` when the folder takes no file at all.
    """
    lines = "".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)
    jsonl = _write_beside(folder / "results.jsonl", lines)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["id", "state", "files", "error", "server", "seconds"])
    for row in rows:
        cells = [row["id"], row["state"], " ".join(row["files"]), row["error"], row["server"], row["seconds"]]
        writer.writerow([f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell for cell in cells])
    return jsonl, _write_beside(folder / "results.csv", "\ufeff" + text.getvalue())


def _write_beside(path: Path, data: str) -> Path:
    """Write a file, under the name with ``-2`` and so on where the one of that name cannot be replaced."""
    problem: OSError | None = None
    for name in (path, *(path.with_stem(f"{path.stem}-{number}") for number in range(2, 10))):
        try:
            return write_atomically(name, data)
        except OSError as error:
            problem = problem or error
    assert problem is not None
    raise problem
