"""CLIP's vision transformer (Radford et al. 2021, arXiv 2103.00020), cut off where LLaVA reads it.

Tensor names are Hugging Face's CLIPVisionModel's; layers past the one that is read are never built.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pulse.model.towers.clip import ClipVision


class ClipAttention(nn.Module):
    def __init__(self, config: ClipVision):
        super().__init__()
        self.heads = config.num_attention_heads
        size = config.hidden_size
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(size, size) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        batch, length, size = x.shape
        query, key, value = (
            project(x).view(batch, length, self.heads, size // self.heads).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        out = F.scaled_dot_product_attention(query, key, value)
        return self.out_proj(out.transpose(1, 2).reshape(batch, length, size))


class ClipMlp(nn.Module):
    def __init__(self, config: ClipVision):
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        x = self.fc1(x)
        return self.fc2(x * torch.sigmoid(1.702 * x))  # "quick GELU", as OpenAI trained it


class ClipLayer(nn.Module):
    def __init__(self, config: ClipVision):
        super().__init__()
        self.self_attn = ClipAttention(config)
        self.layer_norm1 = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.mlp = ClipMlp(config)
        self.layer_norm2 = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class ClipEmbeddings(nn.Module):
    def __init__(self, config: ClipVision):
        super().__init__()
        size, patch = config.hidden_size, config.patch_size
        patches = (config.height // patch) * (config.width // patch)
        self.class_embedding = nn.Parameter(torch.zeros(size))
        self.patch_embedding = nn.Conv2d(config.in_channels, size, patch, patch, bias=False)
        self.position_embedding = nn.Embedding(patches + 1, size)

    def forward(self, pixels: Tensor) -> Tensor:
        patches = self.patch_embedding(pixels).flatten(2).transpose(1, 2)  # [N, patches, hidden]
        first = self.class_embedding.expand(pixels.shape[0], 1, -1)
        return torch.cat([first, patches], dim=1) + self.position_embedding.weight


class ClipTransformer(nn.Module):
    def __init__(self, config: ClipVision):
        super().__init__()
        self.embeddings = ClipEmbeddings(config)
        self.pre_layrnorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)  # sic: the checkpoints' spelling
        self.encoder = nn.ModuleDict({"layers": nn.ModuleList(ClipLayer(config) for _ in range(config.depth))})

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.pre_layrnorm(self.embeddings(pixels))
        for layer in self.encoder["layers"].children():
            x = layer(x)
        return x


class ClipTower(nn.Module):
    """pixels [N, 3, H, W] -> patch tokens [N, H / patch * W / patch, hidden] of the selected layer."""

    def __init__(self, config: ClipVision):
        super().__init__()
        self.vision_model = ClipTransformer(config)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.vision_model(pixels)[:, 1:]
