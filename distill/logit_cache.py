"""A teacher's token logits on disk: it is asked about each page of an epoch once, and a cut-off run resumes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from distill.token_logits import TokenLogits
from edge_runtime.files import replacing


class LogitCache:
    """A teacher's token logits for every page of an epoch, in `folder`, memory-mapped.

    starts int64 [pages + 1]: where each page's positions begin.
    """

    def __init__(self, folder: Path) -> None:
        self._starts = np.load(folder / "starts.npy")
        width = int((folder / "width").read_text())
        self._ids = np.memmap(folder / "ids", np.int32, "r").reshape(-1, width)
        self._logs = np.memmap(folder / "logs", np.float16, "r").reshape(-1, width)

    def of(self, items: Iterable[int]) -> TokenLogits:
        """Of these pages, one after the other."""
        rows = np.concatenate([np.arange(self._starts[k], self._starts[k + 1]) for k in items])
        return TokenLogits(
            torch.from_numpy(self._ids[rows].astype(np.int64)), torch.from_numpy(self._logs[rows].astype(np.float32))
        )


def cache_logits(folder: Path, pages: int, ask: Callable[[range], list[TokenLogits]], batch: int = 16) -> LogitCache:
    """Ask about every page once, `batch` at a time; a run that was cut off goes on where it stopped.

    ask: a range of pages -> each page's token logits.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done_path, starts_path = folder / "done", folder / "starts.npy"
    if starts_path.exists():
        return LogitCache(folder)
    counts: list[int] = [int(n) for n in done_path.read_text().split()] if done_path.exists() else []
    width = int((folder / "width").read_text()) if counts else 0
    with open(folder / "ids", "ab") as ids, open(folder / "logs", "ab") as logs:
        # What was written after the last note of what is done is written again.
        ids.truncate(4 * width * sum(counts))
        logs.truncate(2 * width * sum(counts))
        bar = tqdm(total=pages, initial=len(counts), desc=f"token logits {folder.name}")
        while len(counts) < pages:
            found = ask(range(len(counts), min(len(counts) + batch, pages)))
            for one in found:
                ids.write(one.ids.cpu().numpy().astype(np.int32).tobytes())
                logs.write(one.logs.cpu().numpy().astype(np.float16).tobytes())
                counts.append(len(one.ids))
            (folder / "width").write_text(str(found[0].ids.shape[1]))
            ids.flush()
            logs.flush()
            done_path.write_text(" ".join(map(str, counts)))
            bar.update(len(found))
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    with replacing(starts_path) as aside:
        np.save(aside, starts)
    return LogitCache(folder)
