"""The LLaVA family (Liu et al. 2023, arXiv 2304.08485): vision tower, projector, Llama. Teacher and student are two
configs of it."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from pulse.model.config import Config
from pulse.model.llama import LanguageModel
from pulse.model.tower import TOWERS


class Projector(nn.Module):
    """LLaVA-1.5's two-layer projector (mlp2x_gelu): vision features -> the decoder's embedding space."""

    def __init__(self, vision_size: int, hidden_size: int):
        super().__init__()
        self.linear_1 = nn.Linear(vision_size, hidden_size)
        self.linear_2 = nn.Linear(hidden_size, hidden_size)

    def forward(self, features: Tensor) -> Tensor:
        return self.linear_2(F.gelu(self.linear_1(features)))


class Llava(nn.Module):
    """Tensor names follow Hugging Face's LLaVA checkpoints."""

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        vision = config.vision
        self.vision_tower = TOWERS.load(vision.kind).build(vision)
        self.multi_modal_projector = Projector(vision.hidden_size, config.text.hidden_size)
        self.language_model = LanguageModel(config.text)

    def features(self, pixels: Tensor) -> Tensor:
        """pixels float [N, C, H, W] -> image tokens in the decoder's space [N, T, hidden]."""
        return self.multi_modal_projector(self.vision_tower(pixels))
