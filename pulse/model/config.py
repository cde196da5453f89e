"""The named sizes of a LLaVA-family model, read from and written to a checkpoint's config.json."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from edge_runtime.errors import UserError
from edge_runtime.fields import Fields
from edge_runtime.inference import Inference, ModelSpec, special_tokens


@dataclass(frozen=True)
class ConvVision:
    """A residual conv tower on a grey page, for the student.

    The stem divides the sides by four and every stage but the first by two; `pool` averages the last grid. The tower
    gives one token for the whole page and one for each pooled cell.
    """

    kind: str = "conv"
    height: int = 384
    width: int = 544
    in_channels: int = 1
    channels: tuple[int, ...] = (32, 48, 96, 192)
    blocks: tuple[int, ...] = (0, 1, 1, 1)
    pool: int = 2
    batch_norm: bool = False  # True while training; checkpoints are saved with the norms folded into the convolutions

    @property
    def hidden_size(self) -> int:
        return self.channels[-1]

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the pooled grid."""
        stride = 4 * 2 ** (len(self.channels) - 1) * self.pool
        return -(-self.height // stride), -(-self.width // stride)


@dataclass(frozen=True)
class EfficientVision:
    """EfficientNet-Lite0 on a grey page. The tower divides the sides by 32 and gives tokens as ConvVision's does;
    `pool` and `batch_norm` are as there. The other fields are Lite0's own sizes."""

    kind: str = "efficientnet-lite0"
    height: int = 384
    width: int = 544
    in_channels: int = 1
    stem: int = 32
    channels: tuple[int, ...] = (16, 24, 40, 80, 112, 192, 320)
    blocks: tuple[int, ...] = (1, 2, 2, 3, 3, 4, 1)
    hidden_size: int = 1280
    pool: int = 3
    batch_norm: bool = False

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the pooled grid."""
        return -(-self.height // (32 * self.pool)), -(-self.width // (32 * self.pool))


# Towers whose tokens are a page's grid of cells (pulse.model.towers.conv.GridTower).
GridVision = ConvVision | EfficientVision


@dataclass(frozen=True)
class ClipVision:
    """CLIP ViT as LLaVA uses it: the patch tokens of hidden layer `select_layer`, the class token dropped."""

    kind: str = "clip"
    height: int = 336
    width: int = 336
    in_channels: int = 3
    patch_size: int = 14
    hidden_size: int = 1024
    intermediate_size: int = 4096
    num_hidden_layers: int = 24
    num_attention_heads: int = 16
    layer_norm_eps: float = 1e-5
    select_layer: int = -2

    @property
    def depth(self) -> int:
        """Layers up to the one that is read; hidden state 0 is the embeddings."""
        return self.num_hidden_layers + 1 + self.select_layer if self.select_layer < 0 else self.select_layer


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

    vision: GridVision | ClipVision
    text: Decoder
    inference: Inference
    name: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        model = self.inference.model
        if model != self.text.spec(model.bos_token_id, model.eos_token_ids):
            raise ValueError(f"inference is about a decoder of other sizes: {model} and {self.text}")

    def resized(self, vision: GridVision | ClipVision, text: Decoder) -> Config:
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
_VISION = {"conv": ConvVision, "efficientnet-lite0": EfficientVision, "clip": ClipVision}


def parse_config(data: dict[str, Any], path: Path) -> Config:
    """Config of our own config.json's content. Raises UserError when it lacks a field."""
    data = {key: value for key, value in data.items() if key != "model_type"}
    try:
        vision = dict(data.pop("vision_config"))
        vision_class = _VISION[vision["kind"]]
        vision = {k: tuple(v) if isinstance(v, list) else v for k, v in vision.items()}
        text = Decoder(**data.pop("text_config"))
        section = _INFERENCE_0_1 if _INFERENCE_0_1 in data else INFERENCE
        return Config(
            vision=vision_class(**vision),
            text=text,
            inference=parse_inference(data.pop(section, None), text, f"{path}: {section}"),
            name=data.pop("name", ""),
            extra=data,
        )
    except (KeyError, TypeError) as error:
        raise UserError(f"{path} lacks or misnames a field ({error}); it may come from another version") from None


def parse_inference(section: object, text: Decoder, where: str) -> Inference:
    """The section "inference" of a model with this decoder. where: how messages name the section. Raises UserError
    naming the first wrong field."""
    fields = Fields(section, where, "correct it, or make the checkpoint again")
    return Inference.from_fields(fields, text.spec(*special_tokens(fields, text.vocab_size)))
