"""Checkpoint + graphs -> bundle folder: what every target's exporter shares, so that the targets only write graphs."""

from __future__ import annotations

import datetime
import platform
from dataclasses import asdict
from importlib import metadata
from typing import Any

from export.options import Options
from export.target import Target
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.model.config import Config


def manifest_of(
    config: Config,
    source: Checkpoint,
    target: Target[Any],
    weights: str,
    artifacts: dict[str, str],
    options: Options | None = None,
) -> dict[str, Any]:
    """The manifest's fields but `files` and `format_version`, which edge_runtime.bundle.write_manifest adds.

    artifacts: what the target wrote, such as {"vision": "vision.onnx"}, paths relative to the bundle. options: those
    that `config` has been given already, which are recorded.
    """
    tools = ("pulse-edge", "torch", *target.packages)
    return {
        "name": config.name or source.name,
        "target": target.name,
        "title": target.title,
        "weights": weights,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "source": {"checkpoint": config.name or source.name, "sha256": source.digest()},
        "tools": {**{name: metadata.version(name) for name in tools}, "python": platform.python_version()},
        "model": asdict(config.inference.model),
        **config.inference.to_dict(),
        "artifacts": artifacts,
        "options": (options or Options()).as_json(),
    }
