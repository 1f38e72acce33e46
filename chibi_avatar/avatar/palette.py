"""What became of each colour: from the old paint to the pictures, part by part, learnt where both are seen and applied where they are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .raster import chunks

if TYPE_CHECKING:
    import torch

_STEPS = 8  # of each channel of the paint's colour
_PRIOR = 4.0  # texels that the more general mean counts for


class Palette:
    """Mean change of colour by part and colour of the paint, a trilinear table.

    ``part`` (N,) int64 below ``parts``, ``paint`` and ``picture`` (N, 3) float32 0..1 are seen texels, ``trust`` (N,) how well.
    """

    def __init__(
        self, part: torch.Tensor, paint: torch.Tensor, picture: torch.Tensor, trust: torch.Tensor, parts: int
    ) -> None:
        import torch

        cells = (_STEPS + 1) ** 3
        change = torch.cat([picture - paint, torch.ones_like(paint[:, :1])], 1).double() * trust[:, None]
        table = torch.zeros((parts * cells, 4), dtype=torch.float64, device=paint.device)
        for cell, share in _corners(part, paint):
            table.index_add_(0, cell, change * share[:, None])
        # a colour not seen on its part changes as it does elsewhere, and one seen nowhere like the rest
        all_parts = table.view(parts, cells, 4).sum(0)
        total = all_parts.sum(0)
        prior = total[:3] / total[3].clamp(min=1e-9)
        prior = (all_parts[:, :3] + _PRIOR * prior) / (all_parts[:, 3:] + _PRIOR)
        prior = prior.repeat(parts, 1)
        table = ((table[:, :3] + _PRIOR * prior) / (table[:, 3:] + _PRIOR)).float()
        self._table = table.view(1, parts * (_STEPS + 1), _STEPS + 1, _STEPS + 1, 3).permute(0, 4, 1, 2, 3)

    def apply(self, part: torch.Tensor, paint: torch.Tensor) -> torch.Tensor:
        """The colours (N, 3) that the pictures would show for ``paint`` (N, 3) of ``part`` (N,); not clamped."""
        import torch

        last = self._table.shape[2] - 1
        out = paint.clone()
        for piece in chunks(len(paint), paint.device):
            red, green, blue = paint[piece].clamp(0, 1).unbind(1)
            layer = part[piece] * (_STEPS + 1) + red * _STEPS
            place = torch.stack([blue * 2 - 1, green * 2 - 1, layer * (2 / last) - 1], 1)[None, None, None]
            out[piece] += torch.nn.functional.grid_sample(self._table, place, align_corners=True)[0, :, 0, 0].T
        return out


def _corners(part: torch.Tensor, paint: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The eight cells of the table around each colour, and their shares."""
    place = paint.clamp(0, 1) * _STEPS
    low = place.long().clamp_(max=_STEPS - 1)
    high = place - low
    side = _STEPS + 1
    first = ((part * side + low[:, 0]) * side + low[:, 1]) * side + low[:, 2]
    out = []
    for r in (0, 1):
        for g in (0, 1):
            for b in (0, 1):
                share = (high[:, 0] if r else 1 - high[:, 0]) * (high[:, 1] if g else 1 - high[:, 1])
                out.append((first + (r * side + g) * side + b, share * (high[:, 2] if b else 1 - high[:, 2])))
    return out
