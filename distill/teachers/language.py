"""A language teacher: any checkpoint that this project reads, asked about the training records as a user would ask it.

Its likelihoods of yes against no after each finding's question are probabilities of the same kind as the signal
teacher's, whatever its vocabulary. A PULSE-7B fits in 4 or 8 bits (quantize.on_load). A teacher of the student's own
vocabulary also tells its logits, token by token: distill.teachers.logits.

It is asked once about the plain page of each record, and what it said is kept. One that was trained on these records
knows their labels by heart, and teaches little: unlike the signal teacher, it cannot be asked by folds.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from distill.dataset_cache import Pack
from distill.score import multilabel
from distill.targets import Targets
from edge_runtime.errors import UserError
from edge_runtime.findings import FindingScorer
from edge_runtime.manifest import FindingSpec, PromptSpec
from edge_runtime.preprocess import PreprocessSpec, arranged, pixels
from edge_runtime.prompt import Prompt
from edge_runtime.tokenizer import Tokenizer
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.checkpoint.tokenizer import TOKENIZER
from pulse.ecg.paper.render import render
from pulse.ecg.ptbxl import SUPERCLASSES
from pulse.model.config import Config
from pulse.model.engine import TorchCache, TorchEngine
from pulse.model.llava import Llava
from quantize.load import load_model
from quantize.on_load import load_in_bits

TEACHERS = "teachers.csv"
FIGURES = ("auc", "hard_auc", "f1", "hamming")
_KEPT_EVERY = 50  # records; a 7B takes seconds for one


class LanguageTeacher:
    """name: as `Checkpoint.open` takes it. Its own files lie in `folder`. bits: 4 or 8
    to hold a float checkpoint's decoder in, by bitsandbytes; None as the checkpoint has it.

    Raises UserError when it is no checkpoint, or `folder` holds what another one said.
    """

    def __init__(self, name: str, folder: Path, device: torch.device, bits: int | None = None) -> None:
        self.name, self.folder, self.device, self.bits = name, folder, device, bits
        source = Checkpoint.open(name)
        about = {"checkpoint": name, "files": source.identity(), **({} if bits is None else {"bits": bits})}
        _check_same(folder / "teacher.json", about)
        if not (folder / TOKENIZER).exists():
            source.write_tokenizer(folder / TOKENIZER)
        self._source = source
        self._opened: tuple[Llava, Config] | None = None

    @property
    def model(self) -> tuple[Llava, Config]:
        """Computing in float32 and on the device, and its config; loaded when it is first wanted."""
        if self._opened is None:
            if self.bits is not None:
                model = load_in_bits(self._source, self.bits, self.device)
            else:
                model = load_model(self._source).to(self.device)
            self._opened = model, self._source.config
        return self._opened

    def speaks_like(self, tokenizer: Path, spec: PreprocessSpec) -> bool:
        """Whether its logits are about the student's tokens, seen on the student's pages; says so when they are not."""
        if json.loads((self.folder / TOKENIZER).read_text("utf-8")) == json.loads(tokenizer.read_text("utf-8")) and (
            PreprocessSpec.from_dict(self.model[1].runtime["preprocess"]) == spec
        ):
            return True
        tqdm.write(f"teacher {self.name}: has its own words or pages, so it teaches by its findings' likelihoods alone")
        return False

    def told(self, pack: Pack, targets: Targets, rows: np.ndarray) -> np.ndarray:
        """Probabilities float32 [n, k] of the targets that it has questions for; NaN for others, and outside `rows`.

        What it said before is read from its folder; a run that was cut off goes on there.
        """
        path, done_path = self.folder / "told.npy", self.folder / "told.done"
        done = int(done_path.read_text()) if done_path.exists() else 0
        shape = targets.values.shape
        said = np.lib.format.open_memmap(path, "r+" if done else "w+", np.float32, None if done else shape)
        if said.shape != shape:
            raise UserError(f"{path}: is about other records or targets; give another --out")
        if not done:
            said[:] = np.nan
        if done < len(rows):
            model, config = self.model
            findings = _findings(config, targets)
            if not findings:
                raise UserError(f"{self.name}: has questions for none of the targets; leave it out of --teacher")
            look = _Look(model, config, Tokenizer(self.folder / TOKENIZER), self.device)
            for number in tqdm(range(done, len(rows)), f"teacher {self.name}", initial=done, total=len(rows)):
                page = render(pack.record(int(rows[number]))).image
                said[rows[number], list(findings)] = look.probabilities(page, list(findings.values()))
                if (number + 1) % _KEPT_EVERY == 0 or number + 1 == len(rows):
                    said.flush()
                    done_path.write_text(str(number + 1))
        return np.array(said)


class _Look:
    def __init__(self, model: Llava, config: Config, tokenizer: Tokenizer, device: torch.device) -> None:
        runtime = config.runtime
        self.engine = TorchEngine(model, config, device)
        self.spec = PreprocessSpec.from_dict(runtime["preprocess"])
        ends = runtime["eos_token_ids"]
        self.prompt = Prompt(PromptSpec(**runtime["prompt"]), tokenizer, runtime["bos_token_id"], ends[0])
        self.scorer = FindingScorer(self.engine, self.prompt, tokenizer, config.text.max_position_embeddings)
        self.newline = config.text.vocab_size

    def probabilities(self, page: np.ndarray, findings: Sequence[FindingSpec]) -> list[float]:
        """For a page uint8 [H, W, 3]."""
        engine, tiles = self.engine, pixels(page, self.spec)
        size = (page.shape[1], page.shape[0])
        seen = arranged(engine.vision(tiles), len(tiles), size, self.spec, lambda: engine.embed([self.newline])[0])
        before = self.prompt.before_image()
        prefix: TorchCache = engine.decode(
            np.concatenate([engine.embed(before), seen]) if before else seen, engine.empty_cache()
        )[1]
        return [self.scorer.score(prefix, finding).probability for finding in findings]


def mean_told(told: Sequence[np.ndarray]) -> np.ndarray | None:
    """The mean [n, k] of several teachers' probabilities over those that say something; NaN where none does, None
    without any teacher."""
    if not told:
        return None
    known = np.isfinite(told)
    count = known.sum(0)
    total = np.where(known, told, 0).sum(0, dtype=np.float64)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)


def report(said: Mapping[str, np.ndarray], targets: Targets, chosen_on: np.ndarray, out: Path) -> None:
    """Each teacher's own figures on the superclasses of the records `chosen_on`, printed and in out/teachers.csv."""
    classes = len(SUPERCLASSES)
    rows = []
    for name, told in said.items():
        found = told[chosen_on, :classes]
        known = np.isfinite(found).all()  # a teacher without a question for each class has no figures here
        truth = targets.values[chosen_on, :classes].astype(int)
        figures = multilabel(truth, found) if known else dict.fromkeys(FIGURES, float("nan"))
        rows.append({"teacher": name, **{key: f"{value:.6g}" for key, value in figures.items()}})
        tqdm.write(f"teacher {name}: " + "  ".join(f"{key} {value:.3f}" for key, value in figures.items()))
    if rows:
        with (out / TEACHERS).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


def _findings(config: Config, targets: Targets) -> dict[int, FindingSpec]:
    """The teacher's questions by the target that they are about: a superclass or an SCP code."""
    columns = targets.columns
    found = [FindingSpec(**{**spec, "words": tuple(spec.get("words", ()))}) for spec in config.runtime["findings"]]
    return {columns[spec.label]: spec for spec in found if spec.label in columns}


def _check_same(path: Path, about: dict) -> None:
    """A folder keeps what one teacher said."""
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != about:
        raise UserError(f"{path.parent}: holds what another teacher, or this one before it changed, said; remove it")
    if not path.exists():
        shutil.rmtree(path.parent, ignore_errors=True)
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(about) + "\n", encoding="utf-8")
