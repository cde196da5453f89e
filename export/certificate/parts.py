"""Stages that look at one part of a bundle by itself: its tokens, its token table, its decoder.

They see what golden pages do not reach, a token that no prompt has, and what end-to-end differences drown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edge_runtime.bundle import Bundle
from edge_runtime.engines import Engine
from edge_runtime.errors import CannotRunHere, UserError
from edge_runtime.prefix import page_prefix
from edge_runtime.session import Session
from edge_runtime.tokenizer import Tokenizer
from export.certificate.arithmetic import Arithmetic
from export.certificate.insides import Insides, follow
from export.certificate.layerwise import causal, sweep
from export.certificate.rounding import rounded_as
from export.certificate.stage import Stage
from export.certificate.tolerance import Tolerance
from export.graph.parts import EmbedGraph, widen
from export.target import Target
from pulse.files.memory import give_back
from pulse.model.config import Config
from pulse.model.llava import Llava
from quantize.layers import IntLinear

Observe = Callable[[np.ndarray, np.ndarray], Insides]  # embeds read before [P, D], embeds [S, D]
OpenModel = Callable[[], tuple[Llava, Config]]

# Worst channel of a step, as export.certificate.insides measures it. Measured at most 1.5e-6 (2 and 4 layers of 64 to
# 1,024 features, caches of float32 and int8) and, where an activation fell on the other side of a step, 7.5e-5 (4,096).
STEPS = 1e-3
# Relative L2 difference of logits, of texts in which no activation fell on the other side of a step: measured 2e-7 to
# 8e-7 (XNNPACK, 2 to 4 layers of 64 to 192 features); of those in which one did, 2e-4 and more.
TEXTS = 2e-5
LENGTHS, EACH = (2, 4, 8), 16
# Rounded numbers of a text up to which one in sixteen stays in step: each falls aside once in some 200,000.
IN_STEP = 400_000
TABLE = 3e-4  # of a row; the table is stored exactly, and read as float16 at worst
_BEFORE = 512  # positions of a page that an observed decoder reads first
_ROWS = 1024


def part_stages(
    bundle: Bundle,
    open_engine: Callable[[], Engine],
    open_model: OpenModel,
    pages: Sequence[Path],
    target: Target[Any],
    arithmetic: Arithmetic,
    own: Tokenizer,
    tolerance: Tolerance,
) -> list[Stage]:
    """The stages of a bundle's parts, in the order of the data; own: the checkpoint's tokenizer.

    Engine and model are opened one after the other. A part in which the bundle raises is a failure, with the reason.
    """
    session = Session(open_engine(), bundle.manifest.inference, Tokenizer(bundle.path("tokenizer")))
    vocab_size, inference = session.inference.model.vocab_size, session.inference
    most = tolerance.thresholds.get("token_embeddings", TABLE)
    found = [token_texts(session.tokenizer, own)]
    try:
        found.append(token_embeddings(session.engine, open_model()[0], vocab_size, most))
        before = page_prefix(pages[0], session.engine, inference, session.prompt).embeds[:_BEFORE]
        question = session.engine.embed(session.prompt.after_image(inference.default_question))
        texts = short_texts(vocab_size) if target.insides is None and arithmetic.parts else []
        got = read_texts(session.engine, texts)
        del session
        give_back()  # before the bundle is opened once more
        observed = None if target.insides is None else target.insides(bundle)
        if observed is not None:
            most = tolerance.thresholds.get("decoder_steps", STEPS)
            found.append(decoder_steps(observed(before, question), open_model, arithmetic, most))
        elif texts:
            found.append(decoder_texts(texts, got, open_model, arithmetic))
        return found
    except CannotRunHere:
        raise
    except UserError as error:
        return [*found, Stage("decoder", "whether it answers", 0.0, None, "fail", str(error))]


def token_texts(ours: Tokenizer, theirs: Tokenizer) -> Stage:
    """Share of token ids that stand for another text than in the checkpoint."""
    size = max(ours.vocab_size, theirs.vocab_size)
    wrong = sum(ours.decode([i]) != theirs.decode([i]) for i in range(size))
    return _stage("token_texts", "share of ids with another text", 0.0, wrong / size)


def token_embeddings(engine: Engine, model: Llava, vocab_size: int, threshold: float) -> Stage:
    """The worst row of the token table, relative to the row."""
    worst, table = 0.0, EmbedGraph(model)
    for first in range(0, vocab_size, _ROWS):
        ids = list(range(first, min(first + _ROWS, vocab_size)))
        with torch.inference_mode():
            want = table(torch.tensor([ids]))[0].numpy()
        size = np.maximum(np.linalg.norm(want, axis=1), 1e-12)
        worst = max(worst, float((np.linalg.norm(engine.embed(ids) - want, axis=1) / size).max()))
    return _stage("token_embeddings", "relative L2 difference of the worst row", threshold, worst)


def decoder_steps(insides: Insides, open_model: OpenModel, arithmetic: Arithmetic, most: float = STEPS) -> Stage:
    """Every product, attention and cache of the decoder by itself; the reason names the worst place of a failure."""
    errors = follow(open_model()[0], insides, arithmetic)
    place = next((p for p, error in errors.items() if not error <= most), "")
    worst = max(errors.values(), key=lambda error: np.nan_to_num(error, nan=np.inf))
    return _stage(
        "decoder_steps",
        "worst channel of a step from the bundle's own inputs",
        most,
        worst,
        place and f"first: {place}",
    )


def short_texts(vocab_size: int, seed: int = 0) -> list[list[int]]:
    """Token ids, at random."""
    draw = np.random.default_rng(seed)
    return [draw.integers(vocab_size, size=length).tolist() for length in LENGTHS for _ in range(EACH)]


def read_texts(engine: Engine, texts: Sequence[Sequence[int]]) -> list[np.ndarray]:
    """Logits [V] after each text, read in two steps as a conversation is: the second sees the cache of the first, and
    the token table was asked in between."""
    found = []
    for text in texts:
        half = len(text) // 2
        _, cache = engine.decode(engine.embed(text[:half]), engine.empty_cache())
        found.append(engine.decode(engine.embed(text[half:]), cache)[0])
    return found


def decoder_texts(
    texts: Sequence[Sequence[int]], got: Sequence[np.ndarray], open_model: OpenModel, arithmetic: Arithmetic
) -> Stage:
    """Logits after short texts: the best one of each length, and of these the worst. A fault is in all of them."""
    measure = "relative L2 difference of the best text of a length"
    model, _ = open_model()
    count = rounded_numbers(model)
    readable = [(text, logits) for text, logits in zip(texts, got, strict=True) if count * len(text) <= IN_STEP]
    if not readable:
        reason = f"{count} rounded numbers a token: no text stays in step with torch, and this target shows no insides"
        return Stage("decoder_texts", measure, TEXTS, None, "not_run", reason)
    texts, got = zip(*readable, strict=True)
    language = model.language_model
    embeds = [language.model.embed_tokens(torch.tensor(text)).float() for text in texts]
    with torch.inference_mode(), rounded_as(model, arithmetic):
        hidden = sweep(model, embeds, [causal(len(text)) for text in texts])
        widen(language.lm_head)
        want = [language.lm_head(x[-1:])[0].float().numpy() for x in hidden]
    errors: dict[int, list[float]] = {}
    for text, ours, theirs in zip(texts, got, want, strict=True):
        error = float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))
        errors.setdefault(len(text), []).append(error if np.isfinite(error) else np.inf)
    return _stage("decoder_texts", measure, TEXTS, max(min(each) for each in errors.values()))


def rounded_numbers(model: Llava) -> int:
    """Inputs of the decoder's integer products, for each token."""
    return sum(m.in_features for m in model.language_model.modules() if isinstance(m, IntLinear))


def _stage(name: str, measure: str, threshold: float, error: float, reason: str = "") -> Stage:
    if not np.isfinite(error):
        return Stage(name, measure, threshold, None, "fail", reason or "the bundle's numbers are not finite")
    return Stage(name, measure, threshold, error, "pass" if error <= threshold else "fail", reason)
