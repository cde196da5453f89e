"""What an export may change about the model's use of pictures and memory; the manifest's `options` records it.

The defaults change nothing: a bundle then shows its model exactly what PULSE's own code would.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields, replace
from typing import Any

from edge_runtime.bundle import Bundle
from edge_runtime.errors import UserError
from edge_runtime.manifest import MANIFEST
from edge_runtime.preprocess import fewer_tiles
from export.target import OwnOptions, Target, find
from pulse.model.config import Config


@dataclass(frozen=True)
class Options:
    """tiles: at most so many of a page, the squashed one included (None: as many as the model has). merge_tokens:
    blocks of so many by so many of a tile's tokens become their mean. own: those of the target alone.
    """

    tiles: int | None = None
    merge_tokens: int = 1
    own: OwnOptions = field(default_factory=OwnOptions)

    def as_json(self) -> dict[str, Any]:
        """Only what differs from the defaults."""
        common = {} if self.tiles is None else {"tiles": self.tiles}
        return {
            **common,
            **({} if self.merge_tokens == 1 else {"merge_tokens": self.merge_tokens}),
            **self.own.recorded(),
        }


def options_of(bundle: Bundle, target: Target[Any] | None = None) -> Options:
    """The options that the bundle was exported with. Raises UserError for some that this version has not."""
    target = target or find(bundle.manifest.target)
    manifest = json.loads((bundle.folder / MANIFEST).read_text(encoding="utf-8"))
    recorded = dict(manifest.get("options", {}))
    common = {name: recorded.pop(name) for name in ("tiles", "merge_tokens") if name in recorded}
    unknown = sorted(set(recorded) - {each.name for each in fields(target.options)})
    if unknown:
        raise UserError(f"manifest.json: option {unknown[0]} is not one this version knows; upgrade pulse-edge")
    return Options(**common, own=target.options(**recorded))


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
    config = replace(config, inference=replace(config.inference, preprocess=preprocess))
    return config if options.own.context is None else _with_context(config, options.own.context)


def _with_context(config: Config, positions: int) -> Config:
    most = config.text.max_position_embeddings
    if not 1 <= positions <= most:
        raise UserError(f"a context of {positions} positions: this model has 1 to {most}; give a number between them")
    return config.resized(config.vision, replace(config.text, max_position_embeddings=positions))


def _check_blocks(config: Config, side: int) -> None:
    grid = config.vision.patches
    if grid is None:
        raise UserError(f"--merge-tokens {side}: this model's tower gives no grid of patches; leave --merge-tokens out")
    if side < 1 or grid % side:
        raise UserError(
            f"--merge-tokens {side}: a tile's {grid}x{grid} tokens do not divide by it; give 2, or leave it out"
        )
