"""Running small TensorFlow Lite float networks on torch, which ComfyUI has anyway: no other runtime to install, any
device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from ..keypoints import PoseError
from . import flatbuffer

_ACTIVATIONS: dict[int, Callable[[torch.Tensor], torch.Tensor]] = {
    0: lambda x: x,
    1: F.relu,
    3: F.relu6,
    4: torch.tanh,
}


class Network:
    """A loaded graph. Call it with (1, H, W, C) float32; it returns the outputs in the file's order and layout."""

    def __init__(self, path: Path, device: str = "cpu") -> None:
        graph = flatbuffer.read(path)
        self.name = path.name
        self.device = torch.device(device)
        self.inputs, self.outputs = graph.inputs, graph.outputs
        self.input_shape = graph.tensors[graph.inputs[0]].shape
        self._shapes = [t.shape for t in graph.tensors]
        known: dict[int, np.ndarray] = {i: t.data for i, t in enumerate(graph.tensors) if t.data is not None}
        for op in graph.operators:  # half-precision and sparse weights: copies of constants
            if op.code in (6, 124) and op.inputs[0] in known:
                known[op.outputs[0]] = known[op.inputs[0]]
        self._steps = [
            self._step(op, known) for op in graph.operators if not (op.code in (6, 124) and op.outputs[0] in known)
        ]
        last: dict[int, int] = {}
        for number, (inputs, _, _) in enumerate(self._steps):
            for i in inputs:
                last[i] = number
        self._free = [
            [i for i in set(inputs) if last[i] == n and i not in self.outputs]
            for n, (inputs, _, _) in enumerate(self._steps)
        ]

    def __call__(self, picture: np.ndarray) -> list[np.ndarray]:
        values: dict[int, torch.Tensor] = {
            self.inputs[0]: torch.from_numpy(np.ascontiguousarray(picture)).to(self.device).permute(0, 3, 1, 2)
        }
        with torch.inference_mode(), _one_thread():
            for (inputs, output, run), spent in zip(self._steps, self._free, strict=True):
                values[output] = run(*(values[i] for i in inputs))
                for i in spent:
                    values.pop(i, None)
        return [_as_written(values[i]).cpu().numpy() for i in self.outputs]

    def _constant(self, known: dict[int, np.ndarray], index: int) -> torch.Tensor:
        return torch.from_numpy(np.array(known[index])).to(self.device)

    def _step(
        self, op: flatbuffer.Operator, known: dict[int, np.ndarray]
    ) -> tuple[list[int], int, Callable[..., torch.Tensor]]:
        """What to feed, where the result goes, and the function; feature maps are (N, C, H, W) inside."""
        maker = _MAKERS.get(op.code)
        if maker is None:
            raise PoseError(f"{self.name}: operator {op.code} is not supported by this pack's pose networks")
        dynamic = [i for i in op.inputs if i >= 0 and i not in known]
        return dynamic, op.outputs[0], maker(self, op, known)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Layers this small gain nothing from a second thread, and lose a factor of ten waiting for it on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _as_written(x: torch.Tensor) -> torch.Tensor:
    return x.permute(0, 2, 3, 1) if x.dim() == 4 else x


