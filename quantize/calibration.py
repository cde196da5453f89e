"""What a calibrating method looks at: ECG pages, and the texts about them that the model itself would write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edge_runtime import image
from edge_runtime.errors import UserError
from edge_runtime.manifest import PromptSpec
from edge_runtime.preprocess import PreprocessSpec, pixels
from edge_runtime.prompt import Prompt
from edge_runtime.tokenizer import Tokenizer
from pulse.ecg.photo import photograph
from pulse.ecg.ptbxl import PtbXl
from pulse.ecg.render import render
from pulse.model.config import Config
from pulse.model.llava import Llava

EXAMPLES, PTBXL = "examples", "ptbxl:"
RECORDS = 128  # of PTB-XL; GPTQ's and AWQ's papers use as many texts
TRAIN_FOLDS = range(1, 9)
ANSWER_TOKENS = 64
_PICTURES = (".png", ".jpg", ".jpeg")


def calibration_pages(name: str, folds: Iterable[int] = TRAIN_FOLDS, records: int = RECORDS) -> list[np.ndarray]:
    """Pages uint8 [H, W, 3] of a named set: "examples" (the project's own four), "ptbxl:FOLDER" (so many records evenly
    out of `folds`, every second one photographed, always the same) or a folder of PNG or JPEG pages.

    Raises UserError for another name or a folder without pages.
    """
    if name == EXAMPLES:
        return _pictures(Path(str(resources.files("pulse"))) / "ecg" / "examples")
    if name.startswith(PTBXL):
        database = PtbXl(name.removeprefix(PTBXL))
        ids = database.ids(folds)
        chosen = [ids[i] for i in np.linspace(0, len(ids) - 1, min(records, len(ids))).astype(int)]
        return [_drawn(database, ecg_id, k % 2 == 1) for k, ecg_id in enumerate(chosen)]
    if not Path(name).is_dir():
        raise UserError(f"calibration pages {name}: neither {EXAMPLES} nor {PTBXL}FOLDER nor a folder of pages")
    return _pictures(Path(name))


def _drawn(database: PtbXl, ecg_id: int, photographed: bool) -> np.ndarray:
    page = render(database[ecg_id]).image
    return photograph(page, np.random.default_rng(ecg_id)) if photographed else page


def _pictures(folder: Path) -> list[np.ndarray]:
    pages = [np.asarray(image.load(path)) for path in sorted(folder.iterdir()) if path.suffix.lower() in _PICTURES]
    if not pages:
        raise UserError(f"{folder}: holds no PNG or JPEG page to calibrate with")
    return pages


def page_features(model: Llava, config: Config, pages: Sequence[np.ndarray]) -> Iterator[Tensor]:
    """What the vision tower gives for each page, before the projector: [N, T, vision size]."""
    spec = PreprocessSpec(**_section(config, "preprocess"))
    for page in pages:
        yield model.vision_tower(torch.from_numpy(pixels(page, spec)))


def dialogues(model: Llava, config: Config, tokenizer: Tokenizer, features: Sequence[Tensor]) -> Iterator[Tensor]:
    """Embeddings [1, S, D] of what is said about each page: the usual question with the model's own greedy answer, and
    one of the findings' questions, a different one from page to page.

    features: those of page_features. Raises UserError when the checkpoint's runtime section lacks a part.
    """
    spec = _section(config, "prompt")
    prompt = Prompt(PromptSpec(**spec), tokenizer, _section(config, "bos_token_id"))
    question, findings = _section(config, "default_question"), _section(config, "findings")
    ends = set(_section(config, "eos_token_ids"))

    def embed(ids: Sequence[int]) -> Tensor:
        return model.language_model.model.embed_tokens(torch.tensor([list(ids)], dtype=torch.long))

    for number, seen in enumerate(features):
        before = torch.cat([embed(prompt.before_image()), model.multi_modal_projector(seen).flatten(0, 1)[None]], dim=1)
        asked = torch.cat([before, embed(prompt.after_image(question))], dim=1)
        yield torch.cat([asked, embed(_answer(model, asked, ends))], dim=1)
        if findings:
            finding = findings[number % len(findings)]
            yield torch.cat([before, embed(prompt.after_image(finding["question"]))], dim=1)


def _answer(model: Llava, embeds: Tensor, ends: set[int]) -> list[int]:
    ids: list[int] = []
    logits, past = model.language_model(embeds)
    while len(ids) < ANSWER_TOKENS and (token := int(logits[0].argmax())) not in ends:
        ids.append(token)
        step = model.language_model.model.embed_tokens(torch.tensor([[token]]))
        logits, past = model.language_model(step, past)
    return ids


def _section(config: Config, key: str) -> Any:
    if key not in config.runtime:
        raise UserError(f"config.json: its section runtime has no {key}, so there is nothing to calibrate with; add it")
    return config.runtime[key]
