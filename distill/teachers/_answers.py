"""A checkpoint answers its own findings' questions about the plain page of every training record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm import tqdm

from distill.targets import Targets
from distill.teacher import Workspace
from distill.training_set import TrainingSet
from edge_runtime.errors import UserError
from edge_runtime.findings import FindingScorer
from edge_runtime.inference import FindingSpec
from edge_runtime.prefix import page_prefix
from edge_runtime.prompt import Prompt
from edge_runtime.tokenizer import Tokenizer
from pulse.ecg.paper.render import render
from pulse.model.config import Config
from pulse.model.engine import TorchCache, TorchEngine
from pulse.model.llava import Llava

if TYPE_CHECKING:
    from distill.teachers.checkpoint import CheckpointTeacher

KEEP_EVERY = 50  # records; a 7B takes seconds for one


def probabilities(teacher: CheckpointTeacher, data: TrainingSet, workspace: Workspace) -> np.ndarray:
    """As Teacher.probabilities. Raises UserError when the teacher has questions for none of the targets."""
    config = teacher.checkpoint.config
    findings = _findings(config, data.targets)
    if not findings:
        raise UserError(f"{teacher.name}: has questions for none of the targets; leave it out of --teacher")
    look = _Look(
        teacher.loaded(workspace.device), config, Tokenizer(teacher.tokenizer(workspace.folder)), workspace.device
    )
    questions = list(findings.values())

    def ask(row: int) -> list[float]:
        return look.probabilities(render(data.cache.record(row)).image, questions)

    shape, columns = data.targets.values.shape, list(findings)
    return ask_about_each(ask, data.rows, columns, shape, workspace.folder / "answers.npy", f"teacher {teacher.name}")


def ask_about_each(
    ask: Callable[[int], Sequence[float]],
    rows: np.ndarray,
    columns: Sequence[int],
    shape: tuple[int, int],
    path: Path,
    title: str,
    keep_every: int = KEEP_EVERY,
) -> np.ndarray:
    """Array float32 `shape` with what ask(row) gives in `columns` of each of the rows; NaN elsewhere.

    It lies in `path` and is noted as done every `keep_every` rows, from where a run that was cut off goes on.
    """
    done_path = path.with_suffix(".done")
    done = int(done_path.read_text()) if done_path.exists() else 0
    answers = np.lib.format.open_memmap(path, "r+" if done else "w+", np.float32, None if done else shape)
    if not done:
        answers[:] = np.nan
    for number in tqdm(range(done, len(rows)), title, initial=done, total=len(rows)):
        answers[rows[number], columns] = ask(int(rows[number]))
        if (number + 1) % keep_every == 0 or number + 1 == len(rows):
            answers.flush()
            done_path.write_text(str(number + 1))
    return np.array(answers)


class _Look:
    def __init__(self, model: Llava, config: Config, tokenizer: Tokenizer, device: torch.device) -> None:
        self.engine, self.inference = TorchEngine(model, config, device), config.inference
        self.prompt = Prompt.of(config.inference, tokenizer)
        self.scorer = FindingScorer(self.engine, self.prompt, tokenizer, config.text.max_position_embeddings)

    def probabilities(self, page: np.ndarray, findings: Sequence[FindingSpec]) -> list[float]:
        """For a page uint8 [H, W, 3]."""
        embeds = page_prefix(page, self.engine, self.inference, self.prompt).embeds
        prefix: TorchCache = self.engine.decode(embeds, self.engine.empty_cache())[1]
        return [self.scorer.score(prefix, finding).probability for finding in findings]


def _findings(config: Config, targets: Targets) -> dict[int, FindingSpec]:
    """The teacher's questions by the target that they are about: a superclass or an SCP code."""
    columns = targets.columns
    return {columns[spec.label]: spec for spec in config.inference.findings if spec.label in columns}
