"""Cost is told apart from fidelity: figures by hand, verdicts at the margin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_runtime.errors import UserError
from export.certificate.arithmetic import Activations, Arithmetic
from export.certificate.certify import CHECKS, checks
from export.certificate.cost import MARGIN, Cost, cost_of
from export.certificate.tolerance import EXACT

PAGES = [Path("a.png"), Path("b.png")]
WANT = {
    "first_logits": np.array([3.0, -4.0]),
    "label_probabilities": np.array([0.2, 0.9]),
    "greedy_tokens": np.array([5, 6, -1]),
}


def cost(**changed: np.ndarray) -> Cost:
    """Of a bundle that differs on the second page alone."""
    return cost_of(lambda s, p: changed.get(s, WANT[s]) if p == PAGES[1] else WANT[s], lambda s, p: WANT[s], PAGES)


def test_figures_are_those_of_all_pages() -> None:
    found = cost(first_logits=np.array([3.0, -4.2]), label_probabilities=np.array([0.21, 0.9]))
    assert (found.verdict, found.same_answers, found.pages) == ("within", 2, 2)
    assert found.logits_largest == pytest.approx(0.2)
    assert found.logits_mean == pytest.approx(0.05)
    assert found.logits_size == pytest.approx(np.sqrt(12.5))
    assert found.probabilities_largest == pytest.approx(0.01)
    assert found.probabilities_mean == pytest.approx(0.0025)
    text = "\n".join(found.as_text())
    assert "within the margin (probabilities 0.1 at most and 0.01 on average, 95% of answers the same)" in text
    assert "2 of 2 the same" in text


@pytest.mark.parametrize(
    "changed",
    [
        {"label_probabilities": np.array([0.2, 0.9 - 1.1 * MARGIN.largest])},
        {"label_probabilities": np.array([0.2 + 2.2 * MARGIN.mean, 0.9 - 2.2 * MARGIN.mean])},
        {"greedy_tokens": np.array([5, 7, -1])},
    ],
    ids=["largest", "mean", "answers"],
)
def test_each_part_of_the_margin_decides(changed: dict[str, np.ndarray]) -> None:
    assert cost(**changed).verdict == "beyond"


def test_without_findings_answers_decide() -> None:
    def bare(stage: str, page: Path) -> np.ndarray:
        return np.zeros(0) if stage == "label_probabilities" else WANT[stage]

    found = cost_of(bare, bare, PAGES)
    assert (found.verdict, found.probabilities_largest) == ("within", None)


def test_a_bundle_that_cannot_answer_has_no_cost() -> None:
    assert cost(first_logits=np.array([np.nan, 0.0])).verdict == "not_run"

    def refuse(stage: str, page: Path) -> np.ndarray:
        raise UserError("no")

    refused = cost_of(refuse, lambda s, p: WANT[s], PAGES)
    assert (refused.verdict, refused.reason, refused.logits_mean) == ("not_run", "no", None)


def test_whole_pages_are_fidelity_only_where_nothing_drifts() -> None:
    for arithmetic in (Arithmetic(Activations.INT8_BLOCKS), Arithmetic(cache="int8")):
        assert [check.stage for check in checks(EXACT, arithmetic)] == ["pixels", "vision_features"]
    for arithmetic in (Arithmetic(), Arithmetic(Activations.FLOAT16, vision=True, cache="float16")):
        assert [check.stage for check in checks(EXACT, arithmetic)] == [check.stage for check in CHECKS]