def _same(size: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    reach = (kernel - 1) * dilation + 1
    total = max((-(-size // stride) - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2


def _padded(
    x: torch.Tensor, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]
) -> tuple[torch.Tensor, tuple[int, int]]:
    """``x`` padded as SAME asks, or the symmetric padding for the convolution itself when that is enough."""
    top, bottom = _same(x.shape[2], kernel[0], stride[0], dilation[0])
    left, right = _same(x.shape[3], kernel[1], stride[1], dilation[1])
    if top == bottom and left == right:
        return x, (top, left)
    return F.pad(x, (left, right, top, bottom)), (0, 0)


def _convolution(net: Network, op: flatbuffer.Operator, known: dict[int, np.ndarray]) -> Callable[..., torch.Tensor]:
    depthwise = op.code == 4
    same = op.option(0, "b") == 0
    stride = (op.option(2), op.option(1))
    act = _ACTIVATIONS[op.option(4 if depthwise else 3, "b")]
    dilation = (op.option(6 if depthwise else 5, default=1), op.option(5 if depthwise else 4, default=1))
    weight = net._constant(known, op.inputs[1])
    weight = weight.permute(3, 0, 1, 2) if depthwise else weight.permute(0, 3, 1, 2)
    groups = 1
    if depthwise:
        groups = int(net._shapes[op.inputs[0]][3])
    weight = weight.contiguous(memory_format=torch.channels_last)
    bias = net._constant(known, op.inputs[2]) if len(op.inputs) > 2 and op.inputs[2] >= 0 else None
    kernel = (weight.shape[2], weight.shape[3])

    def run(x: torch.Tensor) -> torch.Tensor:
        pad = (0, 0)
        if same:
            x, pad = _padded(x, kernel, stride, dilation)
        return act(F.conv2d(x, weight, bias, stride, pad, dilation, groups))

    return run


def _pool(net: Network, op: flatbuffer.Operator, known: dict[int, np.ndarray]) -> Callable[..., torch.Tensor]:
    same, stride, kernel = op.option(0, "b") == 0, (op.option(2), op.option(1)), (op.option(4), op.option(3))

    def run(x: torch.Tensor) -> torch.Tensor:
        if same:
            top, bottom = _same(x.shape[2], kernel[0], stride[0])
            left, right = _same(x.shape[3], kernel[1], stride[1])
            x = F.pad(x, (left, right, top, bottom), value=float("-inf"))
        return F.max_pool2d(x, kernel, stride)

    return run


def _add(net: Network, op: flatbuffer.Operator, known: dict[int, np.ndarray]) -> Callable[..., torch.Tensor]:
    act = _ACTIVATIONS[op.option(0, "b")]
    fixed = [i for i in op.inputs if i in known]
    if fixed:
        constant = net._constant(known, fixed[0])
        constant = constant.permute(0, 3, 1, 2) if constant.dim() == 4 else constant
        return lambda x: act(x + constant)
    return lambda a, b: act(a + b)


def _concatenation(net: Network, op: flatbuffer.Operator, known: dict[int, np.ndarray]) -> Callable[..., torch.Tensor]:
    rank = len(net._shapes[op.outputs[0]])
    axis = op.option(0) % rank
    axis = {0: 0, 1: 2, 2: 3, 3: 1}[axis] if rank == 4 else axis
    return lambda *parts: torch.cat(parts, dim=axis)


def _reshape(net: Network, op: flatbuffer.Operator, known: dict[int, np.ndarray]) -> Callable[..., torch.Tensor]:
    shape = net._shapes[op.outputs[0]]

    def run(x: torch.Tensor) -> torch.Tensor:
        x = _as_written(x).reshape(shape)
        return x.permute(0, 3, 1, 2) if x.dim() == 4 else x

    return run


def _resize(net: Network, op: flatbuffer.Operator, known: dict[int, np.ndarray]) -> Callable[..., torch.Tensor]:
    size = tuple(int(v) for v in known[op.inputs[1]])
    if op.option(2, "?", False) or op.option(3, "?", False):
        align = bool(op.option(2, "?", False))
        return lambda x: F.interpolate(x, size=size, mode="bilinear", align_corners=align)

    def run(x: torch.Tensor) -> torch.Tensor:  # the old convention: pixel corners, not centres
        for axis in (2, 3):
            n, m = x.shape[axis], size[axis - 2]
            at = torch.arange(m, device=x.device, dtype=torch.float32) * (n / m)
            low = at.floor().long()
            high = (low + 1).clamp(max=n - 1)
            t = (at - low).reshape((-1, 1) if axis == 2 else (1, -1))
            x = x.index_select(axis, low) * (1 - t) + x.index_select(axis, high) * t
        return x

    return run


def _pad(net: Network, op: flatbuffer.Operator, known: dict[int, np.ndarray]) -> Callable[..., torch.Tensor]:
    (n0, n1), (h0, h1), (w0, w1), (c0, c1) = np.asarray(known[op.inputs[1]]).reshape(-1, 2).tolist()
    return lambda x: F.pad(x, (w0, w1, h0, h1, c0, c1, n0, n1))


def _prelu(net: Network, op: flatbuffer.Operator, known: dict[int, np.ndarray]) -> Callable[..., torch.Tensor]:
    alpha = net._constant(known, op.inputs[1])
    if alpha.numel() == alpha.shape[-1]:
        flat = alpha.reshape(-1)
        return lambda x: F.prelu(x, flat)
    alpha = alpha.reshape(1, *alpha.shape[-3:]).permute(0, 3, 1, 2)
    return lambda x: torch.where(x >= 0, x, x * alpha)


def _dense(net: Network, op: flatbuffer.Operator, known: dict[int, np.ndarray]) -> Callable[..., torch.Tensor]:
    act = _ACTIVATIONS[op.option(0, "b")]
    weight = net._constant(known, op.inputs[1])
    bias = net._constant(known, op.inputs[2]) if len(op.inputs) > 2 and op.inputs[2] >= 0 else None
    return lambda x: act(F.linear(_as_written(x).reshape(1, -1), weight, bias))


def _depth_to_space(net: Network, op: flatbuffer.Operator, known: dict[int, np.ndarray]) -> Callable[..., torch.Tensor]:
    block = op.option(0)

    def run(x: torch.Tensor) -> torch.Tensor:
        n, c, h, w = x.shape
        x = x.reshape(n, block, block, c // block**2, h, w).permute(0, 3, 4, 1, 5, 2)
        return x.reshape(n, c // block**2, h * block, w * block)

    return run


def _mean(net: Network, op: flatbuffer.Operator, known: dict[int, np.ndarray]) -> Callable[..., torch.Tensor]:
    axes = [{0: 0, 1: 2, 2: 3, 3: 1}[int(a) % 4] for a in np.ravel(known[op.inputs[1]])]
    keep = bool(op.option(0, "?", False))
    return lambda x: x.mean(dim=axes, keepdim=keep)


def _unary(function: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    return lambda net, op, known: function


_MAKERS: dict[int, Any] = {
    0: _add,
    2: _concatenation,
    3: _convolution,
    4: _convolution,
    5: _depth_to_space,
    6: _unary(lambda x: x),
    9: _dense,
    14: _unary(torch.sigmoid),
    17: _pool,
    19: _unary(F.relu),
    22: _reshape,
    23: _resize,
    34: _pad,
    40: _mean,
    54: _prelu,
}


@lru_cache(maxsize=8)
def _loaded(path: str, stamp: int, device: str) -> Network:
    return Network(Path(path), device)


def network(path: Path, device: str = "cpu") -> Network:
    """The network of ``path``, kept while it is in use; a changed file is read again."""
    return _loaded(str(path), path.stat().st_mtime_ns, device)
