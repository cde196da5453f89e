"""The waves of one lead of every record, as the delineator (edge_runtime/waves) marks them, for two recipes.

Lead II alone: the waves of a record lie at the same instants in all leads, and twelve leads take twelve times as long.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tqdm import tqdm

from edge_runtime.waves.delineate import delineate

LEAD = 1
FS = 100.0
MOST = 96  # waves of ten seconds: more than 32 beats of three
KINDS = ("P", "QRS", "T")
KEEP_EVERY = 200  # records


def marks(signals: np.ndarray, rows: np.ndarray, folder: Path) -> np.ndarray:
    """int16 [n, MOST, 3] of `signals` [n, 12, samples] in microvolts: index in KINDS, onset and offset in samples of
    each wave in the order of onsets; -1 behind the last, and where a row is not asked for.

    marks.npy in `folder` keeps them, marks.done how many rows are done: a run that was cut off goes on from there.
    """
    path, done_path = folder / "marks.npy", folder / "marks.done"
    done = int(done_path.read_text()) if done_path.exists() else 0
    shape = (len(signals), MOST, 3)
    kept = np.lib.format.open_memmap(path, "r+" if done else "w+", np.int16, None if done else shape)
    if not done:
        kept[:] = -1
    for number in tqdm(range(done, len(rows)), "waves", initial=done, total=len(rows)):
        found = of_record(signals[rows[number]])
        kept[rows[number], : len(found)] = found
        if (number + 1) % KEEP_EVERY == 0 or number + 1 == len(rows):
            kept.flush()
            done_path.write_text(str(number + 1))
    return np.array(kept)


def of_record(signal: np.ndarray) -> np.ndarray:
    """int16 [k, 3] of one signal [12, samples] in microvolts."""
    waves = delineate(signal[LEAD : LEAD + 1].astype(np.float32) / 1000, FS)[0][:MOST]
    rows = [(KINDS.index(wave.kind), round(wave.onset * FS), round(wave.offset * FS)) for wave in waves]
    return np.array(rows, np.int16).reshape(-1, 3)
