"""A bundle loads only if it is whole, unaltered, of our version and made of sensible fields."""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.bundle import Bundle, manifest_bytes, sha256_file, write_manifest
from edge_runtime.errors import UserError
from edge_runtime.manifest import parse


@pytest.fixture
def folder(variant):
    return variant()


def rewrite(folder, edit):
    """Change manifest.json behind write_manifest's back."""
    path = folder / "manifest.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    edit(data)
    path.write_bytes(manifest_bytes(data))


def refused(folder, match):
    with pytest.raises(UserError, match=match) as error:
        Bundle.load(folder)
    assert "\n" not in str(error.value)


def test_loads_what_was_written(tiny):
    bundle = Bundle.load(tiny.folder)
    assert bundle.manifest.name == "tiny"
    assert bundle.manifest.inference.model.eos_token_ids == (1,)
    assert bundle.manifest.inference.preprocess.mean == (0.5,)
    assert bundle.path("vision") == tiny.folder / "vision.onnx"
    assert bundle.size("vision") == (tiny.folder / "vision.onnx").stat().st_size
    with pytest.raises(UserError, match="no sound artifact"):
        bundle.path("sound")


def test_sha256_is_the_standard_one(tmp_path):
    (tmp_path / "f").write_bytes(b"abc" * 100_000)
    assert sha256_file(tmp_path / "f") == hashlib.sha256(b"abc" * 100_000).hexdigest()


def test_external_weights_count_to_their_artifact(tiny, folder):
    (folder / "vision.onnx.data").write_bytes(bytes(1000))
    (folder / "vision.onnx_other").write_bytes(bytes(500))
    write_manifest(folder, tiny.manifest)
    assert Bundle.load(folder).size("vision") == 1000 + (folder / "vision.onnx").stat().st_size


def test_files_in_subfolders_are_listed_and_checked(tiny, folder):
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "notes.txt").write_text("x")
    write_manifest(folder, tiny.manifest)
    assert "a/b/notes.txt" in Bundle.load(folder).manifest.files
    (folder / "a" / "b" / "notes.txt").write_text("y")
    refused(folder, r"notes\.txt: its SHA-256 does not match")


def test_one_flipped_bit_is_found(folder):
    path = folder / "decoder.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    refused(folder, r"decoder\.onnx: its SHA-256 does not match")


def test_cut_off_file_is_found(folder):
    path = folder / "decoder.onnx"
    path.write_bytes(path.read_bytes()[:-1])
    refused(folder, r"decoder\.onnx: its size does not match")


def test_missing_and_extra_files_are_named(folder):
    (folder / "stray.txt").write_text("x")
    refused(folder, r"stray\.txt is not listed")
    (folder / "embed.onnx").unlink()
    refused(folder, r"embed\.onnx is missing")


