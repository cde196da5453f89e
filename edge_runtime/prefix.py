"""From a picture to what the decoder reads first: tiles, vision, packed image tokens, and the words before them.

The only copy: sessions, certificates, calibration, teachers and benchmarks all call it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from PIL import Image

from edge_runtime import image as pictures
from edge_runtime.inference import Inference
from edge_runtime.learnt import page_features
from edge_runtime.page.reading import DRAFT, Reading, read
from edge_runtime.preprocess import as_picture, draft_size, pack_image_tokens, pixels
from edge_runtime.prompt import Prompt
from edge_runtime.similar import pooled

Picture = str | os.PathLike[str] | bytes | Image.Image | np.ndarray


_TO_THE_RIGHT = {1: Image.Transpose.ROTATE_270, 2: Image.Transpose.ROTATE_180, 3: Image.Transpose.ROTATE_90}


class Eyes(Protocol):
    """What a page needs of an engine."""

    def vision(self, pixels: np.ndarray) -> np.ndarray:
        """Features float32 [N * t, D] of tiles float32 [N, C, H, W]."""

    def embed(self, ids: Sequence[int]) -> np.ndarray:
        """Embeddings float32 [S, D] of token ids; vocab_size is the row past the vocabulary, if there is one."""


class Prefix(NamedTuple):
    """embeds: float32 [P, D] of everything before the question. picture: as it came, RGB. seen: what the tiles were cut
    from, RGB. reading: what was found in the picture, None where it was not looked at for that. features: float32 [D],
    learnt.page_features of the tower's tokens. pooled: float32 [2 D], similar.pooled of them. preprocess_ms, vision_ms:
    what tiles and tower took."""

    embeds: np.ndarray
    picture: Image.Image
    seen: Image.Image
    reading: Reading | None
    features: np.ndarray
    pooled: np.ndarray
    preprocess_ms: float
    vision_ms: float


def page_prefix(
    picture: Picture, engine: Eyes, inference: Inference, prompt: Prompt, page: int | None = None, turns: int = 0
) -> Prefix:
    """What the decoder reads before the question about a picture: a path, a file's bytes, a PIL image, or a uint8 array
    [H, W] or [H, W, 3].

    page: of a PDF or multi-page TIFF, from 1. turns: quarter turns to the right that it is given first. Raises
    UserError for a picture that cannot be read.
    """
    started = time.perf_counter()
    spec = inference.preprocess
    if isinstance(picture, str | os.PathLike | bytes):
        picture = pictures.load(picture, page, DRAFT if inference.flatten else draft_size(spec))
    else:
        picture = pictures.to_rgb(as_picture(picture))
        picture.load()  # one that was only opened is not read by several threads at once
    reading = read(picture) if inference.flatten else None
    page_seen = picture if reading is None else reading.picture
    if turns:
        page_seen = page_seen.transpose(_TO_THE_RIGHT[turns])
    tiles = pixels(page_seen, spec)
    prepared = time.perf_counter()

    def newline() -> np.ndarray:
        return engine.embed([inference.model.vocab_size])[0]

    tokens = engine.vision(tiles)
    seen = pack_image_tokens(tokens, len(tiles), page_seen.size, spec, newline)
    ended = time.perf_counter()
    before = prompt.before_image()
    embeds = np.concatenate([engine.embed(before), seen]) if before else seen
    milliseconds = 1e3 * (prepared - started), 1e3 * (ended - prepared)
    return Prefix(embeds, picture, page_seen, reading, page_features(tokens), pooled(tokens), *milliseconds)
