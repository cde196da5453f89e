"""A checkpoint whose vision tower Arm's reference model computed in 8 bits (export.tosa), with its decoder in torch."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.subjects.subject import Subject, torch_session
from benchmarks.task import Asked, Drawn
from edge_runtime.prefix import Picture, page_prefix
from edge_runtime.session import Session
from export.pages import example_pages
from export.tosa.environment import Environment
from export.tosa.tower import Seen, simulate
from pulse.checkpoint.checkpoint import Checkpoint
from quantize.load import load_model

NPU = "ethos-u85-256"


@dataclass(frozen=True)
class OnTosa(Subject):
    """features: see export.tosa.tower.Seen. graph: SHA-256 of the tower that TOSA took."""

    features: Mapping[bytes, np.ndarray] = field(default_factory=dict)
    graph: str = ""

    @classmethod
    def compute(cls, checkpoint: Checkpoint, asked: Iterable[Asked], environment: Environment) -> OnTosa:
        """Every picture that is asked about through the tools, which take all of them at once; ranges are those of the
        project's own pages, whose records are not among those of the sample. Raises UserError when the tools fail."""
        session = torch_session(checkpoint)
        pictures = (each.picture for each in asked)
        tested = _tiles(session, (each.page() if isinstance(each, Drawn) else each for each in pictures))
        with tempfile.TemporaryDirectory() as name:
            folder, model = Path(name), load_model(checkpoint, "float32")
            found = simulate(model, tested, _tiles(session, example_pages()), NPU, environment, folder)
            graph = hashlib.sha256((folder / "vision.tosa").read_bytes()).hexdigest()
        return cls(checkpoint, features=found, graph=graph)

    @property
    def evidence(self) -> str:
        return "simulated"

    def about(self) -> dict[str, Any]:
        whole = super().about()
        digest = hashlib.sha256(f"{self.graph}{whole['sha256']}".encode()).hexdigest()
        return {**whole, "target": f"tosa, {NPU}", "weights": "tower int8, decoder float32", "sha256": digest}

    def _session(self, threads: int | None) -> Session:
        session = super()._session(threads)
        session.engine = Seen(session.engine, self.features)
        return session


def _tiles(session: Session, pictures: Iterable[Picture]) -> np.ndarray:
    """float32 [N, C, H, W]: what the tower is given of these pictures, in order."""
    given: list[np.ndarray] = []
    engine = session.engine

    class Noting:
        embed = staticmethod(engine.embed)

        @staticmethod
        def vision(pixels: np.ndarray) -> np.ndarray:
            given.append(pixels)
            return engine.vision(pixels)

    for picture in pictures:
        page_prefix(picture, Noting(), session.inference, session.prompt)
    return np.concatenate(given)
