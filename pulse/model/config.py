"""The named sizes of a LLaVA-family model, read from and written to a checkpoint's config.json."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from edge_runtime.errors import UserError
from edge_runtime.fields import Fields
from edge_runtime.inference import Inference, ModelSpec, special_tokens
from pulse.model.tower import TOWERS, Tower, Vision


@dataclass(frozen=True)
class Decoder:
    """Llama; the names are those of its config.json.

    extra_embeddings: rows of the token table past the vocabulary, which no token has: LLaVA's image_newline.
    """

    vocab_size: int = 32000
    hidden_size: int = 4096
    intermediate_size: int = 11008
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int = 32
    head_dim: int = 128
    rms_norm_eps: float = 1e-5
    rope_theta: float = 1e4
    max_position_embeddings: int = 4096
    extra_embeddings: int = 0

    def spec(self, bos_token_id: int | None, eos_token_ids: tuple[int, ...]) -> ModelSpec:
        """What a session needs to know of the decoder."""
        return ModelSpec(
            vocab_size=self.vocab_size,
            hidden_size=self.hidden_size,
            layers=self.num_hidden_layers,
            kv_heads=self.num_key_value_heads,
            head_dim=self.head_dim,
            context_length=self.max_position_embeddings,
            bos_token_id=bos_token_id,
            eos_token_ids=eos_token_ids,
        )


@dataclass(frozen=True)
class Config:
    """A whole model, and how it is used. `extra` keeps the fields of config.json that are not ours, such as
    quantization_config. Raises ValueError when `inference` is about a decoder of other sizes."""

    vision: Vision
    text: Decoder
    inference: Inference
    name: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        model = self.inference.model
        if model != self.text.spec(model.bos_token_id, model.eos_token_ids):
            raise ValueError(f"inference is about a decoder of other sizes: {model} and {self.text}")

    def resized(self, vision: Vision, text: Decoder) -> Config:
        """A model of other sizes that is used in the same way."""
        model = self.inference.model
        spec = text.spec(model.bos_token_id, model.eos_token_ids)
        return replace(self, vision=vision, text=text, inference=replace(self.inference, model=spec))

    def to_json(self) -> dict[str, Any]:
        return {
            "model_type": MODEL_TYPE,
            "name": self.name,
            "vision_config": asdict(self.vision),
            "text_config": asdict(self.text),
            INFERENCE: {
                **self.inference.to_dict(),
                "bos_token_id": self.inference.model.bos_token_id,
                "eos_token_ids": list(self.inference.model.eos_token_ids),
            },
            **self.extra,
        }


MODEL_TYPE = "pulse_llava"
INFERENCE, _INFERENCE_0_1 = "inference", "runtime"  # the section's name, and what version 0.1 wrote


def parse_config(data: dict[str, Any], path: Path) -> Config:
    """Config of our own config.json's content. Raises UserError when it lacks a field."""
    data = {key: value for key, value in data.items() if key != "model_type"}
    try:
        vision = dict(data.pop("vision_config"))
        tower = _tower(vision["kind"], path)
        vision = {k: tuple(v) if isinstance(v, list) else v for k, v in vision.items()}
        text = Decoder(**data.pop("text_config"))
        section = _INFERENCE_0_1 if _INFERENCE_0_1 in data else INFERENCE
        return Config(
            vision=tower.config(**vision),
            text=text,
            inference=parse_inference(data.pop(section, None), text, f"{path}: {section}"),
            name=data.pop("name", ""),
            extra=data,
        )
    except (KeyError, TypeError) as error:
        raise UserError(f"{path} lacks or misnames a field ({error}); it may come from another version") from None


def _tower(kind: str, path: Path) -> Tower:
    try:
        return TOWERS.load(kind)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def parse_inference(section: object, text: Decoder, where: str) -> Inference:
    """The section "inference" of a model with this decoder. where: how messages name the section. Raises UserError
    naming the first wrong field."""
    fields = Fields(section, where, "correct it, or make the checkpoint again")
    return Inference.from_fields(fields, text.spec(*special_tokens(fields, text.vocab_size)))
