"""What LoRA training leaves (Hu et al. 2021, arXiv 2106.09685), merged into its base model tensor by tensor.

Two layouts: PEFT's folder (adapter_config.json, adapter_model.safetensors or .bin), and LLaVA's, which adds config.json
and non_lora_trainables.bin with the projector. W + scale * B A is computed in float32 and stored in W's own type.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import UserError, shorten
from pulse.files.side_file import read_json

if TYPE_CHECKING:
    from torch import Tensor

ADAPTER = "adapter_config.json"
_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
_BESIDE = "non_lora_trainables.bin"
_A, _B = ".lora_A.weight", ".lora_B.weight"


@dataclass(frozen=True)
class Adapter:
    """scale: of B A. base: what adapter_config.json names as the base model, "" where it names none."""

    folder: Path
    scale: float
    base: str

    @classmethod
    def read(cls, folder: Path) -> Adapter:
        """Raises UserError for a kind of adapter that is not plain LoRA."""
        path = folder / ADAPTER
        data = read_json(path)
        for key, only in _ONLY.items():
            if data.get(key) not in (None, False, *only):
                raise UserError(f"{path}: {key} {shorten(data[key])} is not supported; merge it with peft itself")
        rank, alpha = data.get("r"), data.get("lora_alpha")
        if not isinstance(rank, int) or not isinstance(alpha, int | float) or rank < 1 or not math.isfinite(alpha):
            raise UserError(f"{path}: r and lora_alpha must be numbers; copy the adapter again")
        scale = alpha / (math.sqrt(rank) if data.get("use_rslora") else rank)
        return cls(folder, scale, str(data.get("base_model_name_or_path") or ""))

    def files(self) -> list[Path]:
        """Its weight files. Raises UserError when it has none."""
        found = [path for name in (*_WEIGHTS, _BESIDE) if (path := self.folder / name).is_file()]
        if not any(path.name in _WEIGHTS for path in found):
            raise UserError(f"{self.folder}: no {_WEIGHTS[0]}; copy the adapter again")
        return found

    def merged(
        self, stored: Iterator[tuple[str, Callable[[], Tensor]]], read: Callable[[Path], dict[str, Tensor]]
    ) -> Iterator[tuple[str, Callable[[], Tensor]]]:
        """(name, how to get it) of the base's tensors with the adapter in them, and of those that only it has.

        read: a weight file's tensors. Raises UserError when the adapter is for another base model.
        """
        pairs: dict[str, dict[str, Tensor]] = {}
        whole: dict[str, Tensor] = {}
        for path in self.files():
            for key, tensor in read(path).items():
                name = _base_name(key)
                end = next((end for end in (_A, _B) if name.endswith(end)), None)
                if end is not None:
                    pairs.setdefault(f"{name.removesuffix(end)}.weight", {})[end] = tensor
                elif "lora_" in name:
                    raise UserError(f"{path}: holds {key}, which is not plain LoRA; merge it with peft itself")
                else:
                    whole[name] = tensor
        for name, get in stored:
            if name in whole:
                yield name, _given(whole.pop(name))
            elif (pair := pairs.pop(name, None)) is not None:
                yield name, self._sum(name, get, pair)
            else:
                yield name, get
        if pairs:
            raise UserError(
                f"{self.folder}: changes {next(iter(pairs))}, which its base model does not have; give the base that "
                "it was trained on with --base"
            )
        yield from ((name, _given(tensor)) for name, tensor in whole.items())

    def _sum(self, name: str, get: Callable[[], Tensor], pair: dict[str, Tensor]) -> Callable[[], Tensor]:
        def read() -> Tensor:
            weight = get()
            if set(pair) != {_A, _B} or (pair[_B].shape[0], pair[_A].shape[1]) != tuple(weight.shape):
                raise UserError(
                    f"{self.folder}: its part of {name} does not fit the base model's {list(weight.shape)}; give the "
                    "base that it was trained on with --base"
                )
            return (weight.float() + self.scale * (pair[_B].float() @ pair[_A].float())).to(weight.dtype)

        return read


# Keys of adapter_config.json, and the values besides None and false that change nothing.
_ONLY: dict[str, tuple[Any, ...]] = {
    "peft_type": ("LORA",),
    "bias": ("none",),
    # The others (pissa, olora, corda, loftq, lora_ga) change the base model's own weights before training.
    "init_lora_weights": (True, "gaussian", "eva", "orthogonal", "mica"),
    "use_dora": (),
    "fan_in_fan_out": (),
    "rank_pattern": ({},),
    "alpha_pattern": ({},),
    "lora_bias": (),
    "megatron_config": (),
    "layer_replication": ([],),
    "trainable_token_indices": ([], {}),
    "target_parameters": ([],),
    "alora_invocation_tokens": (),
    "use_qalora": (),
    "use_bdlora": (),
    "arrow_config": (),
    "kasa_config": (),
    "monteclora_config": (),
}


def _base_name(key: str) -> str:
    """A tensor's name in the base model: PEFT's wrapping and LLaVA's second "model." taken off."""
    name = key.removeprefix("base_model.model.").replace(".modules_to_save.default.", ".").replace(".default.", ".")
    return name.removeprefix("model.") if name.startswith("model.model.") else name


def _given(tensor: Tensor) -> Callable[[], Tensor]:
    return lambda: tensor
