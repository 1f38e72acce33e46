"""Store the averaged weights of the training runs as the files that ship: ``python -m tools.tiny.release [ROOT]`` in the train environment."""

from __future__ import annotations

import sys
from pathlib import Path

from chibi_avatar.setup import paths
from chibi_avatar.tiny import weights
from chibi_avatar.tiny.data.captions import NEGATIVE, SUBJECT
from chibi_avatar.tiny.data.store import Store
from chibi_avatar.tiny.networks.unet import to_original
from chibi_avatar.tiny.training import finished

from .words import tell


def main() -> int:
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else paths.cache_root() / "training"
    store = Store(root / "data")
    for run in ("autoencoder", "text", "diffusion", "controlnet", "gan"):
        if stopped := finished.stopped(root / run):
            sys.stderr.write(f"note: {run} stopped at step {stopped[0]} of {stopped[1]}\n")
    model = finished.diffusion(root / "diffusion")
    about = {"pictures": len(store)}
    parts = {
        "autoencoder": finished.autoencoder(root / "autoencoder").vae_state(),
        "unet": to_original(model.unet.state_dict()),
        "text": model.text.state_dict(),
        "controlnet": to_original(finished.controlnet(root / "controlnet").state_dict()),
        "preview": finished.preview(root / "gan").state_dict(),
    }
    runs = {
        "autoencoder": "autoencoder",
        "unet": "diffusion",
        "text": "text",
        "controlnet": "controlnet",
        "preview": "gan",
    }
    total = 0
    for part, state in parts.items():
        path = weights.write(part, state, {**about, "steps": finished.step_of(root / runs[part])})
        total += path.stat().st_size
        sys.stdout.write(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB\n")
    sys.stdout.write(f"together {total / 1e6:.1f} MB\n")
    words = sorted({word for item in store.items for text, _ in item.tags for word in text.lower().split()})
    tell("vocabulary", " ".join([*words, *SUBJECT, NEGATIVE]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
