"""Similar cases: records of PTB-XL whose ECG and report lie next to a page's embedding (after arXiv 2304.06286).

The embedding is a small network on what the vision tower saw of the page, run by numpy on any engine; the index is one
file of the bundle, written by `python -m distill.retrieval`. A query compares the page with every case.
"""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass

import numpy as np

from edge_runtime.errors import UserError

ARTIFACT, FILE = "cases", "cases.npz"
SOURCE = "PTB-XL 1.0.3 (Wagner et al. 2020), CC BY 4.0"
_ARRAYS = ("mean", "scale", "w1", "b1", "w2", "b2", "vectors", "ids", "age", "sex", "codes", "reports", "model")


@dataclass(frozen=True)
class Case:
    """A record like the page. record: its ecg_id in PTB-XL. similarity: cosine of the embeddings. statements: its
    SCP-ECG codes. report: as PTB-XL has it, German or English. age in years (90: 90 or older)
    and sex, None where not known."""

    record: int
    similarity: float
    statements: tuple[str, ...]
    report: str
    age: int | None
    sex: str | None
    source: str = SOURCE


def pooled(features: np.ndarray) -> np.ndarray:
    """float32 [2 D] of what the tower saw, [t, D]: its first token beside the mean of the others."""
    rest = features[1:] if len(features) > 1 else features
    return np.concatenate([features[0], rest.mean(0)]).astype(np.float32)


class CaseIndex:
    """Cases with their vectors int8 [n, d], each 127 times a unit vector, and the network that embeds a page.

    model: the digest of the checkpoint whose tower saw them; another's pages lie elsewhere."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Read a file that distill.retrieval wrote; raises UserError for any other."""
        try:
            with np.load(path, allow_pickle=False) as kept:
                arrays = {name: kept[name] for name in _ARRAYS}
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise UserError(f"{path}: is no index of cases ({error}); export the bundle again") from None
        self._net = {name: arrays[name].astype(np.float32) for name in _ARRAYS[:6]}
        self.vectors, self.ids, self.model = arrays["vectors"], arrays["ids"], str(arrays["model"])
        self._age, self._sex = arrays["age"], arrays["sex"]
        self._codes, self._reports = (bytes(arrays[name]).decode().split("\n") for name in ("codes", "reports"))
        if {len(part) for part in (self.vectors, self._age, self._sex, self._codes, self._reports)} != {len(self.ids)}:
            raise UserError(f"{path}: its parts are of different lengths; export the bundle again")
        # The product of float32 runs in BLAS, that of int8 does not; the lengths make up for the rounding.
        self._floats = self.vectors.astype(np.float32)
        self._floats /= np.maximum(np.linalg.norm(self._floats, axis=1, keepdims=True), 1e-9)

    def __len__(self) -> int:
        return len(self.ids)

    def embed(self, seen: np.ndarray) -> np.ndarray:
        """Unit vectors float32 [..., d] of `pooled` values [..., 2 D]. Raises UserError for another tower's."""
        net = self._net
        if seen.shape[-1] != len(net["mean"]):
            raise UserError(f"the cases are of a tower of width {len(net['mean']) // 2}, not {seen.shape[-1] // 2}")
        hidden = np.maximum((seen - net["mean"]) / net["scale"] @ net["w1"] + net["b1"], 0)
        made = hidden @ net["w2"] + net["b2"]
        unit: np.ndarray = made / np.maximum(np.linalg.norm(made, axis=-1, keepdims=True), 1e-9)
        return unit

    def nearest(self, seen: np.ndarray, k: int) -> list[Case]:
        """The k cases nearest to a page's `pooled` values [2 D], nearest first. Raises UserError for a k below 1."""
        if k < 1:
            raise UserError(f"{k} similar cases cannot be shown; ask for 1 or more")
        scores = self._floats @ self.embed(seen)
        return [self._case(int(row), float(scores[row])) for row in np.argsort(-scores, kind="stable")[:k]]

    def _case(self, row: int, similarity: float) -> Case:
        age, sex = int(self._age[row]), int(self._sex[row])
        codes = tuple(filter(None, self._codes[row].split(" ")))
        report = self._reports[row]
        return Case(
            int(self.ids[row]), similarity, codes, report, None if age < 0 else age, (None, "male", "female")[sex]
        )
