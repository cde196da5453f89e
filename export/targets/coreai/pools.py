"""Average pools as coreai-torch can lower them: no stride left out, no padding, no partial windows.

Its lowering (0.4.3) fails on a stride that is left out and on ceil_mode (coreai-torch#73), and where it does not it
counts padding whatever it is told and drops partial windows, without a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

POOL = torch.ops.aten.avg_pool2d.default


def pool_with_its_windows(
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0, 0),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor: int | None = None,
) -> Any:
    """A decomposition of aten.avg_pool2d: zeros are padded around x, and a pool of ones puts the divisor right.

    NotImplemented for a pool that counts its padding, as those that this one is made of, or has a divisor of its own.
    """
    stride = list(stride) or list(kernel)
    if divisor is not None or count_include_pad:
        return NotImplemented
    sizes = x.shape[-2:]
    after = [_after(*each, ceil_mode) for each in zip(sizes, kernel, stride, padding, strict=True)]
    around = [padding[1], after[1], padding[0], after[0]]
    ones = torch.ones(1, 1, *sizes, dtype=x.dtype)
    mean, share = (POOL(F.pad(each, around), kernel, stride, [0, 0], False, True) for each in (x, ones))
    return mean / share


def _after(size: int, kernel: int, stride: int, before: int, ceil_mode: bool) -> int:
    """Zeros behind a side, so that the last window is whole."""
    room = size + 2 * before - kernel
    steps = -(-room // stride) if ceil_mode else room // stride
    return max(0, steps * stride + kernel - size - before)
