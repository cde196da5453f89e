"""The readers of pulse-small's two packages against their references: transformers, and the published weights."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from distill.students.small import EFFICIENTNET, INSTALL, SMOLLM2, packaged
from edge_runtime.errors import UserError
from edge_runtime.tokenizer import Tokenizer
from pulse.checkpoint.gguf import GgufLlama
from pulse.model.llama import LanguageModel
from pulse.model.towers._efficientnet import EfficientTower, imagenet_state
from pulse.model.towers.efficientnet_lite0 import EfficientVision
from tests.distill.small_parts import PARTS, VISION

missing = [name for name in PARTS if find_spec(name) is None]
with_packages = pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} not installed: {INSTALL}")


def test_a_gguf_gives_the_logits_that_transformers_gives(packages: Path) -> None:
    _same_as_transformers(packages / PARTS[0] / "tiny.gguf")


@pytest.mark.slow
@with_packages
def test_smollm2_gives_the_logits_that_transformers_gives() -> None:
    _same_as_transformers(packaged(*SMOLLM2))


@torch.no_grad()
def _same_as_transformers(path: Path) -> None:
    from transformers import AutoModelForCausalLM

    llama = GgufLlama(path)
    ours = LanguageModel(llama.config).eval()
    ours.load_state_dict(llama.state(llama.config.vocab_size))
    theirs = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32).eval()
    ids = torch.from_numpy(np.random.default_rng(1).integers(3, llama.config.vocab_size, (1, 12)))
    got = ours.lm_head(ours.model(ours.model.embed_tokens(ids))[0])
    torch.testing.assert_close(got, theirs(ids).logits, atol=1e-3, rtol=1e-4)


def test_a_gguf_cut_to_fewer_tokens_keeps_their_ids_and_rows(packages: Path, tmp_path: Path) -> None:
    llama = GgufLlama(packages / PARTS[0] / "tiny.gguf")
    for size in (290, 300):
        llama.write_tokenizer(tmp_path / f"{size}.json", size)
    cut, whole = (Tokenizer(tmp_path / f"{size}.json") for size in (290, 300))
    text = "<|im_start|>user\nis er 42 wn Ye?<|im_end|>\n"
    assert cut.vocab_size == 290
    assert max(cut.encode(text)) < 290 <= max(whole.encode(text))
    assert cut.decode(cut.encode(text)) == whole.decode(whole.encode(text)) == "user\nis er 42 wn Ye?\n"
    assert cut.encode("<|im_start|><|im_end|>") == [1, 2]
    assert len(whole.encode("42")) == 2
    assert torch.equal(llama.state(290)["lm_head.weight"], llama.state(300)["model.embed_tokens.weight"][:290])
    with pytest.raises(UserError, match="cannot be cut to 100 tokens"):
        llama.write_tokenizer(tmp_path / "no.json", 100)


@pytest.mark.slow
@with_packages
def test_smollm2_s_tokens_are_those_of_transformers(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    path = packaged(*SMOLLM2)
    GgufLlama(path).write_tokenizer(tmp_path / "tokenizer.json", 49152)
    ours = Tokenizer(tmp_path / "tokenizer.json")
    theirs = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    for text in (
        "<|im_start|>user\nWhat does this ECG show?<|im_end|>\n<|im_start|>assistant\n",
        "Sinus bradycardia. About 45 beats per minute. äöü €",
    ):
        assert ours.encode(text) == theirs(text, add_special_tokens=False)["input_ids"]


def test_grey_in_one_channel_is_what_three_equal_ones_give(packages: Path) -> None:
    path, pixels = packages / PARTS[1] / "models" / "tiny.pth", torch.randn(2, 1, 70, 98)
    outputs = []
    for channels, batch_norm in ((3, True), (1, True), (1, False)):
        config = replace(VISION, in_channels=channels, batch_norm=batch_norm, pool=2)
        tower = EfficientTower(config).eval()
        tower.load_state_dict(imagenet_state(path, config))
        outputs.append(tower(pixels.expand(2, channels, 70, 98)))
    assert outputs[0].shape == (2, 1 + 2 * 2, 16)
    for other in outputs[1:]:
        torch.testing.assert_close(other, outputs[0], atol=1e-5, rtol=1e-4)


def test_stride_2_pads_as_tensorflow_does() -> None:
    # TensorFlow's SAME with kernel 3, stride 2 on 4 pixels looks at 0..2 and 2..4; on 5 pixels at -1..1, 1..3, 3..5.
    from pulse.model.towers._efficientnet import SamePad

    for side, wanted in ((4, [3, 5]), (5, [1, 6, 7])):
        row = torch.arange(side).float().expand(1, 1, side, side)
        seen = torch.nn.functional.conv2d(SamePad(3, 2)(row), torch.ones(1, 1, 3, 3) / 3, stride=2)
        middle = seen[0, 0, 0] * 3 / (3 if side == 4 else 2)
        assert middle.tolist() == pytest.approx(wanted)


@pytest.mark.slow
@with_packages
def test_the_imagenet_tower_knows_a_photograph() -> None:
    from PIL import Image
    from sklearn.datasets import load_sample_image

    picture = Image.fromarray(load_sample_image("china.jpg")).crop((106, 0, 533, 427)).resize((224, 224), 3)
    levels = torch.from_numpy(np.asarray(picture, np.float32)).permute(2, 0, 1)[None]
    config, path = EfficientVision(in_channels=3, pool=1), packaged(*EFFICIENTNET)
    tower = EfficientTower(config).eval()
    tower.load_state_dict(imagenet_state(path, config))
    theirs = torch.load(path, weights_only=True)
    with torch.no_grad():
        whole = tower((levels - 127) / 128)[:, 0]
    logits = torch.nn.functional.linear(whole, theirs["_fc.weight"], theirs["_fc.bias"])
    assert int(logits.argmax()) == 698  # palace
