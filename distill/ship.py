"""From trained stages to the checkpoint that ships: norms folded, runtime section written, weights in float16."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from distill.decoder import Speaker
from edge_runtime.preprocess import PreprocessSpec
from pulse.instruct.questions import IS_ECG, NO, NOTICE, REPORT, YES, finding_specs
from pulse.model.checkpoint import save_checkpoint
from pulse.model.config import Config, ConvVision, Decoder
from pulse.model.conv import ConvTower, fold_norms

PROMPT: dict[str, Any] = {
    "system": "",
    "first_turn": "USER: <image>\n{question}\nASSISTANT:",
    "next_turn": "USER: {question}\nASSISTANT:",
    "add_bos": False,
}
END_ID = 1
PREPROCESS: dict[str, Any] = {
    "mode": "fit",
    "width": 544,
    "height": 384,
    "channels": "grey",
    "resample": "bilinear",
    "fill": 255,
    "mean": [0.85],
    "std": [0.2],
}


def preprocess_spec() -> PreprocessSpec:
    """The student's preprocessing, the same for training and for the device."""
    return PreprocessSpec.from_dict(PREPROCESS)


def runtime_section() -> dict[str, Any]:
    """What the bundle's manifest says besides the weights."""
    return {
        "preprocess": PREPROCESS,
        "prompt": PROMPT,
        "generation": {"max_new_tokens": 160, "temperature": 0.0, "top_p": 1.0, "top_k": 0},
        "default_question": REPORT[0],
        "findings": finding_specs(),
        "is_ecg": {"question": IS_ECG, "yes": YES, "no": NO, "threshold": 0.5},
        "notice": NOTICE,
        "bos_token_id": None,
        "eos_token_ids": [END_ID],
    }


def ship(tower: ConvTower, vision: ConvVision, speaker: Speaker, text: Decoder, tokenizer: Path, out: Path) -> None:
    """Write the float16 checkpoint `out`; `vision` is the config without batch norms."""
    config = Config(vision=vision, text=text, runtime=runtime_section(), name="pulse-nano")
    state = {f"vision_tower.{name}": value for name, value in fold_norms(tower).items()}
    state.update(speaker.state_dict())
    save_checkpoint(out, config, state, tokenizer)
