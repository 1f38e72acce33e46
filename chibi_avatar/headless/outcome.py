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
    """Write ``results.jsonl`` and ``results.csv`` (UTF-8 with BOM, as spreadsheets expect; formulas defused)."""
    lines = "".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)
    jsonl = write_atomically(folder / "results.jsonl", lines)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["id", "state", "files", "error", "server", "seconds"])
    for row in rows:
        cells = [row["id"], row["state"], " ".join(row["files"]), row["error"], row["server"], row["seconds"]]
        writer.writerow([f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell for cell in cells])
    return jsonl, write_atomically(folder / "results.csv", "\ufeff" + text.getvalue())
