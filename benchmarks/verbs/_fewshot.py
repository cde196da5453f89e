"""N-way K-shot: heads of edge_runtime.learnt on PTB-XL statements, examples of folds 1 to 8, scored on fold 9."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.metrics.score import auc
from edge_runtime.bundle import Bundle
from edge_runtime.errors import UserError
from edge_runtime.files import replacing
from edge_runtime.learnt import Background, fit
from edge_runtime.manifest import MANIFEST
from edge_runtime.prefix import page_prefix
from edge_runtime.session import Session
from pulse.ecg.paper.render import render
from pulse.ecg.paper.variety import varied_page
from pulse.ecg.ptbxl import PtbXl

TRAIN, TEST = range(1, 9), (9,)
_SEED = 0


@dataclass(frozen=True)
class Pool:
    """Features [n, D] and truth 0/1 [n, N] of pages with the statements to learn from, and of the test fold.

    background: of varied pages of the training folds; others [m, D]: their plain pages without any of the statements.
    """

    statements: tuple[str, ...]
    background: Background
    examples: np.ndarray
    examples_truth: np.ndarray
    others: np.ndarray
    test: np.ndarray
    test_truth: np.ndarray


def pool(
    path: str,
    data: Path,
    statements: Sequence[str],
    limit: int,
    pages: int,
    kept: Path | None,
    threads: int | None,
) -> Pool:
    """Draw and look. kept: an .npz of features by page, read and written. Raises UserError for a statement that too few
    records have, and for features of another model."""
    bundle, database = Bundle.load(path), PtbXl(data)
    model = str(json.loads((bundle.folder / MANIFEST).read_bytes())["source"].get("sha256"))
    ids = np.array(database.ids(TRAIN))
    test = np.array(database.ids(TEST))
    truth, test_truth = _truth(database, ids, statements), _truth(database, test, statements)
    for k, name in enumerate(statements):
        if truth[:, k].sum() < 2 or not test_truth[:, k].any():
            raise UserError(f"{name}: too few records have it ({truth[:, k].sum()} and {test_truth[:, k].sum()})")
    some = truth.any(1)
    rng = np.random.default_rng(_SEED)
    rest = rng.choice(ids[~some], min(pages, int((~some).sum())), False)
    # Fewer pages without any statement widen an AUC's error, and do not move it.
    nothing = np.flatnonzero(~test_truth.any(1))
    scored = np.concatenate([np.flatnonzero(test_truth.any(1)), rng.permutation(nothing)[:limit]])
    test, test_truth = test[scored], test_truth[scored]
    look = _Look(bundle, database, model, kept, threads)
    look.at([*((i, "plain") for i in (*ids[some], *rest, *test)), *((i, "varied") for i in rest)])
    background = Background.of(look.of(rest, "varied"), model)
    return Pool(
        tuple(statements),
        background,
        look.of(ids[some], "plain"),
        truth[some],
        look.of(rest, "plain"),
        look.of(test, "plain"),
        test_truth,
    )


def _truth(database: PtbXl, ids: np.ndarray, statements: Sequence[str]) -> np.ndarray:
    """0/1 [n, N]: SCP codes and 12SL statements share the names."""
    said = [{*database.scp_codes(int(i)), *database.sl12(int(i))} for i in ids]
    return np.array([[name in one for name in statements] for one in said], int).reshape(len(ids), len(statements))


class _Look:
    """Features of pages, each looked at once."""

    def __init__(self, bundle: Bundle, database: PtbXl, model: str, kept: Path | None, threads: int | None) -> None:
        self._database, self._model, self._kept = database, model, kept
        # A page drawn flat needs no flattening.
        self._session = Session.of(bundle, threads, flatten=False)
        self._found: dict[str, np.ndarray] = {}
        if kept is not None and kept.exists():
            with np.load(kept, allow_pickle=False) as data:
                if str(data["model"]) != model:
                    raise UserError(f"{kept}: holds another model's features; give another --features")
                self._found = dict(zip(map(str, data["pages"]), data["features"], strict=True))

    def at(self, pages: Sequence[tuple[int, str]]) -> None:
        """Look at all that were not looked at before, and keep them."""
        missing = [(i, how) for i, how in dict.fromkeys(pages) if f"{i} {how}" not in self._found]
        for i, how in tqdm(missing, "pages", disable=not missing):
            record = self._database[int(i)]
            drawn = render(record) if how == "plain" else varied_page(record, int(i))
            session = self._session
            seen = page_prefix(drawn.image, session.engine, session.inference, session.prompt)
            self._found[f"{i} {how}"] = seen.features
        if self._kept is not None and missing:
            with replacing(self._kept) as aside, open(aside, "wb") as file:
                features = np.stack(list(self._found.values()))
                np.savez(file, pages=np.array(list(self._found)), features=features, model=np.array(self._model))

    def of(self, ids: np.ndarray, how: str) -> np.ndarray:
        return np.stack([self._found[f"{i} {how}"] for i in ids])


def figures(pool: Pool, shots: Sequence[int], draws: int) -> dict[str, Any]:
    """AUC on the test fold of each statement, learnt from K pages with it and none or K pages without any; and how
    often the statement of a test page that has one of them scores highest."""
    rows = [_row(pool, k, without, draws) for k in shots for without in (False, True)]
    return {
        "statements": list(pool.statements),
        "training_pages": pool.examples_truth.sum(0).tolist(),
        "test_pages": len(pool.test),
        "test_positives": pool.test_truth.sum(0).tolist(),
        "draws": draws,
        "rows": rows,
    }


def _row(pool: Pool, shots: int, without: bool, draws: int) -> dict[str, Any]:
    names = range(len(pool.statements))
    areas, accuracies = np.empty((draws, len(names))), np.empty(draws)
    single = pool.test_truth.sum(1) == 1
    for draw in range(draws):
        rng = np.random.default_rng([_SEED, shots, draw])
        scores = np.stack([_scores(pool, k, shots, without, rng) for k in names], 1)
        areas[draw] = [auc(pool.test_truth[:, k], scores[:, k]) for k in names]
        right = scores[single].argmax(1) == pool.test_truth[single].argmax(1)
        accuracies[draw] = right.mean() if len(right) else np.nan
    return {
        "shots": shots,
        "negatives": shots if without else 0,
        "auc": {pool.statements[k]: _interval(areas[:, k]) for k in names},
        "mean_auc": _interval(areas.mean(1)),
        "accuracy": _interval(accuracies),
    }


def _scores(pool: Pool, k: int, shots: int, without: bool, rng: np.random.Generator) -> np.ndarray:
    having = np.flatnonzero(pool.examples_truth[:, k])
    there = pool.examples[rng.choice(having, min(shots, len(having)), False)]
    # So many are drawn either way, that both ways learn from the same pages.
    absent = pool.others[rng.choice(len(pool.others), min(shots, len(pool.others)), False)]
    head = fit(pool.background, there, absent if without else absent[:0]).head
    scores: np.ndarray = pool.test @ np.array(head.weights) + head.offset
    return scores


def _interval(values: np.ndarray) -> list[float]:
    """Mean, and where 95 % of the draws lie."""
    return [round(float(x), 4) for x in (values.mean(), *np.percentile(values, [2.5, 97.5]))]


def as_text(figures: dict[str, Any]) -> str:
    """A row for each K; the mean of the draws, below it where 95 % of them lie."""
    names = figures["statements"]
    lines = [
        f"{len(names)}-way, {figures['draws']} draws, AUC on {figures['test_pages']} pages of fold 9 (with it: "
        + ", ".join(f"{n} {p}" for n, p in zip(names, figures["test_positives"], strict=True))
        + ")",
        f"{'K':>3} {'without':>8}" + "".join(f"{name:>14}" for name in (*names, "mean", "accuracy")),
    ]
    for row in figures["rows"]:
        cells = [*(row["auc"][name] for name in names), row["mean_auc"], row["accuracy"]]
        lines.append(f"{row['shots']:>3} {row['negatives']:>8}" + "".join(f"{c[0]:>14.3f}" for c in cells))
        lines.append(" " * 12 + "".join(f"{f'{c[1]:.2f} to {c[2]:.2f}':>14}" for c in cells))
    return "\n".join(lines)
