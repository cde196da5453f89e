"""The certificate of a model that is larger than memory says what the one of a model that fits says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.bundle import Bundle
from edge_runtime.engines import Cache, Engine
from export import build, plan
from export.build import build_bundle, certificate_of, certifying_engine, reference_of
from export.certificate import stages
from export.certificate.certify import EXACT, Certificate, certify
from export.certificate.streamed import Script, certify_streamed
from export.options import Options, options_of, with_options
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.files.memory import BASE
from quantize.checkpoint import quantize_checkpoint
from quantize.load import load_model
from tests.golden import GOLDEN

IMAGES = GOLDEN / "images"


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
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Checkpoint, Bundle, list]:
    """A 4-bit checkpoint, its bundle, and pages: a tower of convolutions, and PULSE's tiles with two of three left."""
    folder, small = tmp_path_factory.mktemp(request.param), "checkpoint"
    if request.param == "tiny":
        source, pages = request.getfixturevalue("checkpoint"), request.getfixturevalue("pages")
        options = Options()
    else:
        source, pages = (
            Checkpoint.open(GOLDEN / "unpad" / "checkpoint"),
            [IMAGES / "small_400x300.png", IMAGES / "page_1241x704.png"],
        )
        options = Options(tiles=3)
    quantize_checkpoint(source, folder / small)
    _, out = build_bundle(Checkpoint.open(folder / small), "onnx", None, folder / "bundle", pages, options=options)
    return Checkpoint.open(folder / small), Bundle.load(out), pages


def streamed(
    exported: tuple[Checkpoint, Bundle, list], engine: Engine | None = None, near_tie: float = 0.0
) -> Certificate:
    source, bundle, pages = exported
    config = with_options(source.config, options_of(bundle))
    return certify_streamed(
        bundle,
        lambda: engine or certifying_engine(bundle),
        lambda: (load_model(source, bundle.manifest.weights, halves=True), config),
        pages,
        replace(EXACT, near_tie=near_tie),
    )


def test_both_ways_measure_the_same(exported: tuple[Checkpoint, Bundle, list]) -> None:
    source, bundle, pages = exported
    whole = certify(bundle, certifying_engine(bundle), reference_of(bundle, source), pages)
    parts = streamed(exported)
    assert parts.status == whole.status == "pass"
    assert parts.pages == whole.pages
    for ours, theirs in zip(parts.stages, whole.stages, strict=True):
        assert (ours.stage, ours.status, ours.threshold) == (theirs.stage, theirs.status, theirs.threshold)
        assert ours.error == pytest.approx(theirs.error, abs=2e-6)


def test_what_is_wrong_is_found_where_it_is(exported: tuple[Checkpoint, Bundle, list]) -> None:
    _, bundle, pages = exported
    right = stages.greedy_tokens(
        stages.Session(certifying_engine(bundle), bundle.manifest.inference, _tokenizer(bundle)), pages[0]
    )
    token = next(t for t in range(5, 200) if t not in right)
    by_status = {s.stage: s.status for s in streamed(exported, Louder(certifying_engine(bundle), token, 1e3)).stages}
    assert by_status["vision_features"] == "pass"
    assert by_status["first_logits"] == by_status["greedy_tokens"] == "fail"


def test_a_token_that_lost_by_a_hair_is_a_near_tie(exported: tuple[Checkpoint, Bundle, list]) -> None:
    """The second token of the first page gets just enough to win: an error for exact targets, a tie for others."""
    _, bundle, pages = exported
    engine = certifying_engine(bundle)
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


def test_the_limit_decides_which_way_it_goes(exported: tuple[Checkpoint, Bundle, list], monkeypatch) -> None:
    source, bundle, pages = exported
    monkeypatch.setattr(build, "certificate_bytes", lambda *_: 10e9)
    monkeypatch.setattr(build, "certify", None)
    assert certificate_of(bundle, source, pages, most=6_000_000_000).status == "pass"
    refused = certificate_of(bundle, source, pages, most=500_000_000)
    assert {s.status for s in refused.stages} == {"not_run"}
    assert "GB were allowed" in refused.stages[0].reason


def test_a_cache_of_integers_is_planned_as_a_quarter(
    exported: tuple[Checkpoint, Bundle, list], tmp_path: Path, monkeypatch
) -> None:
    source, bundle, pages = exported
    _, out = build_bundle(
        source, "onnx", None, tmp_path / "small", pages, options=replace(options_of(bundle), kv="int8")
    )
    config = source.config
    config = replace(config, text=replace(config.text, intermediate_size=0))
    monkeypatch.setattr(plan, "_sizes", lambda *_: (0, 0, 0))  # leaves what the bundle takes to run
    caches = []
    for each in (bundle, Bundle.load(out)):
        files = sum(path.stat().st_size for path in each.folder.iterdir())
        caches.append(plan.streamed_bytes(each, source, config, "int4") - BASE - int(1.15 * files))
    assert 0 < 4 * caches[1] == caches[0]


def _tokenizer(bundle: Bundle) -> stages.Tokenizer:
    return stages.Tokenizer(bundle.path("tokenizer"))
