"""What a calibration reads: each page as PULSE's own code gives it to the decoder, tiles, line ends and all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_runtime import image
from edge_runtime.tokenizer import Tokenizer
from pulse.checkpoint.checkpoint import Checkpoint
from quantize.calibration import dialogues, page_features
from quantize.load import load_model
from tests.golden import GOLDEN, MODELS, case


@pytest.mark.parametrize("model", MODELS)
def test_dialogues_begin_as_the_originals_prompt(model: str, tmp_path: Path) -> None:
    checkpoint, golden = Checkpoint.open(GOLDEN / model / "checkpoint"), case(model, "wide_two")
    checkpoint.write_tokenizer(tmp_path / "tokenizer.json")
    whole, inference = load_model(checkpoint), checkpoint.config.inference
    pages = [np.asarray(image.load(GOLDEN / "images" / str(golden["image_file"])))]
    features = page_features(whole.vision_tower, inference, pages)
    first, *_ = dialogues(whole, inference, Tokenizer(tmp_path / "tokenizer.json"), pages, features)
    rows, end = golden["inputs_embeds_rows"], int(golden["image_start"]) + int(golden["n_visual_tokens"])
    seen = rows < end
    assert seen.sum() > 3
    assert end - rows[seen].max() < end / 3  # up to where lines that end too early, or not at all, have added up
    np.testing.assert_allclose(first[0].numpy()[rows[seen]], golden["inputs_embeds_sample"][seen], atol=1e-4, rtol=0)
