"""An ExecuTorch bundle in the runner that ExecuTorch itself ships."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime import image
from edge_runtime.preprocess import pixels
from edge_runtime.session import Session
from export.pages import example_pages
from pulse.checkpoint.checkpoint import Checkpoint
from tests.exporting import export


@pytest.mark.slow
def test_the_stock_runner_gives_pulse_nanos_answer(tmp_path: Path) -> None:
    """ExecuTorch's own C++ multimodal runner, as on a phone, with nothing of ours but pixels and token ids."""
    runner = pytest.importorskip("executorch.extension.llm.runner")
    certificate, out = export(Checkpoint.open("pulse-nano"), "executorch", "int4", tmp_path / "nano")
    assert certificate.status == "pass"
    session, page = Session.open(out), example_pages()[0]
    question = session.inference.default_question
    want = session.look(page).ask(question, temperature=0, max_new_tokens=24, findings=False).finish()
    tiles = pixels(image.load(page), session.inference.preprocess)
    _, channels, height, width = tiles.shape
    inputs = [
        runner.make_token_input(session.prompt.before_image()),
        runner.MultimodalInput(runner.Image(tiles.ravel().tolist(), width, height, channels)),
        runner.make_token_input(session.prompt.after_image(question)),
    ]
    stock = runner.MultimodalRunner(str(out / "model.pte"), str(out / "tokenizer.json"))
    pieces: list[str] = []
    stock.generate(inputs, runner.GenerationConfig(temperature=0.0, max_new_tokens=24, echo=False), pieces.append)
    assert len(pieces) == len(want.token_ids) == 24
    assert "".join(pieces).strip() == want.text.strip()
