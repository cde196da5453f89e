"""A whole bundle small enough to compute by hand: real KV cache, learned positions, causal mask, and a numpy twin.

The twin never uses a cache: it reads the full sequence anew for every token. Whatever the runtime gets right by
branching, stepping or continuing a cache must equal it.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import pytest
import tokenizers
from onnx import numpy_helper, parser
from PIL import Image

from edge_runtime.bundle import write_manifest
from edge_runtime.session import Session

LAYERS, HEADS, HEAD_DIM, HIDDEN, CONTEXT = 2, 2, 4, 16, 96
WIDTH, HEIGHT, PATCH = 48, 32, 16
TEXTS = ["Is there sinus rhythm? Yes No", "USER: ASSISTANT: normal ECG", "Describe this page.", "é✓😀 心電図"]


@dataclass
class Twin:
    """The tiny model in numpy, float64, without a cache."""

    vocab: int
    weights: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        draw = np.random.default_rng(7)
        inner = HEADS * HEAD_DIM
        shapes = {"patch": (1, HIDDEN), "patch_bias": (HIDDEN,), "words": (self.vocab, HIDDEN)}
        shapes |= {"places": (2 * CONTEXT, HIDDEN), "out": (HIDDEN, self.vocab)}
        for i in range(LAYERS):
            shapes |= {f"q{i}": (HIDDEN, inner), f"k{i}": (HIDDEN, inner), f"v{i}": (HIDDEN, inner)}
            shapes |= {f"o{i}": (inner, HIDDEN)}
        self.weights = {n: draw.normal(0, 0.6, s).astype(np.float32) for n, s in shapes.items()}
        # Logits of a few units, as a trained model has: probabilities then stay away from 0 and 1.
        self.weights["out"] *= 0.15

    def features(self, page: np.ndarray) -> np.ndarray:
        """[T, D] of a uint8 page [H, W]."""
        pixels = (page.astype(np.float64) / 255 - 0.5) / 0.25
        rows, columns = HEIGHT // PATCH, WIDTH // PATCH
        means = pixels.reshape(rows, PATCH, columns, PATCH).mean((1, 3)).reshape(-1, 1)
        return means @ self.weights["patch"] + self.weights["patch_bias"]

    def embed(self, ids: Sequence[int]) -> np.ndarray:
        return self.weights["words"][list(ids)].astype(np.float64)

    def logits(self, embeds: np.ndarray) -> np.ndarray:
        """[V] after a whole sequence [S, D]."""
        w, size = self.weights, len(embeds)
        x = embeds + w["places"][:size]
        for i in range(LAYERS):
            q, k, v = ((x @ w[f"{n}{i}"]).reshape(size, HEADS, HEAD_DIM).transpose(1, 0, 2) for n in ("q", "k", "v"))
            scores = q @ k.transpose(0, 2, 1) / np.sqrt(HEAD_DIM)
            scores = np.where(np.tril(np.ones((size, size), bool)), scores, -np.inf)
            shares = np.exp(scores - scores.max(-1, keepdims=True))
            mixed = (shares / shares.sum(-1, keepdims=True)) @ v
            x = x + mixed.transpose(1, 0, 2).reshape(size, -1) @ w[f"o{i}"]
        return x[-1] @ w["out"]

    def greedy(self, embeds: np.ndarray, count: int) -> list[int]:
        """The `count` likeliest tokens one after another, end tokens or not."""
        ids: list[int] = []
        for _ in range(count):
            ids.append(int(self.logits(np.concatenate([embeds, self.embed(ids)]) if ids else embeds).argmax()))
        return ids

    def log_probability(self, embeds: np.ndarray, ids: Sequence[int]) -> float:
        total = 0.0
        for i, token in enumerate(ids):
            logits = self.logits(np.concatenate([embeds, self.embed(ids[:i])]) if i else embeds)
            total += logits[token] - np.log(np.exp(logits).sum())
        return total


@dataclass(frozen=True)
class Tiny:
    """The bundle's folder, its manifest as written, and the model's twin."""

    folder: Path
    manifest: dict
    twin: Twin
    tokenizer: tokenizers.Tokenizer

    def ids(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def prefix(self, page: np.ndarray) -> np.ndarray:
        """Embeddings of all that comes before the question."""
        bos = self.manifest["model"]["bos_token_id"]
        return np.concatenate([self.twin.embed([bos, *self.ids("Be brief. USER: ")]), self.twin.features(page)])

    def prompt(self, page: np.ndarray, question: str) -> np.ndarray:
        return np.concatenate([self.prefix(page), self.twin.embed(self.ids(f"\n{question} ASSISTANT:"))])


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """The bundle, written once; tests that change it ask for `variant`."""
    folder = tmp_path_factory.mktemp("bundle") / "tiny"
    folder.mkdir()
    tokenizer = _tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    twin = Twin(tokenizer.get_vocab_size())
    for name, text, weights in _graphs(twin):
        model = parser.parse_model(f'<ir_version: 9, opset_import: ["" : 17]>\n{text}')
        model.graph.initializer.extend(numpy_helper.from_array(array, key) for key, array in weights.items())
        onnx.checker.check_model(model)
        onnx.save(model, folder / f"{name}.onnx")
    manifest = _manifest(tokenizer)
    write_manifest(folder, manifest)
    return Tiny(folder, manifest, twin, tokenizer)


@pytest.fixture
def variant(tiny: Tiny, tmp_path: Path) -> Callable[..., Path]:
    """A function that copies the bundle, merges the given fields into its manifest, and returns the folder."""

    def make(**changes: object) -> Path:
        folder = tmp_path / "variant"
        shutil.copytree(tiny.folder, folder)
        manifest = copy.deepcopy(tiny.manifest)
        for key, value in changes.items():
            manifest[key] = {**manifest[key], **value} if isinstance(value, dict) and manifest.get(key) else value
        write_manifest(folder, manifest)
        return folder

    return make


@pytest.fixture(scope="session")
def session(tiny: Tiny) -> Session:
    return Session.open(tiny.folder, threads=1)


@pytest.fixture(scope="session")
def page() -> np.ndarray:
    """A page of the canvas' own size, so that preprocessing changes no pixel."""
    return np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH), np.uint8)


