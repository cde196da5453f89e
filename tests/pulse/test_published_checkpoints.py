"""Checkpoints as others publish them: shards and pickles, the tower inside or beside, transformers' own layouts; and
one line for each thing that is wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from edge_runtime.errors import UserError
from edge_runtime.preprocess import pack_image_tokens, pixels
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.model.engine import TorchEngine
from quantize.checkpoint import quantize_checkpoint
from quantize.load import load_model
from tests.published import change, golden_copy, rewrite, stored

transformers = pytest.importorskip("transformers")


@pytest.fixture
def original(tmp_path: Path) -> Path:
    """A copy of the flat golden checkpoint with its tower beside it."""
    return golden_copy(tmp_path)


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(t, b.state_dict()[name]) for name, t in a.state_dict().items())


def test_pickled_shards_hold_the_same_model(original: Path) -> None:
    whole = load_model(Checkpoint.open(original))
    tensors = stored(original)
    for path in original.glob("model*"):
        path.unlink()
    names = sorted(tensors)
    shards = {"pytorch_model-1.bin": names[::2], "pytorch_model-2.bin": names[1::2]}
    for shard, held in shards.items():
        torch.save({name: tensors[name] for name in held}, original / shard)
    index = {"weight_map": {name: shard for shard, held in shards.items() for name in held}}
    (original / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    assert same(load_model(Checkpoint.open(original)), whole)


class _Surprise:
    def __reduce__(self):
        return print, ("run",)


def test_a_pickle_of_more_than_tensors_is_not_run(original: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in original.glob("model*"):
        path.unlink()
    torch.save({"x": _Surprise()}, original / "pytorch_model.bin")
    with pytest.raises(UserError, match="pickle of more than tensors, which could run anything; convert it"):
        load_model(Checkpoint.open(original))
    assert "run" not in capsys.readouterr().out


def test_the_tower_is_read_from_its_folder_unless_it_was_trained_along(original: Path) -> None:
    whole = load_model(Checkpoint.open(original))
    rewrite(original, {name: t for name, t in stored(original).items() if "vision_tower" not in name})
    with pytest.raises(UserError, match=r"missing: vision_tower\.vision_model\.embeddings\.class_embedding, .*in all"):
        load_model(Checkpoint.open(original))
    change(original, unfreeze_mm_vision_tower=False)
    assert same(load_model(Checkpoint.open(original)), whole)
    shutil.rmtree(original.parent / "vision_tower")
    with pytest.raises(UserError, match=r"vision tower './vision_tower' is not here; put that folder beside"):
        load_model(Checkpoint.open(original))
    change(original, mm_vision_tower="openai/clip-vit-large-patch14-336")
    assert Checkpoint.open(original).config.vision.hidden_size == 1024  # a name that everybody knows needs no folder


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"mm_projector_type": "linear"},
            "mm_projector_type 'linear' is not supported; this version reads 'mlp2x_gelu'",
        ),
        ({"image_aspect_ratio": "pad"}, "image_aspect_ratio 'pad' is not supported"),
        ({"mm_patch_merge_type": "spatial"}, "this version reads 'flat' or 'spatial_unpad'"),
        ({"image_aspect_ratio": None, "mm_patch_merge_type": "spatial_unpad"}, "this version reads 'flat'"),
        ({"mm_projector_type": None}, r"mm_projector_type 'linear' \(what an absent key means\) is not supported"),
        ({"mm_use_im_start_end": True}, "mm_use_im_start_end True is not supported"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_scaling .* reads rope_type 'default'"),
        ({"rope_parameters": {"rope_type": "linear", "factor": 2.0}}, "rope_parameters .* reads rope_type 'default'"),
        ({"rope_scaling": {"factor": 2.0}}, "rope_scaling .* reads rope_type 'default'"),
        ({"rope_parameters": {"full_attention": {"rope_theta": 5e5}}}, "rope_parameters .* reads rope_type 'default'"),
        (
            {"mm_vision_select_layer": -99},
            "is -99; this version reads one whole number from -4 to 3",
        ),
        ({"mm_vision_select_layer": [-2, -5]}, r"layer that is read is \[-2, -5\]"),
        ({"layer_types": ["sliding_attention"]}, "layer_types .* is not known to this version and may change"),
        ({"clip_qkv": 8}, "clip_qkv 8 is not known to this version and may change"),
        ({"image_grid_pinpoints": []}, r"image_grid_pinpoints must be pairs of width and height but is \[\]"),
        ({"rope_parameters": {"rope_theta": 0}}, "rope_parameters: rope_theta must be more than 0"),
        ({"rms_norm_eps": "small"}, "rms_norm_eps must be a number of 0 or more but is 'small'"),
        ({"hidden_act": "gelu"}, "hidden_act 'gelu' is not supported; this version reads silu"),
        ({"mlp_bias": True}, "mlp_bias True is not supported"),
        ({"tie_word_embeddings": True}, "tie_word_embeddings True is not supported"),
        ({"mm_spatial_pool_stride": 2}, "mm_spatial_pool_stride 2 is not known to this version and may change"),
        ({"image_grid_pinpoints": None}, "image_grid_pinpoints must be pairs of width and height but is None"),
        ({"image_grid_pinpoints": "[(336,"}, "image_grid_pinpoints must be pairs"),
        (
            {"model_type": "qwen2_vl"},
            "of type 'qwen2_vl'; this version reads pulse_llava, llava_llama, llava, llava_next",
        ),
    ],
)
def test_what_this_version_cannot_read_is_named(original: Path, fields: dict, said: str) -> None:
    change(original, **fields)
    with pytest.raises(UserError, match=said):
        load_model(Checkpoint.open(original))


@pytest.mark.parametrize(
    "fields",
    [
        {"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}},
        {"rope_theta": "500000.0", "rope_scaling": {"rope_type": "default"}},
    ],
)
def test_rope_theta_is_found_where_either_transformers_writes_it(original: Path, fields: dict) -> None:
    change(original, **fields)
    assert Checkpoint.open(original).config.text.rope_theta == 5e5


@pytest.mark.parametrize(
    ("said", "pinpoints"),
    [
        ("[(336, 672), (672, 336)]", ((336, 672), (672, 336))),
        ("(1x1),...,(2x2)", ((336, 336), (336, 672), (672, 336), (672, 672))),
    ],
)
def test_pinpoints_may_be_text(original: Path, said: str, pinpoints: tuple[tuple[int, int], ...]) -> None:
    change(original, image_grid_pinpoints=said)
    assert Checkpoint.open(original).config.inference.preprocess.pinpoints == pinpoints


def test_without_an_aspect_ratio_the_picture_is_cropped_to_a_square(original: Path) -> None:
    change(original, image_aspect_ratio=None)
    assert Checkpoint.open(original).config.inference.preprocess.mode == "crop"


def test_the_original_layout_by_another_name(original: Path) -> None:
    before = Checkpoint.open(original).config
    data = json.loads((original / "config.json").read_text())
    data["vision_tower"] = data.pop("mm_vision_tower")
    (original / "config.json").write_text("\ufeff" + json.dumps({**data, "model_type": "llava"}), encoding="utf-8")
    assert Checkpoint.open(original).config == before


@pytest.mark.parametrize("inside", [None, "state_dict", "model"])
@pytest.mark.parametrize("zipped", [True, False])
def test_pickles_of_older_tools_hold_the_same_model(original: Path, inside: str | None, zipped: bool) -> None:
    whole, tensors = load_model(Checkpoint.open(original)), stored(original)
    for path in original.glob("model*"):
        path.unlink()
    state = tensors if inside is None else {inside: tensors, "epoch": 3}
    torch.save(state, original / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    assert same(load_model(Checkpoint.open(original)), whole)


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("config.json", POINTER, r"config\.json: is a Git LFS pointer, not the file; run git lfs pull"),
        ("model-00001-of-00002.safetensors", POINTER, "safetensors: is a Git LFS pointer"),
        ("tokenizer.model", POINTER, r"tokenizer\.model: is a Git LFS pointer"),
        ("tokenizer.model", "text", "not a SentencePiece model"),
        ("tokenizer_config.json", "{", r"tokenizer_config\.json cannot be read as JSON"),
        ("generation_config.json", "{", r"generation_config\.json cannot be read as JSON"),
        ("../vision_tower/config.json", "[]", r"vision_tower/config\.json holds no JSON object"),
        ("config.json", '{"model_type": "llava_llama", "rms_norm_eps": NaN}', "NaN is no number in JSON"),
    ],
)
def test_a_damaged_file_is_one_line(original: Path, tmp_path: Path, name: str, content: str, said: str) -> None:
    (original / name).write_text(content)

    def read() -> None:
        load_model(Checkpoint.open(original))
        Checkpoint.open(original).write_tokenizer(tmp_path / "tokenizer.json")

    with pytest.raises(UserError, match=said):
        read()


def test_a_missing_newline_is_named(tmp_path: Path) -> None:
    folder = golden_copy(tmp_path, "unpad")
    rewrite(folder, {name: t for name, t in stored(folder).items() if "image_newline" not in name})
    with pytest.raises(UserError, match="image_newline is missing, which closes each row"):
        load_model(Checkpoint.open(folder))


@pytest.mark.parametrize("kind", ["llava_next", "llava"])
def test_transformers_own_layouts_give_its_logits(kind: str, tmp_path: Path) -> None:
    vision = transformers.CLIPVisionConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, image_size=56, patch_size=14
    )
    text = transformers.LlamaConfig(
        vocab_size=120,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
    )
    torch.manual_seed(0)
    common = {"vision_config": vision, "text_config": text, "image_token_index": 100, "tie_word_embeddings": False}
    if kind == "llava_next":
        pinpoints = [[56, 112], [112, 56], [112, 112], [168, 56]]
        config = transformers.LlavaNextConfig(**common, image_grid_pinpoints=pinpoints)
        theirs = transformers.LlavaNextForConditionalGeneration(config)
        process = transformers.LlavaNextImageProcessor(
            size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56}, image_grid_pinpoints=pinpoints
        )
        torch.nn.init.normal_(theirs.model.image_newline)
    else:
        theirs = transformers.LlavaForConditionalGeneration(transformers.LlavaConfig(**common))
        process = transformers.CLIPImageProcessor(size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56})
    theirs = theirs.eval()
    for parameter in theirs.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.2)
    theirs.save_pretrained(tmp_path / "model")

    model = load_model(Checkpoint.open(tmp_path / "model")).requires_grad_(False)
    engine = TorchEngine(model, model.config)
    spec = model.config.inference.preprocess
    page = Image.effect_noise((190, 75), 90).convert("RGB")
    seen = process(page, return_tensors="pt")
    tiles = pixels(page, spec)
    np.testing.assert_allclose(tiles, seen["pixel_values"].numpy().reshape(tiles.shape), atol=1e-5)
    features = pack_image_tokens(engine.vision(tiles), len(tiles), page.size, spec, lambda: engine.embed([120])[0])
    before, after = [1, 5, 9], [7, 8]
    embeds = np.concatenate([engine.embed(before), features, engine.embed(after)])
    logits, _ = engine.decode(embeds, engine.empty_cache())
    ids = torch.tensor([[*before, *[100] * len(features), *after]])
    with torch.no_grad():
        want = theirs(input_ids=ids, attention_mask=torch.ones_like(ids), **seen).logits[0, -1]
    assert want.std() > 0.1
    np.testing.assert_allclose(logits, want.numpy(), atol=1e-3)

    quantize_checkpoint(
        Checkpoint.open(tmp_path / "model"), tmp_path / "small"
    )  # in the layout that it has, and read as such again
    small, config = load_model(Checkpoint.open(tmp_path / "small")), Checkpoint.open(tmp_path / "small").config
    assert json.loads((tmp_path / "small" / "config.json").read_text())["model_type"] == kind
    assert config.inference == model.config.inference
    before, after = (m.language_model.model.layers[0].mlp.up_proj for m in (model, small))
    assert 0 < (after.float_weight - before.weight).norm() < 0.2 * before.weight.norm()
