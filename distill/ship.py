"""From trained stages to the checkpoint that ships: norms folded, inference section written, weights in float16."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from distill.speaker import Speaker
from distill.student import Student
from edge_runtime.inference import Inference
from pulse.checkpoint.store import save_checkpoint
from pulse.instruct.questions import (
    IS_ECG,
    NO,
    NOTICE,
    REPORT,
    WAY_UP,
    WAYS_UP,
    WHOLE,
    YES,
    finding_specs,
    taught_specs,
)
from pulse.model.config import Config, parse_inference
from pulse.model.towers._conv_net import GridTower, fold_norms


def inference_of(student: Student) -> Inference:
    """How the student is used. Raises UserError where its preprocessing, prompt or special token is none."""
    section = {
        "preprocess": student.preprocess.to_dict(),
        "prompt": asdict(student.prompt),
        "generation": {"max_new_tokens": 160, "temperature": 0.0, "top_p": 1.0, "top_k": 0},
        "default_question": REPORT[0],
        "findings": finding_specs(),
        "taught": taught_specs(),
        "is_ecg": {"question": IS_ECG, "yes": YES, "no": NO, "threshold": 0.5},
        "way_up": {"question": WAY_UP, "answers": list(WAYS_UP)},
        "whole": {"question": WHOLE, "yes": YES, "no": NO},
        "flatten": True,
        "notice": NOTICE,
        "bos_token_id": None,
        "eos_token_ids": [student.end],
    }
    return parse_inference(section, student.text, student.name)


def ship(student: Student, tower: GridTower, speaker: Speaker, tokenizer: Path, out: Path) -> None:
    """Write the float16 checkpoint `out`; student: with the sizes that it was trained with."""
    vision = replace(student.vision, batch_norm=False)
    config = Config(vision=vision, text=student.text, inference=inference_of(student), name=student.name)
    folded = fold_norms(tower) if student.vision.batch_norm else tower.state_dict()
    state = {f"vision_tower.{name}": value for name, value in folded.items()}
    state.update(speaker.state_dict())
    save_checkpoint(out, config, state, tokenizer)
