"""A published checkpoint read by this project computes what PULSE's own code computes: every stage of golden cases."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path

import numpy as np
import pytest
import sentencepiece

from edge_runtime import image
from edge_runtime.preprocess import canvas, pack_image_tokens, pixels
from edge_runtime.prompt import Prompt
from edge_runtime.tokenizer import StreamDecoder, Tokenizer
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.checkpoint.tokenizer import write_tokenizer
from pulse.model.engine import TorchEngine
from quantize.load import load_model
from tests.golden import CASES, GOLDEN, MODELS, case

NEW = 24  # tokens of each golden answer


@pytest.fixture(scope="module", params=MODELS)
def engine(request: pytest.FixtureRequest) -> TorchEngine:
    model = load_model(Checkpoint.open(GOLDEN / request.param / "checkpoint"))
    return TorchEngine(model, model.config)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    Checkpoint.open(GOLDEN / "a" / "checkpoint").write_tokenizer(path)
    return Tokenizer(path)


@pytest.mark.parametrize("name", CASES)
def test_every_stage(engine: TorchEngine, tokenizer: Tokenizer, name: str) -> None:
    config = engine.config
    golden = case("unpad" if config.text.extra_embeddings else "a", name)
    spec = config.inference.preprocess
    page = image.load(GOLDEN / "images" / str(golden["image_file"]))
    tiles = pixels(page, spec)
    assert _sha(canvas(page, spec).transpose(0, 3, 1, 2)) == str(golden["tiles_u8_sha256"])
    assert _sha(tiles) == str(golden["pixel_sha256_f32"])

    before, after = str(golden["prompt"]).split("<image>")
    assert [1, *tokenizer.encode(before), -200, *tokenizer.encode(after)] == golden["input_ids"].tolist()

    newline = lambda: engine.embed([config.text.vocab_size])[0]  # noqa: E731
    features = pack_image_tokens(engine.vision(tiles), len(tiles), page.size, spec, newline)
    assert len(features) == int(golden["n_visual_tokens"])
    start = int(golden["image_start"])
    parts = engine.embed(golden["input_ids"][:start].tolist()), engine.embed(golden["input_ids"][start + 1 :].tolist())
    embeds = np.concatenate([parts[0], features, parts[1]])
    close = {"atol": 1e-4, "rtol": 0}
    np.testing.assert_allclose(embeds[golden["inputs_embeds_rows"]], golden["inputs_embeds_sample"], **close)

    logits, cache = engine.decode(embeds, engine.empty_cache())
    np.testing.assert_allclose(logits, golden["prefill_logits"], atol=5e-3, rtol=0)  # PULSE's own noise is half of it
    ids: list[int] = []
    while len(ids) < NEW:
        ids.append(int(logits.argmax()))
        logits, cache = engine.decode(engine.embed(ids[-1:]), cache)
    assert ids == golden["greedy_ids"].tolist()
    assert tokenizer.decode(ids).strip() == str(golden["text"])
    stream = StreamDecoder(tokenizer)
    assert str(golden["text"]).startswith("".join(map(stream.push, ids)))


def test_the_runtime_prompt_gives_the_originals_ids_turn_by_turn(tokenizer: Tokenizer) -> None:
    config = Checkpoint.open(GOLDEN / "a" / "checkpoint").config
    prompt = Prompt.of(config.inference, tokenizer)
    golden = case("a", "page_two")
    asked = str(golden["prompt"])
    first = asked.split("<image>\n")[1].split(" ASSISTANT:")[0]
    last = asked.split("</s>USER: ")[1].removesuffix(" ASSISTANT:")
    ids = golden["input_ids"].tolist()
    turn = prompt.first_turn(first)
    assert turn == ids[: len(turn)]
    assert prompt.next_turn(last) == ids[ids.index(2) + 1 :]


@pytest.mark.parametrize("legacy", [False, True])
def test_the_converted_tokenizer_is_sentencepiece(legacy: bool, tmp_path: Path) -> None:
    """ECG words, unicode, long digits, spaces, nothing; and any ids back to text, broken bytes included."""
    model = GOLDEN / "a" / "checkpoint" / "tokenizer.model"
    (tmp_path / "tokenizer.model").write_bytes(model.read_bytes())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"legacy": legacy}))
    write_tokenizer(tmp_path, tmp_path / "tokenizer.json")
    ours, theirs = Tokenizer(tmp_path / "tokenizer.json"), sentencepiece.SentencePieceProcessor(model_file=str(model))
    draw = random.Random(1)
    words = [
        "Sinus rhythm",
        " ",
        "  ",
        "\n",
        "\t",
        "72 bpm",
        "ST-segment",
        "V1-V3.",
        "µV",
        "ü",
        "心电图",
        "🫀",
        "½",
        "▁",
    ]
    words += ["1234567890" * 3, "", "QTc=", "\u200b", "e\u0301", "\x00", "A", "</ s>", "<0x41>"]
    for _ in range(1500):
        text = "".join(draw.choices(words, k=draw.randrange(8)))
        assert ours.encode(text) == theirs.encode(text), text
        ids = [draw.randrange(3, 259 if draw.random() < 0.5 else 2000) for _ in range(12)]
        assert ours.decode(ids) == theirs.decode(ids), ids


def _sha(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
