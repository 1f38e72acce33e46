"""The contact sheet: every row's picture on one page, failed rows too."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .files import flush

CELL, GAP, CAPTION = 220, 14, 34
MAX_CELLS = 2000
_PAPER, _INK, _SOFT, _CARD, _FAILED = "#f6f3ee", "#3a3532", "#8b827b", "#ffffff", "#f7dcd9"
_FONTS = (
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    "/System/Library/Fonts/PingFang.ttc",
    "C:/Windows/Fonts/msyh.ttc",
)


def contact_sheet(results: Sequence[dict[str, Any]], folder: Path, out: Path) -> Path | None:
    """Draw the sheet for results as :func:`.batch.results` gives them and write it as PNG. None when no row has an
    outcome.

    At most 2,000 cells; the columns are chosen so that the sheet is about as wide as high.
    """
    from PIL import Image, ImageDraw

    shown = [item for item in results if item["state"] in ("done", "failed")][:MAX_CELLS]
    if not shown:
        return None
    columns = max(1, min(12, math.ceil(math.sqrt(len(shown)))))
    lines = math.ceil(len(shown) / columns)
    size = (columns * (CELL + GAP) + GAP, lines * (CELL + CAPTION + GAP) + GAP)
    sheet = Image.new("RGB", size, _PAPER)
    pen = ImageDraw.Draw(sheet)
    font, small = _font(15), _font(12)
    for index, item in enumerate(shown):
        x = GAP + (index % columns) * (CELL + GAP)
        y = GAP + (index // columns) * (CELL + CAPTION + GAP)
        failed = item["state"] == "failed"
        pen.rounded_rectangle((x, y, x + CELL - 1, y + CELL + CAPTION - 6), 12, fill=_FAILED if failed else _CARD)
        picture = None if failed else _thumbnail(item, folder)
        if picture is not None:
            sheet.paste(picture, (x + (CELL - picture.width) // 2, y + 6 + (CELL - 6 - picture.height) // 2), picture)
        else:
            text = item["error"] if failed else f"{len(item['files'])} files"
            _paragraph(pen, (x + 12, y + 12), str(text), small, CELL - 24, CELL - 24)
        _line(pen, (x + CELL // 2, y + CELL + 10), str(item["id"]), font, CELL - 16)
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as handle:
            sheet.save(handle, format="PNG", optimize=True)
            flush(handle)
        os.replace(part, out)
    finally:
        part.unlink(missing_ok=True)
    return out


def _thumbnail(item: dict[str, Any], folder: Path) -> Any:
    from PIL import Image

    names = [name for name in item["files"] if name.lower().endswith((".png", ".jpg", ".jpeg", ".webp"))]
    for name in sorted(names, key=lambda n: any(word in n.lower() for word in ("atlas", "sheet", "turntable", "mask"))):
        try:
            with Image.open(folder / name) as opened:
                picture = opened.convert("RGBA")
        except (OSError, ValueError, Image.DecompressionBombError):
            continue
        picture.thumbnail((CELL - 12, CELL - 12), Image.Resampling.LANCZOS)
        return picture
    return None


def _font(size: int) -> Any:
    from PIL import ImageFont

    for path in _FONTS:
        try:
            return ImageFont.truetype(path, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def _line(pen: Any, at: tuple[int, int], text: str, font: Any, width: int) -> None:
    while len(text) > 1 and pen.textlength(text, font=font) > width:
        text = text[:-2] + "…"
    pen.text(at, text, fill=_INK, font=font, anchor="mm")


def _paragraph(pen: Any, at: tuple[int, int], text: str, font: Any, width: int, height: int) -> None:
    lines, line = [], ""
    for word in text.replace("\n", " ").split(" "):
        for piece in [word[i : i + 24] for i in range(0, len(word), 24)] or [""]:
            longer = f"{line} {piece}".strip()
            if pen.textlength(longer, font=font) > width and line:
                lines.append(line)
                line = piece
            else:
                line = longer
    lines.append(line)
    pen.multiline_text(at, "\n".join(lines[: height // 17]), fill=_SOFT, font=font, spacing=3)
