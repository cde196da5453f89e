"""How tiny models of the tests are used: the section "inference" of their config.json."""

from __future__ import annotations

from typing import Any

from edge_runtime.inference import Inference
from pulse.model.config import Decoder, parse_inference

SECTION: dict[str, Any] = {
    "preprocess": {
        "mode": "fit",
        "width": 96,
        "height": 64,
        "channels": "grey",
        "resample": "bilinear",
        "fill": 255,
        "mean": [0.5],
        "std": [0.25],
    },
    "prompt": {
        "system": "",
        "first_turn": "USER: <image>\n{question} ASSISTANT:",
        "next_turn": "USER: {question} ASSISTANT:",
        "add_bos": True,
    },
    "generation": {"max_new_tokens": 8, "temperature": 0.0, "top_p": 1.0, "top_k": 0},
    "default_question": "Report?",
    "findings": [{"label": "NORM", "name": "normal ECG", "question": "Normal?", "yes": " Yes", "no": " No"}],
    "is_ecg": {"question": "ECG?", "yes": " Yes", "no": " No", "threshold": 0.0},
    "notice": "For research; not a medical device.",
    "bos_token_id": 0,
    "eos_token_ids": [1],
}


def inference_of(text: Decoder) -> Inference:
    """Of a model with this decoder."""
    return parse_inference(SECTION, text, "test")
