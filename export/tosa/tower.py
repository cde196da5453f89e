"""A checkpoint's vision tower on Arm's tools, held against float32: features, and what the decoder makes of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edge_runtime.session import Session
from edge_runtime.tokenizer import Tokenizer
from export.certificate import stages
from export.certificate.across import read_pages
from export.graph.parts import VisionGraph
from export.tosa.environment import Environment
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.model.engine import TorchEngine
from quantize.load import load_model

# Of the features' norm, over all pages: sound towers were seen 2.6 to 3.6 % off, one with a wrong pool 40 %.
LIMIT = 0.04
_CHILD = Path(__file__).with_name("child.py")


@dataclass(frozen=True)
class Found:
    """features: the norm of the difference over that of float32's, all pages together; pages: of each page, by name.
    same_answers: pages whose whole answer stays. probabilities: the largest and the mean difference over pages and
    findings, None where the model has no findings. tools: what export.tosa.child reports."""

    features: float
    pages: Mapping[str, float]
    same_answers: int
    probabilities: tuple[float, float] | None
    tools: Mapping[str, Any]

    @property
    def passes(self) -> bool:
        """Not of features that are no numbers, either."""
        return self.features <= LIMIT


class _Seen:
    """An engine whose features of some pictures were computed elsewhere: those of a tile [C, H, W], by its bytes."""

    def __init__(self, engine: TorchEngine, features: Mapping[bytes, np.ndarray]) -> None:
        self.embed, self.decode, self.empty_cache = engine.embed, engine.decode, engine.empty_cache
        self._features = features

    def vision(self, pixels: np.ndarray) -> np.ndarray:
        return np.concatenate([self._features[tile.tobytes()] for tile in pixels])


def examine(
    checkpoint: Checkpoint,
    pages: Sequence[Path],
    calibration: Sequence[Path],
    npu: str,
    environment: Environment,
    folder: Path,
) -> Found:
    """Write the float32 tower and the pages' pixels into `folder`, let the tools of `environment` work there, and
    compare. Raises UserError for a page that cannot be read, and when the tools fail."""
    model = load_model(checkpoint, "float32")
    tokenizer = Tokenizer(checkpoint.folder / "tokenizer.json")
    engine, inference = TorchEngine(model, checkpoint.config), checkpoint.config.inference
    session = Session(engine, inference, tokenizer)
    pixels = [stages.pixels(session, page) for page in pages]
    tiles = np.concatenate(pixels)
    np.save(folder / "pixels.npy", tiles)
    np.save(folder / "calibration.npy", np.concatenate([stages.pixels(session, page) for page in calibration]))
    program = torch.export.export(VisionGraph(model).eval(), (torch.from_numpy(tiles[:1]),))
    torch.export.save(program, folder / "vision.pt2")
    environment.run(_CHILD, folder, npu)
    features = np.load(folder / "features.npy")
    seen = _Seen(engine, {tile.tobytes(): row for tile, row in zip(tiles, features, strict=True)})
    off = [(seen.vision(each), engine.vision(each)) for each in pixels]
    got, want = (read_pages(Session(by, inference, tokenizer), pages) for by in (seen, engine))
    apart = np.abs(np.stack([a.probabilities - b.probabilities for a, b in zip(got, want, strict=True)]))
    return Found(
        features=relative(*(np.concatenate(side) for side in zip(*off, strict=True))),
        pages={page.name: relative(*each) for page, each in zip(pages, off, strict=True)},
        same_answers=sum(a.token_ids == b.token_ids for a, b in zip(got, want, strict=True)),
        probabilities=(float(apart.max()), float(apart.mean())) if apart.size else None,
        tools=json.loads((folder / "report.json").read_text(encoding="utf-8")),
    )


def relative(got: np.ndarray, want: np.ndarray) -> float:
    """Norm of the difference over the norm of what is wanted."""
    return float(np.linalg.norm(got - want) / np.linalg.norm(want))
