"""The decoder in a published config.json: every key that changes what a Llama computes is read, or refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from edge_runtime.errors import UserError, shorten
from edge_runtime.fields import Fields
from pulse.model.config import Decoder

# Keys with one value that this version computes; transformers takes that value where the key is absent.
_ONLY: dict[str, tuple[Any, ...]] = {
    "hidden_act": ("silu", "swish"),  # two names of one function
    "attention_bias": (False,),
    "mlp_bias": (False,),
    "tie_word_embeddings": (False,),
    "sliding_window": (None,),
    "partial_rotary_factor": (1, None),
}


def decoder_of(data: Mapping[str, Any], path: Path, newline: bool) -> Decoder:
    """The sizes in `data`, a Llama's config as transformers 4 or 5 writes it; absent ones are transformers' defaults.

    newline: whether the token table gains LLaVA's image_newline. Raises UserError naming the key that this version
    cannot compute, or whose value is none.
    """
    for key, values in _ONLY.items():
        if key in data and data[key] not in values:
            raise UserError(f"{path}: {key} {shorten(data[key])} is not supported; this version reads {values[0]}")
    fields = Fields(_with_defaults(data), str(path), "download the checkpoint again")
    size, heads = fields.integer("hidden_size", 1), fields.integer("num_attention_heads", 1)
    return Decoder(
        vocab_size=fields.integer("vocab_size", 1),
        hidden_size=size,
        intermediate_size=fields.integer("intermediate_size", 1),
        num_hidden_layers=fields.integer("num_hidden_layers", 1),
        num_attention_heads=heads,
        num_key_value_heads=heads
        if fields.is_null("num_key_value_heads")
        else fields.integer("num_key_value_heads", 1),
        head_dim=size // heads if fields.is_null("head_dim") else fields.integer("head_dim", 1),
        rms_norm_eps=_number(fields, "rms_norm_eps"),
        rope_theta=_theta(fields, path),
        max_position_embeddings=fields.integer("max_position_embeddings", 1),
        extra_embeddings=int(newline),
    )


def _with_defaults(data: Mapping[str, Any]) -> dict[str, Any]:
    defaults = {
        "vocab_size": 32000,
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1e4,
        "max_position_embeddings": 2048,
    }
    return {**defaults, **data}


def _theta(fields: Fields, path: Path) -> float:
    """Of the plain rotary embedding: rope_theta beside the sizes (transformers 4), or in rope_parameters (5)."""
    theta = _number(fields, "rope_theta")
    for key in ("rope_scaling", "rope_parameters"):
        rope = fields.data.get(key)
        if rope is None:
            continue
        inside = fields.child(key)
        kind = inside.data.get("rope_type", inside.data.get("type", "default"))
        # A factor without a kind, or a section a kind of layer: more than the plain embedding either way.
        more = {name for name, value in inside.data.items() if name == "factor" or isinstance(value, dict)}
        if kind != "default" or inside.data.get("partial_rotary_factor", 1) != 1 or more:
            raise UserError(f"{path}: {key} {shorten(rope)} is not supported; this version reads rope_type 'default'")
        if "rope_theta" in inside.data:
            theta = _number(inside, "rope_theta")
    return theta


def _number(fields: Fields, key: str) -> float:
    """A positive number; some tools write numbers as text."""
    value = fields.data.get(key)
    if isinstance(value, str):
        with suppress(ValueError):  # otherwise named with its value below
            fields = Fields({key: float(value)}, fields.where, fields.fix)
    found = fields.number(key, 0)
    if found == 0:
        raise UserError(f"{fields.where}: {key} must be more than 0; {fields.fix}")
    return found
