"""Hair colour from photos: the right name, and the same name after a phone, a messenger and a dark room have been at the picture."""

from __future__ import annotations

import io

import cv2
import numpy as np
from PIL import Image

from chibi_avatar.identity.attributes import find_regions, head_crop, read_attributes
from chibi_avatar.identity.colors import from_lab, to_lab
from chibi_avatar.identity.detect import find_faces

# Ten hues as hair in a photo: middle lightness, and the chroma plane.
HUES = {
    "black": (10, 0, 0), "brown": (40, 12, 20), "blonde": (73, 6, 36), "gray": (58, 0, 1), "red": (42, 55, 32),
    "orange": (60, 34, 52), "pink": (70, 38, -4), "purple": (42, 38, -42), "blue": (46, 6, -48), "green": (52, -36, 26),
}  # fmt: skip


def variants(image: np.ndarray):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=30)
    yield "jpeg q30", np.asarray(Image.open(buffer).convert("RGB"))
    for gamma in (0.8, 0.9, 1.1, 1.2):
        yield f"gamma {gamma}", (255 * (image / 255.0) ** gamma + 0.5).astype(np.uint8)
    yield "half", cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    yield "mirror", np.ascontiguousarray(image[:, ::-1])
    yield "blur", cv2.GaussianBlur(image, (5, 5), 0)
    yield "larger", cv2.resize(image, None, fx=1.5, fy=1.5, interpolation=cv2.INTER_CUBIC)
    yield "noise", np.clip(image + np.random.default_rng(0).normal(0, 6, image.shape), 0, 255).astype(np.uint8)


def hair_names(image, detector):
    """Hair colour names of all faces of a photo, from left to right."""
    faces, picture = find_faces(image, detector, turn=False)
    faces.sort(key=lambda face: float(face.box[0]))
    found = [read_attributes(picture, face).get("hair.color") for face in faces]
    return [guess.name if guess else "unknown" for guess in found]


def painted(image: np.ndarray, face, lab) -> np.ndarray:
    """The photo with its hair in another colour, its own light and shade kept."""
    from chibi_avatar.identity.geometry import head_matrix

    crop, valid = head_crop(image, face)
    mask = find_regions(crop, valid).hair.astype(np.float32)
    mask = cv2.GaussianBlur(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((9, 9))), (0, 0), 1.5)
    back = cv2.warpAffine(
        mask, head_matrix(face.points), image.shape[1::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    shade = to_lab(image)
    middle = np.median(shade[back > 0.5], axis=0)
    contrast = min(1.0, lab[0] / middle[0])
    shade = np.stack(
        [lab[0] + (shade[..., 0] - middle[0]) * contrast, *(np.full(image.shape[:2], part) for part in lab[1:])], -1
    )
    return np.where(back[..., None] > 0.5, from_lab(shade), image).astype(np.uint8)


def test_everybody_of_a_group_gets_their_own_hair(group, clean):
    """Turned heads before a coloured wall would get the wall's colour: grey for black hair."""
    dark = {"black", "dark_brown"}
    likely = [{"orange", "auburn"}, dark, dark, dark, dark, {"blonde"}]
    names = hair_names(group, clean.detector)
    assert len(names) == 6 and all(name in fits for name, fits in zip(names, likely, strict=True)), names


def test_the_name_is_stable(portrait, group, clean):
    """The same person would be brown in one photo and blonde in the next."""
    same = total = 0
    for photo in (portrait, group):
        names = hair_names(photo, clean.detector)
        for kind, image in variants(photo):
            found = hair_names(image, clean.detector)
            assert len(found) == len(names)
            pairs = zip(names, reversed(found) if kind == "mirror" else found, strict=True)
            same, total = same + sum(name == other for name, other in pairs), total + len(names)
    assert same >= 0.9 * total, f"{same} of {total}"


def test_ten_hues_are_named(portrait, clean):
    """Dyed hair, the first thing people look for in their chibi, would come out as another colour."""
    face = find_faces(portrait, clean.detector, turn=False)[0][0]
    named = {hue: hair_names(painted(portrait, face, lab), clean.detector)[0] for hue, lab in HUES.items()}
    assert sum(hue == name for hue, name in named.items()) >= 9, named