@pytest.fixture
def page_file(page: np.ndarray, tmp_path: Path) -> Path:
    path = tmp_path / "page.png"
    Image.fromarray(page).save(path)
    return path


def _tokenizer() -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=290,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


def _manifest(tokenizer: tokenizers.Tokenizer) -> dict:
    return {
        "name": "tiny",
        "target": "onnx",
        "weights": "float32",
        "created": "2026-01-01T00:00:00Z",
        "notice": "For research; not a medical device.",
        "source": {"checkpoint": "hand-made"},
        "tools": {"onnx": onnx.__version__},
        "model": {
            "vocab_size": tokenizer.get_vocab_size(),
            "hidden_size": HIDDEN,
            "layers": LAYERS,
            "kv_heads": HEADS,
            "head_dim": HEAD_DIM,
            "context_length": CONTEXT,
            "bos_token_id": 0,
            "eos_token_ids": [1],
        },
        "preprocess": {
            "mode": "fit",
            "width": WIDTH,
            "height": HEIGHT,
            "channels": "grey",
            "resample": "bilinear",
            "fill": 255,
            "mean": [0.5],
            "std": [0.25],
        },
        "prompt": {
            "system": "Be brief. ",
            "first_turn": "USER: <image>\n{question} ASSISTANT:",
            "next_turn": "USER: {question} ASSISTANT:",
            "add_bos": True,
        },
        "generation": {"max_new_tokens": 8, "temperature": 0.0, "top_p": 1.0, "top_k": 0},
        "default_question": "Describe this page.",
        "findings": [
            {"label": "NORM", "name": "normal ECG", "question": "normal?", "yes": "Yes", "no": "No"},
            {"label": "MI", "name": "myocardial infarction", "question": "MI?", "yes": " it is", "no": " is it"},
        ],
        "is_ecg": {"question": "ECG?", "yes": " Yes", "no": " No", "threshold": 0.0},
        "artifacts": {
            "vision": "vision.onnx",
            "embed": "embed.onnx",
            "decoder": "decoder.onnx",
            "tokenizer": "tokenizer.json",
        },
    }


