"""Make ``docs/quickstart.png`` from what the demo makes, and ``workflows/quickstart.jpg`` from the workflow that samples nothing.

Run it in the test environment.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from _bootstrap import ROOT, prepare

SENTENCE = "粉色双马尾、穿校服、微笑的女孩"


def main() -> None:
    prepare()
    import numpy as np
    from gallery import save
    from PIL import Image

    from chibi_avatar.quickstart import Request, make

    def pictures(diffusion: bool) -> list[Image.Image]:
        """The avatar and its turntable."""
        with tempfile.TemporaryDirectory() as folder:
            make(Request(SENTENCE, None, None, Path(folder), diffusion))
            return [Image.open(Path(folder) / name).convert("RGB") for name in ("avatar.png", "turntable.png")]

    rendered, _ = pictures(diffusion=False)
    rendered.resize((512, 512), Image.Resampling.LANCZOS).save(
        ROOT / "workflows" / "quickstart.jpg", quality=88, optimize=True
    )
    height = 640
    pair = [
        image.resize((image.width * height // image.height, height), Image.Resampling.LANCZOS)
        for image in pictures(diffusion=True)
    ]
    sheet = Image.new("RGB", (sum(image.width for image in pair), height))
    sheet.paste(pair[0], (0, 0))
    sheet.paste(pair[1], (pair[0].width, 0))
    save("quickstart", np.asarray(sheet) / 255)


if __name__ == "__main__":
    main()
