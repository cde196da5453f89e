"""What an export may change about the model's use of pictures and memory; the manifest's `options` records it.

The defaults change nothing: a bundle then shows its model exactly what PULSE's own code would.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from edge_runtime.bundle import Bundle
from edge_runtime.errors import UserError
from edge_runtime.manifest import MANIFEST
from edge_runtime.preprocess import fewer_tiles
from pulse.model.config import ClipVision, Config

KV = ("float", "int8")


@dataclass(frozen=True)
class Options:
    """tiles: at most so many of a page, the squashed one included (None: as many as the model has). merge_tokens:
    blocks of so many by so many of a tile's tokens become their mean. kv: one of KV, keys and values between steps.
    exact: no activation is rounded to 8 bits, which target onnx does in large decoders for their speed.
    """

    tiles: int | None = None
    merge_tokens: int = 1
    kv: str = KV[0]
    exact: bool = False

    def as_json(self) -> dict[str, Any]:
        """Only what differs from the defaults."""
        usual = asdict(Options())
        return {key: value for key, value in asdict(self).items() if value != usual[key]}

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> Options:
        """The options that a bundle's manifest.json records. Raises UserError for some that this version has not."""
        recorded = manifest.get("options", {})
        unknown = sorted(set(recorded) - set(asdict(cls())))
        if unknown:
            raise UserError(f"manifest.json: option {unknown[0]} is not one this version knows; upgrade pulse-edge")
        return cls(**recorded)


def options_of(bundle: Bundle) -> Options:
    """The options that the bundle was exported with. Raises UserError for some that this version has not."""
    return Options.of(json.loads((bundle.folder / MANIFEST).read_text(encoding="utf-8")))


def with_options(config: Config, options: Options) -> Config:
    """The config of the model used so: its `inference.preprocess` gets fewer pinpoints, and `pool`.

    The grid is still chosen as LLaVA chooses it, among those that are left. Merging happens behind the projector, where
    LLaVA-OneVision pools the frames of its videos (Li et al. 2024, arXiv 2408.03326), and by their mean.
    Raises UserError for numbers that the model's tiles do not allow.
    """
    preprocess = config.inference.preprocess
    if options.tiles is not None:
        preprocess = fewer_tiles(preprocess, options.tiles)
    if options.merge_tokens != 1:
        _check_blocks(config, options.merge_tokens)
        preprocess = replace(preprocess, pool=options.merge_tokens)
    return replace(config, inference=replace(config.inference, preprocess=preprocess))


def _check_blocks(config: Config, side: int) -> None:
    vision = config.vision
    if not isinstance(vision, ClipVision):
        raise UserError(f"--merge-tokens {side}: this model's tower gives no grid of patches; leave --merge-tokens out")
    grid = vision.height // vision.patch_size
    if side < 1 or grid % side:
        raise UserError(
            f"--merge-tokens {side}: a tile's {grid}x{grid} tokens do not divide by it; give 2, or leave it out"
        )
