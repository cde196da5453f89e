"""A certificate of a model that is larger than memory: the bundle first, alone, then float32 torch layer by layer.

A sweep through the layers is what costs, so there is one for all pages: behind each page's image lie its question with
the answer that the bundle gave, and every finding's question, none of which sees another. Where the model would not
have gone on as the bundle did, its own answer parts from the bundle's, or they are near a tie.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from edge_runtime.bundle import Bundle
from edge_runtime.engines import Engine
from edge_runtime.findings import sigmoid
from edge_runtime.prefix import page_prefix
from edge_runtime.sampling import log_softmax
from edge_runtime.session import Session
from edge_runtime.tokenizer import Tokenizer
from export.certificate import stages
from export.certificate.arithmetic import FLOAT32, Arithmetic
from export.certificate.certify import Certificate, checks, compare, digests
from export.certificate.cost import cost_of
from export.certificate.layerwise import Eyes, sweep
from export.certificate.near_ties import NearTie
from export.certificate.rounding import rounded_as
from export.certificate.stages import GREEDY_TOKENS, SeesOnce, key
from export.certificate.tolerance import Tolerance
from export.graph.parts import widen
from pulse.files.memory import give_back
from pulse.model.config import Config
from pulse.model.llava import Llava


def certify_streamed(
    bundle: Bundle,
    open_engine: Callable[[], Engine],
    open_model: Callable[[], tuple[Llava, Config]],
    pages: Sequence[Path],
    tolerance: Tolerance,
    warnings: Sequence[str] = (),
    arithmetic: Arithmetic = FLOAT32,
    own: Tokenizer | None = None,
) -> Certificate:
    """As verify.certify, but engine and model are opened one after the other and the model is used up.

    open_model: with its float16 weights left in the mapped file (quantize.load.load_model's halves), and a config that
    has the bundle's options. Raises UserError when a side cannot answer at all.
    """
    got = stages.results(bundle, pages, open_engine())
    give_back()
    model, config = open_model()
    session = Session(SeesOnce(Eyes(model)), config.inference, own or Tokenizer(bundle.path("tokenizer")))
    rounded = {}
    if arithmetic.vision:
        with rounded_as(model, arithmetic):
            plain = Session(Eyes(model), config.inference, session.tokenizer)
            rounded = {key("vision_features", page): stages.features(plain, page) for page in pages}
    float32, ties = _expected(session, model, pages, got)
    want = float32 | rounded

    def of(side: dict[str, np.ndarray], stage: str) -> Callable[[Path], np.ndarray]:
        return lambda page: side[key(stage, page)]

    def tied(page: Path, _: np.ndarray) -> list[NearTie] | None:
        return ties[page] if all(tie.margin <= tolerance.near_tie for tie in ties[page]) else None

    found = [compare(c, of(got, c.stage), of(want, c.stage), pages, tied) for c in checks(tolerance, arithmetic)]
    cost = cost_of(lambda s, p: got[key(s, p)], lambda s, p: float32[key(s, p)], pages)
    return Certificate(tuple(found), digests(pages), tuple(warnings), arithmetic=arithmetic, cost=cost)


@dataclass
class Script:
    """One page's tokens in one sequence: the image with what comes before it, and texts that see it and themselves.

    embeds: float32 [P, D] of the image and what comes before it; ids: of all texts; texts: where each starts in ids,
    by its ids.
    """

    embeds: np.ndarray
    ids: list[int] = field(default_factory=list)
    texts: dict[tuple[int, ...], int] = field(default_factory=dict)

    def add(self, question: Sequence[int], answer: Sequence[int]) -> range:
        """The places whose logits predict `answer`, token by token, after `question`; place 0 is the last of embeds."""
        text = (*question, *answer[:-1])
        if text not in self.texts:
            self.texts[text] = len(self.ids)
            self.ids += text
        first = self.texts[text] + len(question)
        return range(first, first + len(answer))

    def layout(self) -> tuple[Tensor, Tensor]:
        """Positions int64 [L] and mask bool [L, L]: each text stands where it would stand alone behind the image."""
        prefix = len(self.embeds)
        segment = [0] * prefix
        positions = list(range(prefix))
        for number, text in enumerate(self.texts, 1):
            segment += [number] * len(text)
            positions += range(prefix, prefix + len(text))
        mine, order = torch.tensor(segment), torch.arange(len(segment))
        mask = (order[None] <= order[:, None]) & ((mine[None] == mine[:, None]) | (mine[None] == 0))
        return torch.tensor(positions), mask


def _expected(
    session: Session, model: Llava, pages: Sequence[Path], got: dict[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[Path, list[NearTie]]]:
    """The model's results by `key`, and by page where it would have chosen another token than the bundle."""
    inference, engine = session.inference, session.engine
    ends = inference.model.eos_token_ids
    asked = [*inference.findings, *([] if inference.is_ecg is None else [inference.is_ecg])]
    want, ties = {}, {}
    scripts, embeds, answers, spoken, scored = [], [], [], [], []
    for page in pages:
        want[key("pixels", page)] = stages.pixels_by_definition(session, page)
        want[key("vision_features", page)] = stages.features(session, page)
        script = Script(page_prefix(page, engine, inference, session.prompt).embeds)
        ids = got[key("greedy_tokens", page)].tolist()[:-1]
        answer = ids if len(ids) == GREEDY_TOKENS else [*ids, ends[0]]
        spoken.append(script.add(session.prompt.after_image(inference.default_question), answer))
        words = [session.scorer.words(len(script.embeds), finding) for finding in asked]
        scored.append([(script.add(ids, yes), yes, script.add(ids, no), no) for ids, yes, no in words])
        scripts.append(script)
        answers.append(answer)
        embeds.append(torch.from_numpy(np.concatenate([script.embeds, engine.embed(script.ids)])))
    hidden = sweep(model, embeds, [script.layout() for script in scripts])
    head = model.language_model.lm_head
    widen(head)
    for page, script, x, places, answer, found in zip(pages, scripts, hidden, spoken, answers, scored, strict=True):
        with torch.inference_mode():  # in one call, since each one dequantizes the head
            logits = head(x[len(script.embeds) - 1 :]).float().numpy()
        rows = logits[places.start : places.stop]
        want[key("first_logits", page)] = rows[0]
        ties[page] = _parted(page.name, answer, rows, ends)
        want[key("greedy_tokens", page)] = _own(answer, ties[page], ends)
        probabilities = [
            sigmoid(_log_probability(logits[a.start : a.stop], yes) - _log_probability(logits[b.start : b.stop], no))
            for a, yes, b, no in found
        ]
        want[key("label_probabilities", page)] = np.array(probabilities)
    return want, ties


def _log_probability(rows: np.ndarray, word: Sequence[int]) -> float:
    return sum(float(log_softmax(row)[token]) for row, token in zip(rows, word, strict=True))


def _parted(page: str, answer: Sequence[int], rows: np.ndarray, ends: Sequence[int]) -> list[NearTie]:
    """Where the model, having read the bundle's answer so far, prefers another token; rows: its logits [len, V]."""
    found = []
    for position, (given, row) in enumerate(zip(answer, rows, strict=True)):
        best = int(row.argmax())
        if best != given and not (best in ends and given in ends):
            margin = float((row[best] - row[given]) / np.sqrt(np.square(row).mean()))
            found.append(NearTie(page, position, best, given, margin))
    return found


def _own(answer: Sequence[int], parted: Sequence[NearTie], ends: Sequence[int]) -> np.ndarray:
    """The model's own answer as stages.greedy_tokens gives it, as far as it is known: to where it parts."""
    own = list(answer) if not parted else [*answer[: parted[0].position], parted[0].token]
    return np.array([*(own[:-1] if own[-1] in ends else own), -1])
