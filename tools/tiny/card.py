"""Write the measured table of ``docs/tiny.json`` into the docs and the model card: ``python -m tools.tiny.card``.

The lines between ``<!-- measured -->`` and ``<!-- end -->`` are replaced in ``docs/tiny.md``, ``docs/tiny.zh.md`` and the weights' README.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from chibi_avatar.tiny import weights

ROOT = Path(__file__).parents[2]
BEGIN, END = "<!-- measured -->\n", "<!-- end -->\n"


def percent(value: float) -> str:
    return f"{100 * value:.1f} %"


# key in docs/tiny.json: (English, Chinese, how it is written, goal)
ROWS: dict[str, tuple[str, str, Any, str]] = {
    "hair color": ("hair colour right (ΔE2000 < 20)", "发色正确（ΔE2000 < 20）", percent, "≥ 85 %"),
    "hair_style": ("hair style right", "发型正确", percent, "≥ 75 %"),
    "top": ("clothes right", "服装正确", percent, "≥ 75 %"),
    "glasses": ("glasses right", "眼镜正确", percent, "≥ 85 %"),
    "expression": ("expression right", "表情正确", percent, "≥ 65 %"),
    "joint error with ControlNet": ("joint error with the pose ControlNet, of the height", "有姿势 ControlNet 时的关节误差（占身高）", percent, "≤ 5 %"),
    "joint error without ControlNet": ("joint error without it", "没有时的关节误差", percent, "≥ 3 × with"),
    "preview hair color": ("instant preview: hair colour right", "即时预览：发色正确", percent, "≥ 75 %"),
    "autoencoder PSNR dB": ("autoencoder on held-out pictures", "自编码器（未训练过的图）", "{:.1f} dB".format, "≥ 27 dB"),
    "FID": ("Fréchet distance to held-out pictures, judge's features", "与未训练过的图的 Fréchet 距离（裁判特征）", "{:.2f}".format, "≤ 2 × halves + 10"),
    "FID of disjoint halves of the data": ("the same between two halves of the data", "数据两半之间的同一距离", "{:.2f}".format, ""),
    "diversity, samples over data": ("diversity, samples over data", "多样性（样本/数据）", "{:.2f}".format, ""),
}  # fmt: skip
# What goals, judges and parts are called in the Chinese page; others stay as they are.
CHINESE = {
    "≥ 3 × with": "≥ 有 ControlNet 时的 3 倍",
    "≤ 2 × halves + 10": "≤ 两半距离 × 2 + 10",
    "hair style": "发型",
    "top": "服装",
    "glasses": "眼镜",
    "expression": "表情",
    "joint error": "关节误差",
    "autoencoder": "自编码器",
    "text": "文本编码器",
    "unet": "UNet",
    "controlnet": "ControlNet",
    "preview": "即时预览",
}


def table(figures: dict[str, Any], chinese: bool) -> str:
    """The table in Markdown; the judge's own accuracy is its last rows, without which the others mean little."""
    said = CHINESE if chinese else {}
    head = ("项目", "结果", "目标") if chinese else ("what", "measured", "goal")
    rows = [
        (chinese_text if chinese else english, write(figures[key]), said.get(goal, goal))
        for key, (english, chinese_text, write, goal) in ROWS.items()
        if key in figures
    ]
    judge = figures["judge on held-out renders"]
    name = "裁判自身在未训练过的渲染图上：" if chinese else "the judge itself on held-out renders: "
    rows += [
        (name + said.get(key, key), percent(value), "" if key == "joint error" else "≥ 95 %")
        for key, value in ((key.replace("_", " "), value) for key, value in judge.items())
    ]
    lines = [head, ("---", "---", "---"), *rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in lines)


def facts(chinese: bool) -> str:
    """What the weights were trained on, from the files themselves."""
    steps = {part: weights.about(part) for part in ("autoencoder", "text", "unet", "controlnet", "preview")}
    count = steps["unet"]["pictures"]
    if chinese:
        numbers = "，".join(f"{CHINESE[part]} {about['steps']}" for part, about in steps.items())
        return f"各部件最后一次训练的步数（此前的训练不计）：{numbers}；绘制的图片 {count} 张。\n"
    numbers = ", ".join(f"{part} {about['steps']}" for part, about in steps.items())
    return f"Steps of the last run of each part (earlier runs are not counted): {numbers}; drawn pictures: {count}.\n"


def main() -> None:
    figures = json.loads((ROOT / "docs" / "tiny.json").read_text(encoding="utf-8"))
    for path in (ROOT / "docs" / "tiny.md", ROOT / "docs" / "tiny.zh.md", weights.FOLDER / "README.md"):
        text = path.read_text(encoding="utf-8")
        before, _, rest = text.partition(BEGIN)
        _, _, after = rest.partition(END)
        chinese = path.name.endswith(".zh.md")
        path.write_text(f"{before}{BEGIN}{facts(chinese)}\n{table(figures, chinese)}{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
