"""What the trained tower sees of each training page, kept on disk: the decoder stage then costs no convolutions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from distill.pages import Pages


@dataclass(frozen=True)
class Features:
    """tokens float16 [n, T, C], memory-mapped; rows int64 [n] of the cache, -1 where the page is no ECG; shown int64
    [n]: distill.pages.Shown of each."""

    tokens: np.ndarray
    rows: np.ndarray
    shown: np.ndarray


@torch.no_grad()
def cache_features(
    tower: nn.Module, pages: Pages, folder: Path, device: torch.device, workers: int = 1, batch: int = 32
) -> Features:
    """Features of every page, computed once; a run that was cut off goes on where it stopped."""
    folder.mkdir(parents=True, exist_ok=True)
    tokens_path, done_path = folder / "tokens.npy", folder / "done"
    rows_path, shown_path = folder / "rows.npy", folder / "shown.npy"
    done = int(done_path.read_text()) if done_path.exists() else 0
    if done < len(pages):
        probe = torch.from_numpy(np.zeros((1, 1, pages.spec.height, pages.spec.width), np.float32)).to(device)
        shape, mode = (len(pages), *tower(probe).shape[1:]), "r+" if done else "w+"
        tokens = np.lib.format.open_memmap(tokens_path, mode, np.float16, shape)
        rows = np.lib.format.open_memmap(rows_path, mode, np.int64, (len(pages),))
        how = np.lib.format.open_memmap(shown_path, mode, np.int64, (len(pages),))
        rest = torch.utils.data.Subset(pages, range(done, len(pages)))
        bar = tqdm(
            DataLoader(rest, batch, num_workers=workers),
            "features",
            initial=done // batch,
            total=-(-len(pages) // batch),
        )
        for pixels, row, shown in bar:
            seen = tower(pixels.to(device, memory_format=torch.channels_last)).float().cpu().numpy()
            now = slice(done, done + len(row))
            tokens[now], rows[now], how[now] = seen, row.numpy(), shown.numpy()
            done += len(row)
            if done // batch % 50 == 0 or done == len(pages):
                for kept in (tokens, rows, how):
                    kept.flush()
                done_path.write_text(str(done))
    return Features(*(np.load(path, mmap_mode="r") for path in (tokens_path, rows_path, shown_path)))