def _graphs(twin: Twin) -> list[tuple[str, str, dict[str, np.ndarray]]]:
    """(artifact, ONNX text, weights) of the three graphs."""
    w = twin.weights
    vision = f"""vision (float[N,1,{HEIGHT},{WIDTH}] pixels) => (float[N,T,{HIDDEN}] features) {{
        means = AveragePool <kernel_shape=[{PATCH},{PATCH}], strides=[{PATCH},{PATCH}]> (pixels)
        tokens = Reshape (means, token_shape)
        mixed = MatMul (tokens, patch)
        features = Add (mixed, patch_bias)
    }}"""
    vision_weights = {n: w[n] for n in ("patch", "patch_bias")} | {"token_shape": np.array([0, -1, 1])}
    embed = f"embed (int64[B,S] input_ids) => (float[B,S,{HIDDEN}] embeds) {{ embeds = Gather (words, input_ids) }}"
    return [
        ("vision", vision, vision_weights),
        ("embed", embed, {"words": w["words"]}),
        ("decoder", _decoder(twin.vocab), _decoder_weights(w)),
    ]


def _decoder(vocab: int) -> str:
    kinds = [f"{kind}_{i}" for i in range(LAYERS) for kind in ("key", "value")]
    past = ", ".join(f"float[B,{HEADS},P,{HEAD_DIM}] past_{kind}" for kind in kinds)
    present = ", ".join(f"float[B,{HEADS},E,{HEAD_DIM}] present_{kind}" for kind in kinds)
    lines = [
        "past_shape = Shape <start=2, end=3> (past_key_0)",
        "new_shape = Shape <start=1, end=2> (embeds)",
        "p = Squeeze (past_shape)",
        "s = Squeeze (new_shape)",
        "e = Add (p, s)",
        "rows = Range (p, e, one)",
        "columns = Range (zero, e, one)",
        "rows_up = Unsqueeze (rows, last)",
        "seen = LessOrEqual (columns, rows_up)",
        "mask = Where (seen, open, shut)",
        "place = Gather (places, rows)",
        "x0 = Add (embeds, place)",
    ]
    for i in range(LAYERS):
        for n in ("q", "k", "v"):
            lines += [
                f"{n}m{i} = MatMul (x{i}, {n}{i})",
                f"{n}r{i} = Reshape ({n}m{i}, split)",
                f"{n}h{i} = Transpose <perm=[0,2,1,3]> ({n}r{i})",
            ]
        lines += [
            f"present_key_{i} = Concat <axis=2> (past_key_{i}, kh{i})",
            f"present_value_{i} = Concat <axis=2> (past_value_{i}, vh{i})",
            f"kt{i} = Transpose <perm=[0,1,3,2]> (present_key_{i})",
            f"raw{i} = MatMul (qh{i}, kt{i})",
            f"scaled{i} = Mul (raw{i}, scale)",
            f"masked{i} = Add (scaled{i}, mask)",
            f"shares{i} = Softmax <axis=-1> (masked{i})",
            f"mixed{i} = MatMul (shares{i}, present_value_{i})",
            f"back{i} = Transpose <perm=[0,2,1,3]> (mixed{i})",
            f"flat{i} = Reshape (back{i}, join)",
            f"add{i} = MatMul (flat{i}, o{i})",
            f"x{i + 1} = Add (x{i}, add{i})",
        ]
    lines += [f"end = Gather <axis=1> (x{LAYERS}, minus_one)", "logits = MatMul (end, out)"]
    body = "\n".join(lines)
    return f"decoder (float[B,S,{HIDDEN}] embeds, {past}) => (float[B,{vocab}] logits, {present}) {{\n{body}\n}}"


def _decoder_weights(w: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    names = ["places", "out", *(f"{n}{i}" for i in range(LAYERS) for n in "qkvo")]
    return {n: w[n] for n in names} | {
        "zero": np.array(0),
        "one": np.array(1),
        "minus_one": np.array(-1),
        "last": np.array([1]),
        "open": np.array(0, np.float32),
        "shut": np.array(-1e9, np.float32),
        "scale": np.array(1 / np.sqrt(HEAD_DIM), np.float32),
        "split": np.array([0, 0, HEADS, HEAD_DIM]),
        "join": np.array([0, 0, HEADS * HEAD_DIM]),
    }
