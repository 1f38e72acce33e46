"""Face parsing with BiSeNet (19 CelebAMask-HQ classes), for people who have its weights: research licence, never downloaded by us.

Architecture: "BiSeNet" (Yu et al. 2018) on ResNet-18, as in the public face-parsing weights ``79999_iter.pth``.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..precision import mixed
from .attributes import Regions, describe, head_crop
from .colors import to_lab
from .errors import IdentityError
from .geometry import HEAD_SIZE
from .model import Face, Guess

if TYPE_CHECKING:
    from torch import Tensor, nn

SKIN, LEFT_BROW, RIGHT_BROW, LEFT_EYE, RIGHT_EYE, GLASSES, EARRING = 1, 2, 3, 4, 5, 6, 9
NECK, CLOTH, HAIR, HAT = 14, 16, 17, 18
_INPUT = 512
_STEP = _INPUT // HEAD_SIZE  # only the pixels that are asked for are decided
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _network() -> nn.Module:
    """The network with the published weights' names; only the main output is kept."""
    import torch
    from torch import nn
    from torch.nn import functional

    class Block(nn.Module):
        def __init__(self, inside: int, outside: int, stride: int) -> None:
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False), nn.BatchNorm2d(outside)
            self.conv2, self.bn2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False), nn.BatchNorm2d(outside)
            self.downsample = None
            if inside != outside or stride != 1:
                self.downsample = nn.Sequential(
                    nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside)
                )

        def forward(self, x: Tensor) -> Tensor:
            y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
            return functional.relu((x if self.downsample is None else self.downsample(x)) + y)

    class ResNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
            self.layer1 = nn.Sequential(Block(64, 64, 1), Block(64, 64, 1))
            self.layer2 = nn.Sequential(Block(64, 128, 2), Block(128, 128, 1))
            self.layer3 = nn.Sequential(Block(128, 256, 2), Block(256, 256, 1))
            self.layer4 = nn.Sequential(Block(256, 512, 2), Block(512, 512, 1))

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(x))), 3, 2, 1)
            eighth = self.layer2(self.layer1(x))
            sixteenth = self.layer3(eighth)
            return eighth, sixteenth, self.layer4(sixteenth)

    class ConvNorm(nn.Module):
        def __init__(self, inside: int, outside: int, size: int = 3) -> None:
            super().__init__()
            self.conv, self.bn = nn.Conv2d(inside, outside, size, 1, size // 2, bias=False), nn.BatchNorm2d(outside)

        def forward(self, x: Tensor) -> Tensor:
            return functional.relu(self.bn(self.conv(x)))

    class Refine(nn.Module):
        def __init__(self, inside: int, outside: int) -> None:
            super().__init__()
            self.conv = ConvNorm(inside, outside)
            self.conv_atten, self.bn_atten = nn.Conv2d(outside, outside, 1, bias=False), nn.BatchNorm2d(outside)

        def forward(self, x: Tensor) -> Tensor:
            feature = self.conv(x)
            return feature * torch.sigmoid(self.bn_atten(self.conv_atten(feature.mean((2, 3), keepdim=True))))

    class Context(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.resnet = ResNet()
            self.arm16, self.arm32 = Refine(256, 128), Refine(512, 128)
            self.conv_head32, self.conv_head16 = ConvNorm(128, 128), ConvNorm(128, 128)
            self.conv_avg = ConvNorm(512, 128, 1)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            eighth, sixteenth, last = self.resnet(x)
            whole = self.conv_avg(last.mean((2, 3), keepdim=True))
            low = self.conv_head32(
                functional.interpolate(self.arm32(last) + whole, sixteenth.shape[2:], mode="nearest")
            )
            return eighth, self.conv_head16(
                functional.interpolate(self.arm16(sixteenth) + low, eighth.shape[2:], mode="nearest")
            )

    class Fusion(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convblk = ConvNorm(256, 256, 1)
            self.conv1, self.conv2 = nn.Conv2d(256, 64, 1, bias=False), nn.Conv2d(64, 256, 1, bias=False)

        def forward(self, near: Tensor, far: Tensor) -> Tensor:
            feature = self.convblk(torch.cat([near, far], dim=1))
            gate = torch.sigmoid(self.conv2(functional.relu(self.conv1(feature.mean((2, 3), keepdim=True)))))
            return feature + feature * gate

    class Output(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.conv_out = ConvNorm(256, 256), nn.Conv2d(256, 19, 1, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv_out(self.conv(x))

    class BiSeNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cp, self.ffm, self.conv_out = Context(), Fusion(), Output()

        def forward(self, x: Tensor) -> Tensor:
            eighth, far = self.cp(x)
            return functional.interpolate(
                self.conv_out(self.ffm(eighth, far)), x.shape[2:], mode="bilinear", align_corners=True
            )

    return BiSeNet().eval()


def _fold(module: nn.Module) -> None:
    """Every batch norm into the convolution before it: the same function, a tenth faster."""
    from torch import nn
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    pairs = [("0", "1"), ("conv1", "bn1"), ("conv2", "bn2"), ("conv", "bn"), ("conv_atten", "bn_atten")]
    for first, second in pairs:
        convolution, norm = getattr(module, first, None), getattr(module, second, None)
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            setattr(module, first, fuse_conv_bn_eval(convolution, norm))
            setattr(module, second, nn.Identity())
    for child in module.children():
        _fold(child)


class FaceParser:
    """BiSeNet on one head. Raises :class:`IdentityError` when the weights do not fit."""

    def __init__(self, path: Path) -> None:
        import torch

        self._net = _network()
        try:
            weights = torch.load(str(path), map_location="cpu", weights_only=True)
            missing, _ = self._net.load_state_dict(weights, strict=False)
        except Exception as error:
            raise IdentityError(
                f"{path.name} in {path.parent} is not the BiSeNet face-parsing file ({error}): download it again"
            ) from error
        if missing:
            raise IdentityError(
                f"{path.name} in {path.parent} lacks {len(missing)} layers of the BiSeNet face parser: download it again"
            )
        _fold(self._net)
        self._net = self._net.to(memory_format=torch.channels_last)
        self._lock = threading.Lock()

    def labels(self, crop: np.ndarray) -> np.ndarray:
        """Class of every pixel of a head crop [256, 256, 3] uint8 RGB: [256, 256] uint8."""
        import cv2
        import torch

        big = cv2.resize(crop, (_INPUT, _INPUT), interpolation=cv2.INTER_LINEAR)
        x = (torch.from_numpy(big.astype(np.float32) / 255) - torch.tensor(_MEAN)) / torch.tensor(_STD)
        with self._lock, torch.inference_mode():
            # in half the time; 1 pixel in 900 is called otherwise
            with mixed("cpu"):
                found = self._net(x.permute(2, 0, 1)[None].contiguous(memory_format=torch.channels_last))
            found = found[:, :, ::_STEP, ::_STEP].argmax(1)[0].to(torch.uint8).numpy()
        return found

    def read(self, image: np.ndarray, face: Face) -> dict[str, Guess]:
        """Attributes of one face with parsed regions; falls back to nothing where the parser sees no skin."""
        crop, valid = head_crop(image, face)
        label = self.labels(crop)
        hair, skin = (label == HAIR) & valid, (label == SKIN) & valid
        if skin.sum() < 400:
            return {}
        sure = float(np.clip(hair.sum() / 2500, 0, 1))
        regions = Regions(hair, skin, valid, np.median(to_lab(crop[skin]), axis=0), sure)
        found = describe(image, face, crop, regions)
        found.update(_worn(label, valid))
        if hair.sum() < 250 and (label == HAT).sum() < 400 and valid[:90].mean() > 0.9:
            found["hair.style"] = Guess("bald", 0.6)
        if (label == HAT).sum() > 1200 and "hair.color" in found and hair.sum() < 1500:
            found["hair.color"] = Guess(
                found["hair.color"].value, found["hair.color"].confidence * 0.6, found["hair.color"].name
            )
        return found


def _worn(label: np.ndarray, valid: np.ndarray) -> dict[str, Guess]:
    """Glasses, hat and earrings from their areas."""
    found: dict[str, Guess] = {}
    glasses = int((label == GLASSES).sum())
    eyes = int(np.isin(label, (LEFT_EYE, RIGHT_EYE)).sum())
    if glasses > 350:
        dark = eyes < 40 and glasses > 1200
        found["glasses.kind"] = Guess("sunglasses" if dark else "glasses", min(0.95, 0.6 + glasses / 5000))
    elif glasses < 60:
        found["glasses.kind"] = Guess("none", 0.9)
    hat = int((label == HAT).sum())
    if hat > 1200:
        found["hat.kind"] = Guess("hat", min(0.9, 0.5 + hat / 12000))
    elif hat < 100 and valid[:80].mean() > 0.9:
        found["hat.kind"] = Guess("none", 0.8)
    if int((label == EARRING).sum()) > 60:
        found["earrings.kind"] = Guess("earrings", 0.55)
    brows = int(np.isin(label, (LEFT_BROW, RIGHT_BROW)).sum())
    if brows > 620:
        found["brows.style"] = Guess("thick", 0.45)
    return found
