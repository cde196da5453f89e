"""A checkpoint of random weights in PULSE's own layout and, unless asked otherwise, of PULSE-7B's full shape.

Memory and speed depend on shapes and not on values, so what a model of 7 billion weights costs can be measured where
its real weights are not at hand: `pulse-bench random-checkpoint DIR --layers 32`. It answers gibberish.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.verbs import Outcome, Verb
from benchmarks.verbs._arguments import count
from pulse.model.config import Decoder
from pulse.model.towers.clip import ClipVision

if TYPE_CHECKING:
    from torch import Tensor

# What others build is narrow enough for tests; both decoders keep heads of 128 and PULSE's context.
SHAPES = {
    "7b": (ClipVision(), Decoder()),
    "tiny": (
        ClipVision(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2),
        Decoder(1000, 256, 512, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2),
    ),
}
STD = 0.02  # of every matrix, as Llama and CLIP begin training: float16 and 4 bits hold all that follows from it
_SHARD_BYTES = 1 << 30
_PIECES = 500  # of the tokenizer that are parts of words
_TOWER = "vision_tower"
# Our names -> the original's, the first prefix that fits.
_NAMES = (
    ("vision_tower.", "model.vision_tower.vision_tower."),
    ("multi_modal_projector.linear_1.", "model.mm_projector.0."),
    ("multi_modal_projector.linear_2.", "model.mm_projector.2."),
    ("language_model.lm_head.", "lm_head."),
    ("language_model.model.", "model."),
)


def write_random_checkpoint(out: Path, vision: ClipVision, text: Decoder, seed: int = 0) -> int:
    """Write the new folder `out`: bfloat16 shards, config.json, tokenizer.model. Returns the bytes of its weights.

    One tensor is in memory at a time, besides a shard of 1 GiB. Raises UserError when `out` is there already.
    """
    from pulse.checkpoint.tokenizer import SENTENCEPIECE
    from pulse.files.folder import new_folder
    from quantize.shards import ShardWriter

    with new_folder(out) as part:
        writer = ShardWriter(part, _SHARD_BYTES)
        for name, tensor in random_tensors(vision, text, seed):
            writer.add({name: tensor})
        writer.close()
        (part / "config.json").write_text(json.dumps(_config(vision, text), indent=2) + "\n", encoding="utf-8")
        # The tower's own folder, for its sizes alone: unfreeze_mm_vision_tower says that its weights are in the shards.
        (part / _TOWER).mkdir()
        tower = {**asdict(vision), "image_size": vision.height, "num_channels": vision.in_channels}
        (part / _TOWER / "config.json").write_text(json.dumps(tower, indent=2) + "\n", encoding="utf-8")
        (part / SENTENCEPIECE).write_bytes(_tokenizer(text.vocab_size))
        (part / "tokenizer_config.json").write_text(json.dumps({"legacy": False}) + "\n", encoding="utf-8")
    return writer.total_bytes


def random_tensors(vision: ClipVision, text: Decoder, seed: int) -> Iterator[tuple[str, Tensor]]:
    """(name, tensor bfloat16) by the original's names, CLIP's last layers included, which LLaVA never reads."""
    import torch

    from pulse.checkpoint.checkpoint import NANO, Checkpoint
    from pulse.model.llava import Llava

    with torch.device("meta"):
        shapes = Llava(Checkpoint.open(NANO).config.resized(replace(vision, select_layer=-1), text)).state_dict()
    generator = torch.Generator().manual_seed(seed)
    for ours, like in shapes.items():
        name = next(theirs + ours.removeprefix(prefix) for prefix, theirs in _NAMES if ours.startswith(prefix))
        tensor = torch.empty(like.shape).normal_(0, STD, generator=generator)
        if "norm" in name and name.endswith(".weight"):
            tensor += 1
        yield name, tensor.bfloat16()
    yield "model.image_newline", torch.empty(text.hidden_size).normal_(0, STD, generator=generator).bfloat16()


def _config(vision: ClipVision, text: Decoder) -> dict[str, Any]:
    from pulse.checkpoint.published import ORIGINAL

    sizes = {key: value for key, value in asdict(text).items() if key not in ("extra_embeddings", "head_dim")}
    return {
        "architectures": ["LlavaLlamaForCausalLM"],
        "model_type": ORIGINAL,
        **sizes,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
        "hidden_act": "silu",
        "image_aspect_ratio": "anyres",
        "image_grid_pinpoints": [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]],
        "mm_hidden_size": vision.hidden_size,
        "mm_patch_merge_type": "flat",
        "mm_projector_type": "mlp2x_gelu",
        "mm_vision_select_feature": "patch",
        "mm_vision_select_layer": vision.select_layer,
        "mm_vision_tower": _TOWER,
        "unfreeze_mm_vision_tower": True,
        "torch_dtype": "bfloat16",
    }


def _tokenizer(size: int) -> bytes:
    """A SentencePiece model with Llama's special tokens and bytes, trained on the project's own questions; the rest of
    its `size` pieces are numbers, so that whatever the model says can be read."""
    import sentencepiece

    from pulse.instruct.questions import REPORT, finding_specs

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*REPORT, *(finding["question"] for finding in finding_specs())]),
        model_writer=model,
        user_defined_symbols=[f"[{i}]" for i in range(_PIECES, size)],
        vocab_size=size,
        model_type="bpe",
        byte_fallback=True,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return model.getvalue()


def add_arguments(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    parser.add_argument("folder", metavar="DIR", type=Path, help="new folder")
    parser.add_argument("--shape", choices=SHAPES, default="7b", help="sizes of tower and decoder (%(default)s)")
    parser.add_argument("--layers", type=count, metavar="N", help="of the decoder (default: the shape's)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="(%(default)s)")


def run(args: argparse.Namespace) -> Outcome:
    """Write it. Raises UserError when the folder is there already."""
    vision, text = SHAPES[args.shape]
    if args.layers is not None:
        text = replace(text, num_hidden_layers=args.layers)
    size = write_random_checkpoint(args.folder, vision, text, args.seed)
    layers = text.num_hidden_layers
    said = f"{args.folder}: {layers} layers, {size / 1e6:.0f} MB of bfloat16 weights"
    return {"folder": str(args.folder), "layers": layers, "bytes": size}, said


VERB = Verb("a checkpoint of random weights in PULSE-7B's shape, to measure memory and speed with", add_arguments, run)
