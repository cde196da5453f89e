"""What a bundle makes of a page, stage by stage: the results that certificates compare. numpy and edge_runtime only.

python -m export.certificate.stages BUNDLE OUT.npz PAGE [PAGE ...] writes every stage's results, so that another
processor's kernels can be held against this one's without torch there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from edge_runtime import image
from edge_runtime.bundle import Bundle
from edge_runtime.engines import Cache, Engine, open_engine
from edge_runtime.errors import UserError
from edge_runtime.prefix import Picture, page_prefix
from edge_runtime.preprocess import canvas, draft_size
from edge_runtime.preprocess import pixels as to_pixels
from edge_runtime.session import Session
from edge_runtime.tokenizer import Tokenizer

GREEDY_TOKENS = 32


def pixels(session: Session, page: Path) -> np.ndarray:
    """float32 [N, C, H, W]."""
    spec = session.inference.preprocess
    return to_pixels(image.load(page, draft=draft_size(spec)), spec)


def pixels_by_definition(session: Session, page: Path) -> np.ndarray:
    """(value / 255 - mean) / std in float64, written out; the runtime does it with a table."""
    spec = session.inference.preprocess
    values = canvas(image.load(page, draft=draft_size(spec)), spec).astype(np.float64) / 255
    return ((values - np.array(spec.mean)) / np.array(spec.std)).transpose(0, 3, 1, 2)


def features(session: Session, page: Path) -> np.ndarray:
    """float32 [T, D]."""
    return session.engine.vision(pixels(session, page))


def after_prompt(session: Session, page: Picture) -> tuple[np.ndarray, Cache]:
    """Logits [V] and cache after the whole first turn, read in two steps as the runtime does: up to the image, then the
    question."""
    engine, inference, prompt = session.engine, session.inference, session.prompt
    _, cache = engine.decode(page_prefix(page, engine, inference, prompt).embeds, engine.empty_cache())
    return engine.decode(engine.embed(prompt.after_image(inference.default_question)), cache)


def first_logits(session: Session, page: Picture) -> np.ndarray:
    """float32 [V]."""
    return after_prompt(session, page)[0]


def greedy_tokens(session: Session, page: Path, most: int = GREEDY_TOKENS) -> np.ndarray:
    """The ids of the answer to the default question, at most `most`, and -1: the end counts too."""
    reply = session.look(page).ask(
        temperature=0, max_new_tokens=most, findings=False, allow_non_ecg=True, unconstrained=True
    )
    return np.array([*reply.finish().token_ids, -1])


def probabilities(session: Session, page: Path) -> np.ndarray:
    """float64, one a finding, then is_ecg where the model has it."""
    observation = session.look(page)
    is_ecg = [] if observation.is_ecg is None else [observation.is_ecg]
    return np.array([finding.probability for finding in observation.findings()] + is_ecg)


# In the order of the data.
STAGES: dict[str, Callable[[Session, Path], np.ndarray]] = {
    "pixels": pixels,
    "vision_features": features,
    "first_logits": first_logits,
    "greedy_tokens": greedy_tokens,
    "label_probabilities": probabilities,
}


class SeesOnce:
    """An engine that keeps the features of the last picture: a large or emulated vision tower takes seconds."""

    def __init__(self, engine: Engine) -> None:
        self.embed, self.decode, self.empty_cache = engine.embed, engine.decode, engine.empty_cache
        self._vision = engine.vision
        self._last: tuple[np.ndarray, np.ndarray] | None = None

    def vision(self, pixels: np.ndarray) -> np.ndarray:
        if self._last is None or not np.array_equal(self._last[0], pixels):
            self._last = pixels, self._vision(pixels)
        return self._last[1]


def results(bundle: Bundle, pages: Sequence[Path], engine: Engine | None = None) -> dict[str, np.ndarray]:
    """Every stage of every page, by `key`, with the bundle's own runtime or another engine. Raises UserError as the
    runtime does."""
    eyes = SeesOnce(engine or open_engine(bundle))
    session = Session(eyes, bundle.manifest.inference, Tokenizer(bundle.path("tokenizer")))
    return {key(stage, page): compute(session, page) for page in pages for stage, compute in STAGES.items()}


def key(stage: str, page: Path) -> str:
    return f"{page.name}:{stage}"


def main(argv: Sequence[str]) -> int:
    """Run the command; exit status 0 done, 2 refused, with one line."""
    bundle, out, *pages = argv
    try:
        np.savez(out, **results(Bundle.load(bundle), [Path(page) for page in pages]))  # type: ignore[arg-type]
        return 0
    except UserError as error:
        print(f"export.certificate.stages: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
