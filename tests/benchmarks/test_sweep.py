"""A scheme of the sweep reads a page as PULSE's own code does, and so compares what a device would compute."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.subjects.subject import torch_session
from benchmarks.verbs._sweep import read_page
from edge_runtime import image
from pulse.checkpoint.checkpoint import Checkpoint
from tests.golden import GOLDEN, MODELS, case


@pytest.mark.parametrize("model", MODELS)
def test_logits_are_those_of_the_original(model: str) -> None:
    golden = case(model, "small_one")
    session = torch_session(Checkpoint.open(GOLDEN / model / "checkpoint"))
    question = str(golden["prompt"]).split("<image>\n")[1].split(" ASSISTANT:")[0]
    session.inference = replace(session.inference, default_question=question)
    page = np.asarray(image.load(GOLDEN / "images" / str(golden["image_file"])))
    np.testing.assert_allclose(read_page(session, page).logits, golden["prefill_logits"], atol=5e-3, rtol=0)
