"""Target "gguf": decoder.gguf and mmproj.gguf for llama.cpp and the programs that are made of it.

The 4-bit layers are the checkpoint's own integers (Q4_0). llama.cpp rounds activations to 8 bits in groups and keeps
keys and values in float16.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from edge_runtime.errors import UserError
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.checkpoint.tokenizer import SENTENCEPIECE
from pulse.model.config import Config
from pulse.model.llava import Llava
from pulse.model.towers.clip import ClipVision

DECODER, VISION = "decoder.gguf", "mmproj.gguf"
WEIGHTS = ("int4", "float16", "float32")


def warnings(config: Config) -> list[str]:
    """What llama.cpp itself does not do as the model's own code does."""
    notes = [
        "llama.cpp (seen up to July 2026) puts CLIP's class token behind the patches, which shifts their positions "
        "(ggml-org/llama.cpp issue 25814, fixed in its pull request 25844): until then vision_features fails",
        "llama.cpp resizes a whole page with its own filter, so its programs see slightly other pixels",
    ]
    if config.inference.preprocess.merge == "spatial_unpad":
        notes.append("llama.cpp lays tiles one after the other, and this model was trained on one grid with line ends")
    return notes


def check(source: Checkpoint, config: Config, weights: str) -> None:
    """Raises UserError when something has no place in llama.cpp: a tower other than CLIP, another tokenizer, weights
    other than WEIGHTS, merged image tokens; and when the gguf package is missing."""
    if importlib.util.find_spec("gguf") is None:
        raise UserError("target gguf needs the gguf package, which is not installed; pip install gguf")
    if not isinstance(config.vision, ClipVision):
        raise UserError(
            f"target gguf: llama.cpp reads CLIP towers, and that of {config.name or source.name} is a convolution; "
            "use another --target"
        )
    if weights not in WEIGHTS:
        raise UserError(f"target gguf has no form for {weights} weights; use --weights {', '.join(WEIGHTS)}")
    if config.inference.preprocess.pool != 1:
        raise UserError("target gguf: llama.cpp does not merge image tokens; leave --merge-tokens out")
    if not (source.folder / SENTENCEPIECE).is_file():
        raise UserError(
            f"{source.folder}: target gguf takes its tokens from {SENTENCEPIECE}, which is not there; copy it in"
        )


def write_graphs(model: Llava, config: Config, weights: str, folder: Path, source: Checkpoint) -> dict[str, str]:
    """Write decoder.gguf and mmproj.gguf into `folder`; returns the manifest's artifacts.

    source: the checkpoint, whose tokenizer.model goes in. Raises UserError as check does.
    """
    check(source, config, weights)
    from export.targets.gguf.decoder import write_decoder
    from export.targets.gguf.vision import write_vision

    half = weights != "float32"
    write_decoder(model, config, folder / DECODER, source.folder / SENTENCEPIECE, half)
    write_vision(model, config, folder / VISION, half)
    return {"decoder": DECODER, "vision": VISION}