def test_links_cannot_hide_files(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    refused(folder, "link is not listed")


def test_what_file_managers_leave_is_passed_over(folder):
    for name in (".DS_Store", "Thumbs.db", "._decoder.onnx"):
        (folder / name).write_bytes(b"x")
    assert Bundle.load(folder).manifest.name == "tiny"
    (folder / "more.onnx").write_bytes(b"x")
    refused(folder, r"more\.onnx is not listed")


def test_dangling_link_in_place_of_a_file_is_refused(folder):
    (folder / "embed.onnx").unlink()
    (folder / "embed.onnx").symlink_to("nowhere")
    refused(folder, r"embed\.onnx: its size does not match")


@pytest.mark.parametrize("seed", range(20))
def test_any_changed_byte_of_the_manifest_is_refused(folder, seed):
    path, draw = folder / "manifest.json", np.random.default_rng(seed)
    whole = path.read_bytes()
    for _ in range(10):
        data = bytearray(whole)
        data[int(draw.integers(len(data)))] ^= int(draw.integers(1, 256))
        path.write_bytes(data)
        with pytest.raises(UserError):
            Bundle.load(folder)
    path.write_bytes(whole)
    assert Bundle.load(folder).manifest.name == "tiny"


def test_a_manifest_of_before_it_had_a_digest_is_read(folder):
    path = folder / "manifest.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    del data["sha256"]
    path.write_text(json.dumps(data | {"format_version": 1}), encoding="utf-8")
    assert Bundle.load(folder).manifest.name == "tiny"
    for digest in ({}, {"sha256": ""}, {"sha256": None}, {"sha256": [0]}, {"sha256": "0" * 64}):
        path.write_text(json.dumps(data | {"format_version": 2} | digest), encoding="utf-8")
        refused(folder, "does not match its own SHA-256")


def test_newer_version_asks_for_an_upgrade_before_anything_else(folder):
    rewrite(folder, lambda m: (m.clear(), m.update(format_version=3)))
    refused(folder, "format_version is 3 .* upgrade pulse-edge")


@pytest.mark.parametrize("version", [0, -1, "1", 1.0, True, None])
def test_version_that_is_none_is_refused(folder, version):
    rewrite(folder, lambda m: m.update(format_version=version))
    refused(folder, "format_version must be a whole number of 1 or more")


def test_folders_that_are_no_bundles(tmp_path):
    refused(tmp_path / "absent", "does not exist; give the folder")
    refused(tmp_path, "has no manifest.json")
    (tmp_path / "manifest.json").write_text("{")
    refused(tmp_path / "manifest.json", "is a file, not a bundle folder")
    for text in ("{", "", "[" * 100_000, "\ud800".encode("utf-8", "surrogatepass")):
        (tmp_path / "manifest.json").write_bytes(text if isinstance(text, bytes) else text.encode())
        refused(tmp_path, "is not JSON")
    (tmp_path / "manifest.json").write_text("[1]")
    refused(tmp_path, r"manifest\.json must be a JSON object, not \[1\]")
    (tmp_path / "manifest.json").unlink()
    (tmp_path / "manifest.json").mkdir()
    refused(tmp_path, "cannot be read")


@pytest.mark.parametrize(
    "name", ["../decoder.onnx", "/etc/passwd", "a/../../b", "a//b", "./a", "a\\b", "C:x", "manifest.json", "", "a/"]
)
def test_names_that_leave_the_bundle_are_refused(folder, name):
    rewrite(folder, lambda m: m["files"].update({name: {"sha256": "0" * 64, "bytes": 1}}))
    refused(folder, "is not a path inside the bundle")


@pytest.mark.parametrize("name", ["../tiny/decoder.onnx", "/etc/passwd"])
def test_artifacts_that_leave_the_bundle_are_refused(folder, name):
    rewrite(folder, lambda m: m["artifacts"].update(decoder=name))
    refused(folder, "artifacts: .* is not a path inside the bundle")


def test_artifact_may_be_a_folder(tiny, folder):
    (folder / "vision.mlpackage").mkdir()
    (folder / "vision.mlpackage" / "weights.bin").write_bytes(bytes(77))
    manifest = copy.deepcopy(tiny.manifest)
    manifest["artifacts"]["vision"] = "vision.mlpackage"
    write_manifest(folder, manifest)
    assert Bundle.load(folder).size("vision") == 77


WRONG = [
    ("name", 5, "name must be text"),
    ("name", " ", "name must be text that is not blank"),
    ("target", "TF Lite", "target must be lower-case letters, digits and hyphens but is 'TF Lite'"),
    ("target", "../onnx", "target must be lower-case letters, digits and hyphens"),
    ("target", "-onnx", "target must be lower-case letters, digits and hyphens"),
    ("source", None, "source must be a JSON object"),
    ("model", [], "model must be a JSON object"),
    ("model.layers", 0, "model: layers must be a whole number of 1 or more"),
    ("model.layers", True, "model: layers must be a whole number"),
    ("model.bos_token_id", 10_000, "bos_token_id must be a whole number from 0 to"),
    ("model.bos_token_id", None, "add_bos is true but model has no bos_token_id"),
    ("model.eos_token_ids", [], "eos_token_ids must be a list of at least one"),
    ("model.eos_token_ids", [-1], "eos_token_ids must be a whole number from 0"),
    ("preprocess.mode", "pad", "mode 'pad' is not one this version knows .fit, crop, anyres.; upgrade"),
    ("preprocess.channels", "red", "channels must be one of grey, rgb"),
    ("preprocess.mean", [0.5, 0.5, 0.5], r"mean must be a list of 1 number"),
    ("preprocess.std", [0], "std must be above 0"),
    ("preprocess.width", 100_000, "width must be a whole number from 1 to 8192"),
    ("preprocess.fill", 256, "fill must be a whole number from 0 to 255"),
    ("preprocess.resample", "lanczos", "resample must be one of"),
    ("prompt.first_turn", "USER: {question}", "first_turn must hold <image> once"),
    ("prompt.first_turn", "{question} <image>", "first_turn must hold <image> once"),
    ("prompt.next_turn", "USER: <image> {question}", "next_turn must hold"),
    ("prompt.add_bos", 1, "add_bos must be true or false"),
    ("generation.temperature", float("nan"), "temperature must be a number"),
    ("generation.temperature", 99, "generation: temperature must be from 0"),
    ("generation.max_new_tokens", 0, "max_new_tokens must be"),
    ("findings", {}, "findings must be a list"),
    ("findings", [1], r"findings\[0\] must be a JSON object"),
    ("findings", [{"label": "A", "name": "a", "question": "q", "yes": "y", "no": "y"}], "yes and no are both 'y'"),
    ("way_up", {"question": "?", "answers": ["a", "b", "c"]}, "way_up: answers must be four different ones"),
    ("way_up", {"question": "?", "answers": ["a", "b", "c", "a"]}, "way_up: answers must be four different ones"),
    ("whole", {"question": "?", "yes": "y", "no": "y"}, "yes and no are both 'y'"),
    ("is_ecg.threshold", 1.5, "threshold must be a number from 0 to 1"),
    ("artifacts.vision", "other.onnx", "vision is 'other.onnx', which files does not list"),
    ("artifacts.embed", None, "embed must be text"),
    ("default_question", "", "default_question must be text"),
    ("files", {"a": {"sha256": "xyz", "bytes": 1}}, "64 lower-case hex digits"),
    ("files", {"a": {"sha256": "0" * 64, "bytes": -1}}, "bytes must be a whole number"),
]


@pytest.mark.parametrize(("key", "value", "match"), WRONG, ids=[f"{k}={str(v)[:20]}" for k, v, _ in WRONG])
def test_wrong_fields_are_named(tiny, key, value, match):
    data = json.loads((tiny.folder / "manifest.json").read_text(encoding="utf-8"))
    parse(data)
    *parents, last = key.split(".")
    place = data
    for parent in parents:
        place = place[parent]
    place[last] = value
    with pytest.raises(UserError, match=match) as error:
        parse(data)
    assert str(error.value).startswith("manifest.json")
    assert "\n" not in str(error.value)


def test_absent_fields_are_named(tiny):
    whole = json.loads((tiny.folder / "manifest.json").read_text(encoding="utf-8"))
    for key in set(whole) - {"is_ecg", "sha256"}:
        data = {k: v for k, v in whole.items() if k != key}
        with pytest.raises(UserError, match=f"{key} must be .* but is absent"):
            parse(data)


def test_a_manifest_that_could_not_be_loaded_is_never_written(tiny, folder):
    before = (folder / "manifest.json").read_bytes()
    with pytest.raises(UserError, match="target must be lower-case"):
        write_manifest(folder, {**tiny.manifest, "target": "abacus 2"})
    assert (folder / "manifest.json").read_bytes() == before


def test_unknown_fields_are_left_for_later_exporters(tiny, folder):
    write_manifest(folder, {**tiny.manifest, "signature": {"any": "thing"}})
    assert Bundle.load(folder).manifest.name == "tiny"


def test_windows_line_breaks_in_names_stay_on_one_line():
    assert str(UserError("a\r\nb\nc")) == "a b c"


def test_reading_finds_what_is_cut_off_and_loading_what_is_altered(tiny, tmp_path):
    folder = Path(shutil.copytree(tiny.folder, tmp_path / "bundle"))
    path = folder / tiny.manifest["artifacts"]["decoder"]
    written = path.read_bytes()
    path.write_bytes(written[:-1] + bytes([written[-1] ^ 1]))
    assert Bundle.read(folder).manifest == Bundle.load(tiny.folder).manifest
    with pytest.raises(UserError, match="its SHA-256 does not match"):
        Bundle.load(folder)
    path.write_bytes(written[:-1])
    with pytest.raises(UserError, match="its size does not match"):
        Bundle.read(folder)
