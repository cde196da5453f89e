"""What a teacher of the student's own vocabulary would say at every token of the student's dialogues.

Its likeliest tokens are kept, with the log-probability of each, and all others count as one: the student's loss is the
Kullback-Leibler divergence between the two distributions over these (Hinton et al. 2015, arXiv 1503.02531; with the
tail as one class it is a lower bound of the whole, by the log-sum inequality).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

TOP = 16  # tokens kept of a vocabulary of a thousand
_TINY = 1e-6


@dataclass(frozen=True)
class Advice:
    """ids int64 and logs float32 [N, TOP]: a teacher's likeliest tokens and their log-probabilities, at N positions."""

    ids: Tensor
    logs: Tensor

    def to(self, device: torch.device) -> Advice:
        return Advice(self.ids.to(device), self.logs.to(device))


def advice_of(logits: Tensor) -> Advice:
    """From a teacher's logits [N, V]."""
    logs, ids = logits.float().log_softmax(-1).topk(min(TOP, logits.shape[-1]))
    return Advice(ids, logs)


def divergence(logits: Tensor, advice: Advice) -> Tensor:
    """Kullback-Leibler divergence [N] of the student's distribution, logits [N, V], from the teacher's."""
    ours = logits.float().log_softmax(-1).gather(-1, advice.ids)
    theirs, p = advice.logs, advice.logs.exp()
    ours_rest, theirs_rest = ((1 - each.exp().sum(-1)).clamp(min=_TINY) for each in (ours, theirs))
    return (p * (theirs - ours)).sum(-1) + theirs_rest * (theirs_rest.log() - ours_rest.log())


class AdviceCache:
    """A teacher's advice on every page of an epoch's dialogues, in `folder`, memory-mapped.

    starts int64 [pages + 1]: where each page's positions begin.
    """

    def __init__(self, folder: Path) -> None:
        self._starts = np.load(folder / "starts.npy")
        width = int((folder / "width").read_text())
        self._ids = np.memmap(folder / "ids", np.int32, "r").reshape(-1, width)
        self._logs = np.memmap(folder / "logs", np.float16, "r").reshape(-1, width)

    def of(self, items: Iterable[int]) -> Advice:
        """On these pages, one after the other."""
        rows = np.concatenate([np.arange(self._starts[k], self._starts[k + 1]) for k in items])
        return Advice(
            torch.from_numpy(self._ids[rows].astype(np.int64)), torch.from_numpy(self._logs[rows].astype(np.float32))
        )


def cache_advice(folder: Path, pages: int, ask: Callable[[range], list[Advice]], batch: int = 16) -> AdviceCache:
    """Ask about every page once, `batch` at a time; a run that was cut off goes on where it stopped.

    ask: a range of pages -> each page's advice.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done_path, starts_path = folder / "done", folder / "starts.npy"
    if starts_path.exists():
        return AdviceCache(folder)
    counts: list[int] = [int(n) for n in done_path.read_text().split()] if done_path.exists() else []
    width = int((folder / "width").read_text()) if counts else 0
    with open(folder / "ids", "ab") as ids, open(folder / "logs", "ab") as logs:
        # What was written after the last note of what is done is written again.
        ids.truncate(4 * width * sum(counts))
        logs.truncate(2 * width * sum(counts))
        bar = tqdm(total=pages, initial=len(counts), desc=f"advice {folder.name}")
        while len(counts) < pages:
            found = ask(range(len(counts), min(len(counts) + batch, pages)))
            for advice in found:
                ids.write(advice.ids.cpu().numpy().astype(np.int32).tobytes())
                logs.write(advice.logs.cpu().numpy().astype(np.float16).tobytes())
                counts.append(len(advice.ids))
            (folder / "width").write_text(str(found[0].ids.shape[1]))
            ids.flush()
            logs.flush()
            done_path.write_text(" ".join(map(str, counts)))
            bar.update(len(found))
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    partial = starts_path.with_suffix(".partial.npy")
    np.save(partial, starts)
    partial.replace(starts_path)
    return AdviceCache(folder)
