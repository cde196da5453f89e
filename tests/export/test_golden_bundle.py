"""From a checkpoint in PULSE's own format to a bundle that gives the text of PULSE's own code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_runtime.session import Session
from pulse.checkpoint.checkpoint import Checkpoint
from quantize.checkpoint import quantize_checkpoint
from quantize.load import load_model
from tests.exporting import export
from tests.golden import GOLDEN, MODELS, case

PAGE = GOLDEN / "images" / "small_400x300.png"


@pytest.mark.parametrize("model", MODELS)
def test_the_bundle_answers_as_the_original(model: str, tmp_path: Path) -> None:
    certificate, folder = export(
        Checkpoint.open(GOLDEN / model / "checkpoint"), "onnx", "float32", tmp_path / "b", [PAGE]
    )
    assert certificate.status == "pass"
    golden = case(model, "small_one")
    answer = Session.open(folder, threads=1).look(PAGE).ask(max_new_tokens=24, findings=False).finish()
    assert answer.token_ids == golden["greedy_ids"].tolist()
    assert answer.text == str(golden["text"])


def test_a_4_bit_checkpoint_of_it_keeps_what_the_device_needs(tmp_path: Path) -> None:
    quantize_checkpoint(Checkpoint.open(GOLDEN / "unpad" / "checkpoint"), tmp_path / "small")
    model, config = load_model(Checkpoint.open(tmp_path / "small")), Checkpoint.open(tmp_path / "small").config
    assert config.name == "checkpoint"
    assert config.inference.preprocess.merge == "spatial_unpad"
    assert (tmp_path / "small" / "tokenizer.json").is_file()
    newline = model.language_model.model.embed_tokens.weight[config.text.vocab_size]
    before = load_model(Checkpoint.open(GOLDEN / "unpad" / "checkpoint")).language_model.model.embed_tokens.weight
    assert np.array_equal(newline, before[-1])
    assert before[-1].abs().sum() > 0
