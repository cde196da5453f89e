"""The student's tokenizer: byte-level BPE learned from the questions and answers it will see.

Byte-level, so any question can be written; small, because a large embedding table is the waste of a small model.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE
from tqdm import tqdm

from distill.dataset_cache import DatasetCache
from pulse.instruct.facts import Facts
from pulse.instruct.questions import WAYS_UP, training_turns

PAD, END = "<pad>", "</s>"
SPECIALS = (PAD, END)  # ids 0 and 1
RARE = 600


def facts_of(label: dict[str, Any], unsaid: frozenset[str] = frozenset()) -> Facts:
    """Facts from a cached record's labels; unsaid: codes to leave out of its words."""
    return Facts(label["scp_codes"], label["heart_axis"], label["heart_rate"], unsaid=unsaid)


def rare_codes(cache: DatasetCache, rows: np.ndarray) -> frozenset[str]:
    """SCP codes that fewer than one in RARE of these records have: a student cannot learn to see what it was shown a
    dozen times, and one that learned the words says them at a wrong page."""
    seen = Counter(code for row in rows for code in cache.labels[row]["scp_codes"])
    return frozenset(code for code, records in seen.items() if records * RARE < len(rows))


def train_tokenizer(cache: DatasetCache, rows: np.ndarray, path: Path, vocab_size: int = 1024) -> None:
    """Write tokenizer.json, learned from one dialogue set a record; the same rows give the same file."""
    rng = np.random.default_rng(0)
    turns = (turn for row in rows for dialogue in training_turns(facts_of(cache.labels[row]), rng) for turn in dialogue)
    # Records alone are pages that lie upright.
    prompts = ["USER: \n\nASSISTANT:", *WAYS_UP] * 1000
    texts = [*prompts, *(text for turn in tqdm(turns, "tokenizer") for text in (turn.question, turn.answer))]
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.save(str(path))
