"""The processes that train one student together, as `accelerate launch` or torchrun started them; one when alone.

A batch belongs to all processes: each takes its share of the same pages, so a recipe means the same on one CPU and on
many GPUs. Only the main process writes. Gradients are averaged here and not by DistributedDataParallel, whose hooks do
not see the rounded weights that quantization-aware training differentiates through (quantize.qat).
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import timedelta

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import reduce
from torch import nn

from edge_runtime.errors import UserError


class Distributed:
    """accumulate: each process takes its share of a batch in so many parts, where it does not fit into memory at once.

    device: where this process computes; the given one when it is alone.
    """

    def __init__(self, device: torch.device, accumulate: int = 1):
        # The others wait for hours while the main process packs records or trains the signal teacher.
        self._state = PartialState(cpu=device.type == "cpu", timeout=timedelta(days=7))
        self.size, self.rank, self.main = (
            self._state.num_processes,
            self._state.process_index,
            self._state.is_main_process,
        )
        self.accumulate = accumulate
        self.device = device if self.size == 1 or device.type == "cpu" else self._state.device

    def part(self, batch: int) -> int:
        """Records that this process takes at once. Raises UserError when the batch cannot be shared evenly."""
        parts = self.size * self.accumulate
        if batch % parts:
            raise UserError(
                f"a batch of {batch} is not shared evenly by {self.size} processes in {self.accumulate} parts each; "
                "take another number of processes, or another --accumulate"
            )
        return batch // parts

    def share(self, order: np.ndarray, batch: int) -> np.ndarray:
        """Of an epoch's order [n] those that this process takes, batch by batch; a last part of a batch is left out."""
        share = self.part(batch) * self.accumulate
        whole = order[: len(order) // batch * batch].reshape(-1, batch)
        return whole[:, self.rank * share : (self.rank + 1) * share].ravel()

    def sum(self, value: float) -> float:
        """Over the processes."""
        if self.size == 1:
            return value
        return float(reduce(torch.tensor(value, dtype=torch.float32, device=self.device), "sum"))

    def average(self, model: nn.Module) -> None:
        """Replace the gradients, and the statistics of batch norms, by their means over the processes."""
        if self.size == 1:
            return
        floats = [buffer for buffer in model.buffers() if buffer.is_floating_point()]
        tensors = [*(p.grad for p in model.parameters() if p.grad is not None), *floats]
        flat = reduce(torch.cat([tensor.detach().float().ravel() for tensor in tensors]), "mean")
        for tensor, mean in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.detach().copy_(mean.view_as(tensor))

    def main_first(self) -> AbstractContextManager[None]:
        """The main process runs the block; the others run it after, and find on disk what it made."""
        return self._state.main_process_first()

    def wait(self) -> None:
        """Until every process is here."""
        self._state.wait_for_everyone()
