"""Stages of a bundle's parts, on parts made here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from edge_runtime.tokenizer import Tokenizer
from export.certificate import parts
from export.certificate.arithmetic import Activations, Arithmetic
from export.certificate.insides import channel_error
from export.certificate.parts import decoder_texts, read_texts, short_texts, token_embeddings, token_texts
from export.certificate.rounding import rounded_as
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.model.engine import TorchEngine
from pulse.model.llava import Llava
from quantize.load import load_model

ROUNDED = Arithmetic(Activations.INT8_TOKENS, vision=True, scales="bfloat16")


@pytest.fixture
def model(checkpoint: Checkpoint) -> Llava:
    return load_model(checkpoint, "int4")


def test_two_texts_swapped_are_two_ids(checkpoint: Checkpoint, tmp_path: Path) -> None:
    own = checkpoint.folder / "tokenizer.json"
    swapped = json.loads(own.read_text())
    vocab = swapped["model"]["vocab"]
    vocab["a"], vocab["b"] = vocab["b"], vocab["a"]
    (tmp_path / "t.json").write_text(json.dumps(swapped))
    right, wrong = Tokenizer(own), Tokenizer(tmp_path / "t.json")
    assert token_texts(right, right).status == "pass"
    found = token_texts(wrong, right)
    assert (found.status, found.error) == ("fail", 2 / right.vocab_size)


def test_one_row_of_the_table_is_enough(model: Llava, checkpoint: Checkpoint) -> None:
    engine = TorchEngine(load_model(checkpoint, "int4"), checkpoint.config)
    assert token_embeddings(engine, model, 300, 1e-6).status == "pass"
    with torch.no_grad():
        engine.model.language_model.model.embed_tokens.weight[299] *= 1.01
    found = token_embeddings(engine, model, 300, 1e-3)
    assert found.status == "fail"
    assert found.error == pytest.approx(0.01, rel=1e-3)


def test_texts_hold_rounding_against_rounding(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "EACH", 3)
    texts = short_texts(300)
    engine = TorchEngine(load_model(checkpoint, "int4"), checkpoint.config)
    plain = read_texts(engine, texts)
    with rounded_as(engine.model, ROUNDED):
        rounded = read_texts(engine, texts)
    again = read_texts(engine, texts)
    assert all(np.array_equal(a, b) for a, b in zip(plain, again, strict=True))  # hooks and scales are taken back

    def open_model() -> tuple[Llava, object]:
        return load_model(checkpoint, "int4", halves=True), checkpoint.config

    assert decoder_texts(texts, rounded, open_model, ROUNDED).status == "pass"
    assert decoder_texts(texts, plain, open_model, ROUNDED).status == "fail"
    silent = [np.full(300, np.nan, np.float32) for _ in texts]
    assert decoder_texts(texts, silent, open_model, ROUNDED).status == "fail"


def test_decoders_too_large_to_stay_in_step_are_not_run(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "IN_STEP", 100)
    found = decoder_texts(
        [[1, 2]], [np.zeros(300)], lambda: (load_model(checkpoint, "int4"), checkpoint.config), ROUNDED
    )
    assert (found.status, found.error) == ("not_run", None)
    assert "960 rounded numbers a token" in found.reason


def test_one_channel_counts_by_itself() -> None:
    want = np.ones((10, 1000), np.float32)
    got = want.copy()
    got[:, 7] *= 1.1
    assert channel_error(got, want) == pytest.approx(0.1, rel=1e-3)
    want[:, 7] = 0  # a channel of nothing is measured by a usual one
    assert channel_error(got, want) == pytest.approx(1.1, rel=1e-2)
    assert channel_error(got[:, :5], want) == float("inf")
