"""The part of the student that answers: projector and decoder, trained on what the tower sees."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distill.dialogues import Batch
from distill.token_logits import TokenLogits, divergence
from pulse.model.config import Decoder
from pulse.model.llama import LanguageModel
from pulse.model.llava import Projector


class Speaker(nn.Module):
    """Projector and decoder, named as in the whole model."""

    def __init__(self, vision_size: int, text: Decoder):
        super().__init__()
        self.multi_modal_projector = Projector(vision_size, text.hidden_size)
        self.language_model = LanguageModel(text)

    def hidden(self, features: Tensor, batch: Batch, image_start: int) -> Tensor:
        """features [B, T, C] spliced into the packed sequences -> hidden states [B, L, hidden]."""
        embeds = self.language_model.model.embed_tokens(batch.ids)
        image = self.multi_modal_projector(features)
        end = image_start + image.shape[1]
        embeds = torch.cat([embeds[:, :image_start], image, embeds[:, end:]], dim=1)
        return self.language_model.model(embeds, positions=batch.positions[:, None], mask=batch.mask)[0]

    def logits(self, features: Tensor, batch: Batch, image_start: int) -> Tensor:
        """[N, V], at the N positions that predict a token of an answer; the head runs on those alone."""
        return self.language_model.lm_head(self.hidden(features, batch, image_start)[batch.weights > 0])

    def forward(
        self, features: Tensor, batch: Batch, image_start: int, teachers: Sequence[TokenLogits] = (), share: float = 0.0
    ) -> Tensor:
        """Weighted mean over the answers' tokens of their cross-entropy, of which `share` gives way to the divergence
        from the teachers' token logits, where there are any."""
        at = batch.weights > 0
        logits = self.logits(features, batch, image_start)
        each = F.cross_entropy(logits.float(), batch.targets[at], reduction="none")
        if teachers:
            divergences = torch.stack([divergence(logits, one) for one in teachers])
            each = (1 - share) * each + share * divergences.mean(0)
        return (each * batch.weights[at]).sum() / batch.weights[at].sum()


def initialise(model: Speaker, text: Decoder) -> None:
    """GPT-2's scheme: small normals, the residual outputs smaller with depth (Radford et al. 2019)."""
    for name, parameter in model.language_model.named_parameters():
        if parameter.dim() == 2:
            residual = name.endswith(("o_proj.weight", "down_proj.weight"))
            nn.init.normal_(parameter, std=0.02 / ((2 * text.num_hidden_layers) ** 0.5 if residual else 1))
