"""What a calibrating method looks at: ECG pages, and texts about them such as the model writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edge_runtime import image
from edge_runtime.errors import UserError
from edge_runtime.inference import Inference
from edge_runtime.prefix import page_prefix
from edge_runtime.preprocess import pixels
from edge_runtime.prompt import Prompt
from edge_runtime.tokenizer import Tokenizer
from pulse.ecg.paper.render import render
from pulse.ecg.photo.photograph import photograph
from pulse.ecg.ptbxl import PtbXl
from pulse.model.llava import Llava

EXAMPLES, PTBXL = "examples", "ptbxl:"
RECORDS = 128  # of PTB-XL; GPTQ's and AWQ's papers use as many texts
TRAIN_FOLDS = range(1, 9)
ANSWER_TOKENS = 64
# Answers to the usual question, in the form of the project's reports. The model's own would need all its weights for
# each of their tokens: 64 times 14 GB for a 7B. Beside a page's tokens, they are few.
ANSWERS = (
    "Sinus rhythm. About 68 beats per minute. Normal axis. Normal ECG. Conclusion: normal ECG.",
    "Atrial fibrillation. About 95 beats per minute. Left axis deviation. Anteroseptal myocardial infarction; "
    "non-specific ST-T changes. Conclusion: abnormal ECG.",
    "Sinus bradycardia. About 52 beats per minute. Normal axis. First degree AV block; left ventricular hypertrophy. "
    "Conclusion: abnormal ECG.",
    "Sinus tachycardia. About 110 beats per minute. Right axis deviation. Complete right bundle branch block; inferior "
    "myocardial infarction. Conclusion: abnormal ECG.",
    "Sinus rhythm. About 75 beats per minute. Left axis deviation. Complete left bundle branch block; ventricular "
    "premature complex. Conclusion: abnormal ECG.",
)
_PICTURES = (".png", ".jpg", ".jpeg")


class Pages(Sequence[np.ndarray]):
    """Pages uint8 [H, W, 3] that are drawn or read whenever they are asked for: 128 of them would take a gigabyte.

    identity: what tells these pages from others, as JSON.
    """

    def __init__(self, makers: Sequence[Callable[[], np.ndarray]], identity: Any) -> None:
        self._makers, self.identity = makers, identity

    def __len__(self) -> int:
        return len(self._makers)

    def __getitem__(self, index: Any) -> Any:
        made = self._makers[index]
        return Pages(made, [self.identity, str(index)]) if isinstance(index, slice) else made()


@dataclass(frozen=True)
class Calibration:
    """How integers are chosen: the method ("gptq" or "awq") and the pages it looks at."""

    method: str
    pages: Pages


def calibration_pages(name: str, folds: Iterable[int] = TRAIN_FOLDS, records: int = RECORDS) -> Pages:
    """Pages of a named set: "examples" (the project's own four), "ptbxl:FOLDER" (so many records evenly out of `folds`,
    every second one photographed, always the same) or a folder of PNG or JPEG pages.

    Raises UserError for another name or a folder without pages.
    """
    if name == EXAMPLES:
        return _pictures(Path(str(resources.files("pulse"))) / "ecg" / "examples")
    if name.startswith(PTBXL):
        database = PtbXl(name.removeprefix(PTBXL))
        ids = database.ids(folds)
        chosen = [ids[i] for i in np.linspace(0, len(ids) - 1, min(records, len(ids))).astype(int)]
        return Pages([partial(_drawn, database, ecg_id, k % 2 == 1) for k, ecg_id in enumerate(chosen)], [name, chosen])
    if not Path(name).is_dir():
        raise UserError(f"calibration pages {name}: neither {EXAMPLES} nor {PTBXL}FOLDER nor a folder of pages")
    return _pictures(Path(name))


def _drawn(database: PtbXl, ecg_id: int, photographed: bool) -> np.ndarray:
    page = render(database[ecg_id]).image
    return photograph(page, np.random.default_rng(ecg_id)) if photographed else page


def _pictures(folder: Path) -> Pages:
    paths = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in _PICTURES]
    if not paths:
        raise UserError(f"{folder}: holds no PNG or JPEG page to calibrate with")
    identity = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in paths]
    return Pages([partial(_read, path) for path in paths], identity)


def _read(path: Path) -> np.ndarray:
    return np.asarray(image.load(path))


def page_features(tower: nn.Module, inference: Inference, pages: Iterable[np.ndarray]) -> Iterator[Tensor]:
    """What the vision tower gives for each page, before the projector: [N, T, vision size]."""
    for page in pages:
        yield tower(torch.from_numpy(pixels(page, inference.preprocess)))


def dialogues(
    model: Llava, inference: Inference, tokenizer: Tokenizer, pages: Iterable[np.ndarray], features: Iterable[Tensor]
) -> Iterator[Tensor]:
    """Embeddings float32 [1, S, D] of what is said about each page: the usual question with one of ANSWERS, and one of
    the findings' questions, others from page to page.

    features: those of page_features, which stand for the tower that is not in memory any more.
    """
    prompt, findings = Prompt.of(inference, tokenizer), inference.findings
    for number, (page, seen) in enumerate(zip(pages, features, strict=True)):
        eyes = _Projected(model, seen)
        before = page_prefix(page, eyes, inference, prompt).embeds
        after = eyes.embed(prompt.after_image(inference.default_question))
        answer = eyes.embed(tokenizer.encode(ANSWERS[number % len(ANSWERS)])[:ANSWER_TOKENS])
        yield torch.from_numpy(np.concatenate([before, after, answer]))[None]
        if findings:
            asked = eyes.embed(prompt.after_image(findings[number % len(findings)].question))
            yield torch.from_numpy(np.concatenate([before, asked]))[None]


class _Projected:
    """The model's eyes on a page that its tower has seen: features [N, T, vision size]."""

    def __init__(self, model: Llava, features: Tensor) -> None:
        self._model, self._features = model, features

    def vision(self, pixels: np.ndarray) -> np.ndarray:
        return self._model.multi_modal_projector(self._features).flatten(0, 1).detach().float().numpy()

    def embed(self, ids: Sequence[int]) -> np.ndarray:
        table = self._model.language_model.model.embed_tokens
        return table(torch.tensor(list(ids), dtype=torch.long)).detach().float().numpy()
