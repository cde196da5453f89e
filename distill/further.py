"""Calibrates questions that a student was not trained on, where they are worth asking: "further" in config.json.

python -m distill.further MODEL PTBXL_DIR CONFIG [--records N] [--seed N]

A student that has learned yes-or-no questions about a dozen findings understands more of them than those. Each of the
other SCP statements is asked about plain pages of PTB-XL's training folds, rare statements more often than they occur;
records are weighted back.
Statements of the rhythm are asked as the student learned them, by the answer to "What is the rhythm?". A question is
kept where enough records have the statement, and its AUC and precision on them are worth it.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from distill.training_set import TRAIN_FOLDS
from edge_runtime.files import replacing
from edge_runtime.inference import Calibration, FindingSpec
from edge_runtime.session import Session
from pulse.ecg.paper.variety import drawn_page
from pulse.ecg.ptbxl import SUPERCLASSES, PtbXl, scp_statements
from pulse.instruct.facts import statement_words
from pulse.instruct.questions import RHYTHM, STATEMENTS, finding_spec

LEAST_AUC = 0.75
LEAST_PRECISION = 0.2  # a statement that is named wrongly four times of five is better not named
_LEAST_POSITIVES = 10
_ENRICHED = 30  # records of each statement, where there are so many
_GRID = np.linspace(0.02, 0.98, 193)


def specs() -> list[FindingSpec]:
    """The question of each statement that is no finding of the student's already."""
    found = []
    for label, about in scp_statements().items():
        if label in (*SUPERCLASSES, *STATEMENTS):
            continue
        spec = finding_spec(label)
        asked = FindingSpec(**{**spec, "words": tuple(spec["words"])})
        if about.rhythm:
            against = "AFIB" if label == "SR" else "SR"
            asked = replace(asked, question=RHYTHM[0], yes=_answer(label), no=_answer(against))
        found.append(asked)
    return found


def _answer(label: str) -> str:
    words = statement_words(label)
    return words[:1].upper() + words[1:]


def sample(codes: Mapping[int, Iterable[str]], records: int, seed: int) -> list[int]:
    """So many ids drawn at random, then more of each statement that too few of them have, rare ones first."""
    rng = np.random.default_rng(seed)
    drawn = [int(i) for i in rng.permutation(sorted(codes))[:records]]
    occurs = Counter(code for each in codes.values() for code in each)
    for code, _ in sorted(occurs.items(), key=lambda item: (item[1], item[0])):
        missing = _ENRICHED - sum(code in codes[i] for i in drawn)
        rest = sorted(i for i in codes if code in codes[i] and i not in drawn)
        drawn += [int(i) for i in rng.permutation(rest)[: max(0, missing)]]
    return drawn


def fit(truth: np.ndarray, log_odds: np.ndarray, share: float) -> Calibration | None:
    """truth bool [n] and log odds [n] of a sample; share: of all records that have the statement.

    None where the question is not worth asking. The point is the one with the best weighted F1."""
    positives = int(truth.sum())
    if positives < _LEAST_POSITIVES or positives == len(truth) or roc_auc_score(truth, log_odds) < LEAST_AUC:
        return None
    weight = np.where(truth, share / positives, (1 - share) / (len(truth) - positives))
    line = LogisticRegression(C=1e4).fit(log_odds[:, None], truth, sample_weight=weight * len(truth))
    slope, offset = round(float(line.coef_[0, 0]), 4), round(float(line.intercept_[0]), 4)
    if slope <= 0:
        return None
    true = 1 / (1 + np.exp(-(slope * log_odds + offset)))
    scores = [_f1(truth, true >= at, weight) for at in np.quantile(true, _GRID)]
    point = float(np.quantile(true, _GRID)[int(np.argmax(scores))])
    named = true >= point
    precision = float(weight[named & truth].sum() / weight[named].sum())
    if precision < LEAST_PRECISION:
        return None
    sensitivity = float(named[truth].mean())
    return Calibration(slope, offset, round(point, 4), round(sensitivity, 3), round(precision, 3), positives)


def _f1(truth: np.ndarray, named: np.ndarray, weight: np.ndarray) -> float:
    return float(2 * weight[truth & named].sum() / (weight[truth].sum() + weight[named].sum()))


def calibrated(odds: Mapping[int, Mapping[str, float]], codes: Mapping[int, Iterable[str]]) -> list[FindingSpec]:
    """The specs worth asking. odds: of each statement, of the records asked; codes: of all training records."""
    kept, ids = [], list(odds)
    for spec in specs():
        share = sum(spec.label in each for each in codes.values()) / len(codes)
        truth = np.array([spec.label in codes[i] for i in ids])
        calibration = fit(truth, np.array([odds[i][spec.label] for i in ids]), share)
        if calibration is not None:
            kept.append(replace(spec, calibration=calibration))
    return kept


def ask(session: Session, database: PtbXl, ids: Sequence[int]) -> dict[int, dict[str, float]]:
    """Log odds of each statement on the plain page of each record."""
    odds = {}
    for ecg_id in tqdm(ids, "records", disable=None):
        page = session.look(drawn_page(database[ecg_id], None, None, ecg_id, 50.8).image)
        odds[ecg_id] = {spec.label: _log_odds(page.finding(spec).probability) for spec in specs()}
    return odds


def _log_odds(probability: float) -> float:
    p = min(max(probability, 1e-9), 1 - 1e-9)
    return math.log(p / (1 - p))


def write(config: Path, further: Sequence[FindingSpec]) -> None:
    """Into the inference section of a checkpoint's config.json."""
    data = json.loads(config.read_text(encoding="utf-8"))
    data["inference"]["further"] = [_as_json(spec) for spec in further]
    with replacing(config) as aside:
        aside.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


def _as_json(spec: FindingSpec) -> dict[str, Any]:
    keys = ("question", "yes", "no", "label", "name")
    calibration = {} if spec.calibration is None else {"calibration": spec.calibration.to_dict()}
    return {**{key: getattr(spec, key) for key in keys}, "words": list(spec.words), **calibration}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m distill.further", description=__doc__.splitlines()[0])
    parser.add_argument("model", metavar="BUNDLE", help="pulse-nano, or a folder that pulse-export wrote")
    parser.add_argument("ptbxl", type=Path, metavar="PTBXL_DIR", help="PTB-XL as PhysioNet lays it out, records100")
    parser.add_argument("config", type=Path, metavar="CONFIG", help="config.json of the checkpoint, to be added to")
    parser.add_argument("--records", type=int, default=1000, metavar="N", help="drawn at random (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of what is drawn (%(default)s)")
    args = parser.parse_args()
    database = PtbXl(args.ptbxl)
    codes = {ecg_id: set(database.scp_codes(ecg_id)) for ecg_id in database.ids(TRAIN_FOLDS)}
    odds = ask(Session.open(args.model), database, sample(codes, args.records, args.seed))
    write(args.config, calibrated(odds, codes))


if __name__ == "__main__":
    main()
