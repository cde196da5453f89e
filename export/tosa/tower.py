"""A checkpoint's vision tower on Arm's tools, held against float32: features, and what the decoder makes of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edge_runtime.engines import Engine
from edge_runtime.errors import UserError
from edge_runtime.session import Session
from edge_runtime.tokenizer import Tokenizer
from export.certificate import stages
from export.certificate.across import read_pages
from export.graph.parts import VisionGraph
from export.tosa.environment import Environment
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.checkpoint.tokenizer import TOKENIZER
from pulse.model.engine import TorchEngine
from pulse.model.llava import Llava
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


class Seen:
    """An engine whose features of some tiles were computed elsewhere. features: [T, D] of a tile [C, H, W], by the
    bytes of its float32 pixels."""

    def __init__(self, engine: Engine, features: Mapping[bytes, np.ndarray]) -> None:
        self.embed, self.decode, self.empty_cache = engine.embed, engine.decode, engine.empty_cache
        self._features = features

    def vision(self, pixels: np.ndarray) -> np.ndarray:
        """Features [N * T, D] of tiles [N, C, H, W]. Raises UserError for one that was not computed."""
        try:
            return np.concatenate([self._features[tile.tobytes()] for tile in pixels])
        except KeyError:
            raise UserError(
                "a page is looked at turned or cut in another way than Arm's tools were given it; use upright pages"
            ) from None


def simulate(
    model: Llava, tiles: np.ndarray, calibration: np.ndarray, npu: str, environment: Environment, folder: Path
) -> dict[bytes, np.ndarray]:
    """What Arm's reference model computes of tiles [N, C, H, W], as Seen takes it; ranges are those of `calibration`.

    Leaves in `folder` what export.tosa.child reads and writes. Raises UserError when the tools fail.
    """
    np.save(folder / "pixels.npy", tiles)
    np.save(folder / "calibration.npy", calibration)
    program = torch.export.export(VisionGraph(model).eval(), (torch.from_numpy(tiles[:1]),))
    torch.export.save(program, folder / "vision.pt2")
    environment.run(_CHILD, folder, npu)
    features = np.load(folder / "features.npy")
    return {tile.tobytes(): row for tile, row in zip(tiles, features, strict=True)}


def examine(
    checkpoint: Checkpoint,
    pages: Sequence[Path],
    calibration: Sequence[Path],
    npu: str,
    environment: Environment,
    folder: Path,
) -> Found:
    """Both towers on the same pages, that of Arm's tools in `folder`. Raises UserError for a page that cannot be read,
    and when the tools fail."""
    model = load_model(checkpoint, "float32")
    checkpoint.write_tokenizer(folder / TOKENIZER)
    tokenizer = Tokenizer(folder / TOKENIZER)
    engine, inference = TorchEngine(model, checkpoint.config), checkpoint.config.inference
    session = Session(engine, inference, tokenizer)
    tested, ranges = ([stages.pixels(session, page) for page in each] for each in (pages, calibration))
    found = simulate(model, np.concatenate(tested), np.concatenate(ranges), npu, environment, folder)
    seen = Seen(engine, found)
    off = [(seen.vision(each), engine.vision(each)) for each in tested]
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
