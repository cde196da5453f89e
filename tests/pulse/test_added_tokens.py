"""Vocabularies that fine-tuning made larger, held against transformers' own slow tokenizer."""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given

from edge_runtime.errors import UserError
from edge_runtime.tokenizer import Tokenizer
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.checkpoint.tokenizer import added_tokens
from tests.fuzz import changed, often, read_or_refuse
from tests.golden import GOLDEN
from tests.published import change, golden_copy, rewrite, stored

transformers = pytest.importorskip("transformers")
pytest.importorskip("sentencepiece")

ADDED = {"<ecg>": 2000, "<wave>": 2001}  # a special one and a plain one


def settings(folder: Path, **fields: object) -> None:
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def grown(folder: Path, rows: int) -> Path:
    """The golden checkpoint with a token table and head of that many rows."""
    tensors = stored(folder)
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        old = tensors[name]
        tensors[name] = torch.cat([old, old[: max(0, rows - len(old))]])[:rows]
    rewrite(folder, tensors)
    change(folder, vocab_size=rows)
    return folder


@pytest.fixture
def added(tmp_path: Path) -> Path:
    """With two tokens more, as transformers' save_pretrained leaves it."""
    folder = grown(golden_copy(tmp_path), 2002)
    kind = transformers.models.llama.LlamaTokenizer
    slow = kind.from_pretrained(folder)
    plain, special = transformers.AddedToken("<wave>"), transformers.AddedToken("<ecg>", special=True)
    slow.add_tokens([special], special_tokens=True)
    slow.add_tokens([plain])
    slow.save_pretrained(folder)
    assert json.loads((folder / "added_tokens.json").read_text()) == ADDED
    return folder


def written(folder: Path) -> Tokenizer:
    Checkpoint.open(folder).write_tokenizer(folder / "made.json")
    return Tokenizer(folder / "made.json")


@pytest.mark.parametrize("legacy", [False, True])
def test_added_tokens_are_one_id_each_as_in_transformers(added: Path, legacy: bool) -> None:
    settings(added, legacy=legacy)
    ours, theirs = written(added), transformers.models.llama.LlamaTokenizer.from_pretrained(added)
    assert ours.vocab_size == 2002
    draw = random.Random(2)
    words = [*ADDED, "</s>", "<ecg", "Sinus rhythm", " ", "  ", "72 bpm", "µV", "心电图", "\n", "."]
    for _ in range(300):
        text = "USER:" + "".join(draw.choices(words, k=draw.randrange(8)))  # a prompt opens with words
        assert ours.encode(text) == theirs.encode(text, add_special_tokens=False), text
    assert ours.decode([2000, 2001]) == "<wave>"  # a special token is no part of an answer


@pytest.mark.parametrize("special", [False, True])
def test_the_older_file_alone_is_read(tmp_path: Path, special: bool) -> None:
    folder = grown(golden_copy(tmp_path), 2001)
    settings(folder, added_tokens_decoder=None)
    (folder / "added_tokens.json").write_text('{"<pad>": 2000}')
    (folder / "special_tokens_map.json").write_text(json.dumps({"pad_token": "<pad>"} if special else {}))
    ours = written(folder)
    assert ours.encode("<pad>") == [2000]
    assert ours.decode([2000]) == ("" if special else "<pad>")


def test_a_token_past_the_table_is_left_out(tmp_path: Path) -> None:
    folder = golden_copy(tmp_path)
    (folder / "added_tokens.json").write_text('{"<pad>": 2000}')  # a table that was never resized for it
    ours = written(folder)
    assert ours.vocab_size == 2000
    assert 2000 not in ours.encode("<pad>")


@pytest.mark.parametrize("rows", [2048, 2013])
def test_padding_has_no_tokens(tmp_path: Path, rows: int) -> None:
    assert written(grown(golden_copy(tmp_path), rows)).vocab_size == 2000


@pytest.mark.parametrize(
    ("rows", "content", "said"),
    [
        (1990, "{}", "its tokenizer has 2000 tokens, but vocab_size in its config.json is 1990; copy the tokenizer"),
        (2048, '{"<pad>": 2010}', "adds '<pad>' as token 2010, but its vocabulary has 2001 tokens with it; copy"),
        (2048, '{"<pad>": "x"}', r"its added tokens cannot be read \(ValueError.*; copy the checkpoint again"),
        (2048, '{"<pad>": -1}', "its added tokens cannot be read .*an id below 0"),
        (2048, '{"": 2000}', "its added tokens cannot be read .*a token without text"),
        (2048, '{"<pad>": null}', r"its added tokens cannot be read \(TypeError.*; copy the checkpoint again"),
    ],
)
def test_tokens_that_do_not_fit_are_one_line(tmp_path: Path, rows: int, content: str, said: str) -> None:
    folder = grown(golden_copy(tmp_path), rows)
    (folder / "added_tokens.json").write_text(content)
    with pytest.raises(UserError, match=said):
        written(folder)


SETTINGS = json.loads((GOLDEN / "a" / "checkpoint" / "tokenizer_config.json").read_text())


@often
@given(changed({**SETTINGS, "added_tokens_decoder": {"2000": {"content": "<ecg>", "special": True}}}))
def test_odd_settings_are_read_or_refused(data: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "tokenizer_config.json").write_text(json.dumps(data))
        read_or_refuse(lambda: added_tokens(Path(folder), 2002))


@often
@given(changed({"<ecg>": 2000, "<wave>": 2001}))
def test_odd_tables_of_added_tokens_are_read_or_refused(data: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "added_tokens.json").write_text(json.dumps(data))
        read_or_refuse(lambda: added_tokens(Path(folder), 2002))


def test_a_copied_tokenizer_is_checked_too(tmp_path: Path) -> None:
    folder = golden_copy(tmp_path)
    written(folder)
    (folder / "made.json").rename(folder / "tokenizer.json")
    written(folder)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match=r"tokenizer\.json: is no tokenizer\.json \(.*\); copy the checkpoint again"):
        written(folder)
