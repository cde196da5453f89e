"""What a student is: everything that `pulse-distill --student NAME` needs to know of it, in one file of
distill/students, whose object is called STUDENT."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from distill.runs import DecoderRun, TowerRun
from edge_runtime.inference import PromptSpec
from edge_runtime.preprocess import PreprocessSpec
from pulse.model.config import Decoder
from pulse.model.tower import GridVision

if TYPE_CHECKING:
    from torch import Tensor

    from distill.dataset_cache import DatasetCache

# The grey page that pulse-nano and pulse-small see; mean and deviation are each student's own.
GREY_PAGE = PreprocessSpec("fit", 544, 384, "grey", "bilinear", 255, mean=(0.0,), std=(1.0,))


@dataclass(frozen=True)
class Student:
    """name: of its checkpoint. vision, text: sizes of tower and decoder. preprocess, prompt: in training and later.
    end: the id of the token that ends an answer.

    tower, decoder: the default recipe of each stage. teachers: names of its default teachers. views: how many
    differently drawn pages of each record the decoder sees. origin: a sentence of its card about what it begins with.
    Subclasses begin with other weights, or bring a tokenizer.
    """

    name: str
    vision: GridVision
    text: Decoder
    preprocess: PreprocessSpec
    prompt: PromptSpec
    end: int
    tower: TowerRun = field(default_factory=TowerRun)
    decoder: DecoderRun = field(default_factory=DecoderRun)
    teachers: tuple[str, ...] = ("signal",)
    views: int = 2
    origin: str = ""

    def for_device(self, device: str) -> Student:
        """The student as a device of this type ("cpu", "cuda") trains it."""
        return self

    def check(self) -> None:
        """Raises UserError, before anything is trained, when a part is missing or has other sizes."""

    def write_tokenizer(self, cache: DatasetCache, rows: np.ndarray, path: Path) -> None:
        """Write tokenizer.json to `path`; rows [n]: the records that a new tokenizer is learned from."""
        from distill.tokens import train_tokenizer

        train_tokenizer(cache, rows, path, self.text.vocab_size)

    def tower_state(self) -> Mapping[str, Tensor] | None:
        """The weights that the tower begins with; None: random ones."""
        return None

    def decoder_state(self) -> Mapping[str, Tensor] | None:
        """The weights that the decoder begins with; None: random ones."""
        return None
