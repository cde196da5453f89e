"""Packed dialogues: each as if it stood alone behind the image, its targets the answers and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from distill.dataset_cache import DatasetCache
from distill.dialogues import Packer, collate
from distill.recipe import Recipe
from distill.speaker import Speaker
from distill.students.nano import STUDENT as NANO
from distill.tokens import facts_of, train_tokenizer
from edge_runtime.prompt import Prompt
from edge_runtime.tokenizer import Tokenizer
from pulse.instruct.questions import Turn, training_turns


@pytest.fixture(scope="module")
def packer(dataset: DatasetCache, tmp_path_factory: pytest.TempPathFactory) -> Packer:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    train_tokenizer(dataset, dataset.rows((1,)), path, 400)
    tokenizer = Tokenizer(path)
    return Packer(Prompt(NANO.prompt, tokenizer, None), tokenizer, 3, NANO.end, 384)


def test_a_packed_dialogue_sees_nothing_of_its_neighbours(dataset: DatasetCache, packer: Packer, tiny: Recipe) -> None:
    """The same dialogue alone and behind others gives the same hidden states, at the same positions."""
    torch.manual_seed(0)
    speaker = Speaker(5, replace(tiny.student.text, vocab_size=packer.tokenizer.vocab_size)).eval()
    with torch.no_grad():
        for parameter in speaker.parameters():
            parameter.normal_(std=0.3)
    features = torch.randn(1, 3, 5)
    dialogues = training_turns(facts_of(dataset.labels[0]), np.random.default_rng(3))[-4:]
    together, alone = packer.pack(dialogues), packer.pack(dialogues[-1:])
    hidden = [speaker.hidden(features, collate([p]), packer.image_start)[0] for p in (together, alone)]
    length = int((alone.segments == 1).sum())
    assert (together.positions[-length:] == alone.positions[-length:]).all()
    torch.testing.assert_close(hidden[0][-length:], hidden[1][-length:])
    # And padding in a batch changes nothing either.
    padded = speaker.hidden(features.expand(2, 3, 5), collate([alone, together]), packer.image_start)[0]
    torch.testing.assert_close(padded[: len(alone.ids)], hidden[1])


def test_targets_of_a_packed_dialogue_are_the_answer_and_the_end(packer: Packer) -> None:
    packed = packer.pack([[Turn("What is the rhythm?", "Sinus rhythm."), Turn("Is this a normal ECG?", "No")]])
    wanted = packed.targets[packed.weights > 0].tolist()
    first, second = packer.encode("Sinus rhythm."), packer.encode("No")
    assert wanted == [*first, NANO.end, *second, NANO.end]
    # Position i predicts token i + 1.
    at = np.flatnonzero(packed.weights > 0)
    inside = at[at + 1 < len(packed.ids)]
    assert (packed.ids[inside + 1] == packed.targets[inside]).all()


def test_dialogues_that_do_not_fit_are_left_out(packer: Packer) -> None:
    short, long = [Turn("Is this a normal ECG?", "No")], [Turn("What?", "Sinus rhythm. " * 200)]
    packed = packer.pack([short, long, short])
    assert sorted(set(packed.segments.tolist())) == [0, 1, 3]
    assert len(packed.ids) <= packer.max_length
