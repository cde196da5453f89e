"""The certificate of a model that is larger than memory says what the one of a model that fits says."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.bundle import Bundle
from edge_runtime.engines import Cache, Engine
from export.certificate import stages
from export.certificate.bundle import certificate_of, job_of, reference_of
from export.certificate.certify import EXACT, Certificate, certify
from export.certificate.streamed import Script, certify_streamed
from export.options import options_of, with_options
from export.plan import running_bytes
from export.target import Runner, find
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.files.memory import BASE
from pulse.model.llava import Llava
from quantize.checkpoint import quantize_checkpoint
from quantize.load import load_model
from tests.exporting import engine_of, export
from tests.golden import GOLDEN

IMAGES = GOLDEN / "images"
Exported = tuple[Checkpoint, Bundle, list]


class Louder:
    """An engine whose logits favour one token."""

    def __init__(self, engine: Engine, token: int, by: float):
        self.vision, self.embed, self.empty_cache = engine.vision, engine.embed, engine.empty_cache
        self._decode, self._token, self._by = engine.decode, token, by

    def decode(self, embeds: np.ndarray, cache: Cache) -> tuple[np.ndarray, Cache]:
        logits, cache = self._decode(embeds, cache)
        logits = logits.copy()
        logits[self._token] += self._by
        return logits, cache


@pytest.fixture(scope="module", params=["tiny", "golden"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A 4-bit checkpoint, its bundle, and pages: a tower of convolutions, and PULSE's tiles with two of three left."""
    folder, small = tmp_path_factory.mktemp(request.param), "checkpoint"
    if request.param == "tiny":
        source, pages = request.getfixturevalue("checkpoint"), request.getfixturevalue("pages")
        tiles = None
    else:
        source, pages = (
            Checkpoint.open(GOLDEN / "unpad" / "checkpoint"),
            [IMAGES / "small_400x300.png", IMAGES / "page_1241x704.png"],
        )
        tiles = 3
    quantize_checkpoint(source, folder / small)
    _, out = export(Checkpoint.open(folder / small), "onnx", None, folder / "bundle", pages, tiles=tiles)
    return Checkpoint.open(folder / small), Bundle.load(out), pages


def streamed(exported: Exported, engine: Engine | None = None, near_tie: float = 0.0) -> Certificate:
    source, bundle, pages = exported
    config = with_options(source.config, options_of(bundle))
    return certify_streamed(
        bundle,
        lambda: engine or engine_of(bundle),
        lambda: (load_model(source, bundle.manifest.weights, halves=True), config),
        pages,
        replace(EXACT, near_tie=near_tie),
    )


def test_both_ways_measure_the_same(exported: Exported) -> None:
    source, bundle, pages = exported
    whole = certify(bundle, engine_of(bundle), reference_of(bundle, source), pages)
    parts = streamed(exported)
    assert parts.status == whole.status == "pass"
    assert parts.pages == whole.pages
    for ours, theirs in zip(parts.stages, whole.stages, strict=True):
        assert (ours.stage, ours.status, ours.threshold) == (theirs.stage, theirs.status, theirs.threshold)
        assert ours.error == pytest.approx(theirs.error, abs=2e-6)


def test_what_is_wrong_is_found_where_it_is(exported: Exported) -> None:
    _, bundle, pages = exported
    right = stages.greedy_tokens(
        stages.Session(engine_of(bundle), bundle.manifest.inference, _tokenizer(bundle)), pages[0]
    )
    token = next(t for t in range(5, 200) if t not in right)
    by_status = {s.stage: s.status for s in streamed(exported, Louder(engine_of(bundle), token, 1e3)).stages}
    assert by_status["vision_features"] == "pass"
    assert by_status["first_logits"] == by_status["greedy_tokens"] == "fail"


def test_a_token_that_lost_by_a_hair_is_a_near_tie(exported: Exported) -> None:
    """The second token of the first page gets just enough to win: an error for exact targets, a tie for others."""
    _, bundle, pages = exported
    engine = engine_of(bundle)
    logits, _ = stages.after_prompt(stages.Session(engine, bundle.manifest.inference, _tokenizer(bundle)), pages[0])
    second, first = np.argsort(logits)[-2:]
    by = float(logits[first] - logits[second]) * 1.01 + 1e-6
    margin = by / float(np.sqrt(np.square(logits).mean()))
    strict, lenient = (
        {s.stage: s for s in streamed(exported, Louder(engine, int(second), by), bound).stages}["greedy_tokens"]
        for bound in (0.0, max(1.0, 2 * margin))
    )
    assert strict.status == "fail"
    assert lenient.status == "pass"
    tie = lenient.near_ties[0]
    assert (tie.page, tie.position, tie.token, tie.other) == (pages[0].name, 0, first, second)
    assert tie.margin == pytest.approx(margin, rel=0.05)


def test_texts_see_the_image_and_themselves_alone() -> None:
    script = Script(np.zeros((2, 4), np.float32))
    assert script.add([7, 8], [9, 1]) == range(2, 4)
    assert script.add([7], [5]) == range(4, 5)
    assert script.add([7], [6]) == range(4, 5)  # the same text is read once
    positions, mask = script.layout()
    assert positions.tolist() == [0, 1, 2, 3, 4, 2]
    assert mask[4].tolist() == [True] * 5 + [False]
    assert mask[5].tolist() == [True, True, False, False, False, True]


def test_the_limit_decides_which_way_it_goes(exported: Exported) -> None:
    source, bundle, pages = exported
    large, before, models = 10_000_000_000, _models(), []

    def alone(of: Bundle) -> Engine:
        models.append(_models())
        return engine_of(of)

    onnx = replace(find("onnx"), runner=lambda: Runner("a test", alone))
    assert certificate_of(bundle, source, pages, most=6_000_000_000, target=onnx, together=large).status == "pass"
    assert set(models) == {before}  # the model is loaded when the bundle has answered
    refused = certificate_of(bundle, source, pages, most=500_000_000, together=large)
    assert {s.status for s in refused.stages} == {"not_run"}
    assert "GB were allowed" in refused.stages[0].reason


def test_a_cache_of_integers_is_planned_as_a_quarter(exported: Exported, tmp_path: Path) -> None:
    source, bundle, pages = exported
    tiles = options_of(bundle).tiles
    _, out = export(source, "onnx", None, tmp_path / "small", pages, tiles=tiles, kv="int8")
    caches = []
    for each in (bundle, Bundle.load(out)):
        files = sum(path.stat().st_size for path in each.folder.iterdir())
        job = job_of(each, source, find("onnx"))
        caches.append(running_bytes(each, job, find("onnx").memory) - BASE - int(1.15 * files))
    assert 0 < 4 * caches[1] == caches[0]


def _models() -> int:
    return sum(isinstance(each, Llava) for each in gc.get_objects())


def _tokenizer(bundle: Bundle) -> stages.Tokenizer:
    return stages.Tokenizer(bundle.path("tokenizer"))
