"""The interpreter of Core ML packages: each operation from a saved package, against coremltools' own value inference
where an operation has it, and against torch where torch has the operation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from coremltools.converters.mil import Builder as mb
from coremltools.converters.mil.mil import types

from export.mil import MilModel

from .mil_programs import save

X = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
Y = np.random.default_rng(1).uniform(0.5, 2, size=(2, 3, 4)).astype(np.float32)
IMAGE = np.random.default_rng(2).normal(size=(2, 4, 9, 11)).astype(np.float32)
Build = Callable[..., Any]


def evaluate(cases: dict[str, Build], inputs: list[np.ndarray], path: Path) -> dict[str, np.ndarray]:
    """All cases as outputs of one saved package, by name."""
    names = [f"{name}_out" for name in cases]

    def function(*variables: Any) -> tuple[Any, ...]:
        results = [build(*variables) for build in cases.values()]
        return tuple(mb.identity(x=r, name=n) for r, n in zip(results, names, strict=True))

    # mb.program reads the parameters' names from the signature.
    letters = "abcdef"[: len(inputs)]
    wrapped = eval(f"lambda {', '.join(letters)}: function({', '.join(letters)})", {"function": function})
    specs = [mb.TensorSpec(x.shape, types.numpy_type_to_builtin_type(x.dtype)) for x in inputs]
    model = MilModel(save(wrapped, specs, path))
    outputs = model.predict(dict(zip(letters, inputs, strict=True)))
    return {name: outputs[f"{name}_out"] for name in cases}


# Operations whose value coremltools can work out itself when the operands are constants.
INFERRED: dict[str, Build] = {
    "add": lambda x, y: mb.add(x=x, y=y),
    "sub": lambda x, y: mb.sub(x=x, y=y),
    "mul": lambda x, y: mb.mul(x=x, y=y),
    "real_div": lambda x, y: mb.real_div(x=x, y=y),
    "floor_div": lambda x, y: mb.floor_div(x=x, y=y),
    "mod": lambda x, y: mb.mod(x=x, y=y),
    "pow": lambda x, y: mb.pow(x=y, y=x),
    "maximum": lambda x, y: mb.maximum(x=x, y=y),
    "minimum": lambda x, y: mb.minimum(x=x, y=y),
    "greater": lambda x, y: mb.cast(x=mb.greater(x=x, y=y), dtype="int32"),
    "less_equal": lambda x, y: mb.cast(x=mb.less_equal(x=x, y=y), dtype="int32"),
    "not_equal": lambda x, y: mb.cast(x=mb.not_equal(x=x, y=x), dtype="int32"),
    "select": lambda x, y: mb.select(cond=mb.less(x=x, y=y), a=x, b=y),
    "abs": lambda x, y: mb.abs(x=x),
    "ceil": lambda x, y: mb.ceil(x=x),
    "floor": lambda x, y: mb.floor(x=x),
    "round": lambda x, y: mb.round(x=x),
    "sign": lambda x, y: mb.sign(x=x),
    "exp": lambda x, y: mb.exp(x=x),
    "log": lambda x, y: mb.log(x=y),
    "sqrt": lambda x, y: mb.sqrt(x=y),
    "rsqrt": lambda x, y: mb.rsqrt(x=y, epsilon=1e-3),
    "inverse": lambda x, y: mb.inverse(x=y),
    "square": lambda x, y: mb.square(x=x),
    "sin": lambda x, y: mb.sin(x=x),
    "cos": lambda x, y: mb.cos(x=x),
    "tanh": lambda x, y: mb.tanh(x=x),
    "erf": lambda x, y: mb.erf(x=x),
    "clip": lambda x, y: mb.clip(x=x, alpha=-0.5, beta=0.7),
    "relu": lambda x, y: mb.relu(x=x),
    "relu6": lambda x, y: mb.relu6(x=x),
    "leaky_relu": lambda x, y: mb.leaky_relu(x=x, alpha=0.1),
    "elu": lambda x, y: mb.elu(x=x, alpha=1.3),
    "sigmoid": lambda x, y: mb.sigmoid(x=x),
    "sigmoid_hard": lambda x, y: mb.sigmoid_hard(x=x, alpha=0.3, beta=0.4),
    "softplus": lambda x, y: mb.softplus(x=x),
    "softsign": lambda x, y: mb.softsign(x=x),
    "softmax": lambda x, y: mb.softmax(x=x, axis=1),
    "cast_to_int": lambda x, y: mb.cast(x=mb.mul(x=x, y=3.0), dtype="int32"),
    "reshape": lambda x, y: mb.reshape(x=x, shape=[4, -1]),
    "reshape_copies": lambda x, y: mb.reshape(x=x, shape=[0, 1, 6, 0]),
    "transpose": lambda x, y: mb.transpose(x=x, perm=[2, 0, 1]),
    "expand_dims": lambda x, y: mb.expand_dims(x=x, axes=[0, -1]),
    "squeeze": lambda x, y: mb.squeeze(x=mb.expand_dims(x=x, axes=[1]), axes=[1]),
    "concat": lambda x, y: mb.concat(values=[x, y], axis=-1),
    "stack": lambda x, y: mb.stack(values=[x, y], axis=1),
    "split": lambda x, y: mb.split(x=x, split_sizes=[1, 2], axis=1)[1],
    "split_evenly": lambda x, y: mb.split(x=x, num_splits=2, axis=2)[1],
    "tile": lambda x, y: mb.tile(x=x, reps=[1, 2, 3]),
    "slice": lambda x, y: mb.slice_by_index(x=x, begin=[0, 2, 3], end=[2, 0, 0], stride=[1, -1, -2]),
    "slice_masks": lambda x, y: mb.slice_by_index(
        x=x, begin=[1, 1, 1], end=[2, 2, 2], begin_mask=[True, False, False], end_mask=[True, False, True]
    ),
    "slice_squeeze": lambda x, y: mb.slice_by_index(
        x=x, begin=[1, 0, -1], end=[0, 3, 0], squeeze_mask=[True, False, True]
    ),
    "slice_by_size": lambda x, y: mb.slice_by_size(x=x, begin=[0, 1, 1], size=[2, -1, 2]),
    "gather": lambda x, y: mb.gather(x=x, indices=np.array([[2, 0], [1, 1]], np.int32), axis=1),
    "gather_along_axis": lambda x, y: mb.gather_along_axis(
        x=x, indices=np.array([[[0, 1, 2, 0]], [[2, 2, 1, 1]]], np.int32), axis=1
    ),
    "band_part": lambda x, y: mb.band_part(x=x, lower=1, upper=0),
    "pad": lambda x, y: mb.pad(x=x, pad=[1, 2, 0, 1], mode="constant", constant_val=0.5),
    "reduce_mean": lambda x, y: mb.reduce_mean(x=x, axes=[1, 2]),
    "reduce_sum": lambda x, y: mb.reduce_sum(x=x, axes=[-1], keep_dims=True),
    "reduce_max": lambda x, y: mb.reduce_max(x=x, axes=[0]),
    "reduce_min": lambda x, y: mb.reduce_min(x=x, axes=[0]),
    "reduce_prod": lambda x, y: mb.reduce_prod(x=x, axes=[2]),
    "reduce_l1_norm": lambda x, y: mb.reduce_l1_norm(x=x, axes=[2]),
    "reduce_l2_norm": lambda x, y: mb.reduce_l2_norm(x=x, axes=[2]),
    "reduce_sum_square": lambda x, y: mb.reduce_sum_square(x=x, axes=[2]),
    "reduce_log_sum": lambda x, y: mb.reduce_log_sum(x=y, axes=[2]),
    "reduce_log_sum_exp": lambda x, y: mb.reduce_log_sum_exp(x=x, axes=[2]),
    "reduce_argmax": lambda x, y: mb.reduce_argmax(x=x, axis=1),
    "cumsum": lambda x, y: mb.cumsum(x=x, axis=1, reverse=True),
    "matmul": lambda x, y: mb.matmul(x=x, y=y, transpose_y=True),
    "linear": lambda x, y: mb.linear(x=x, weight=Y[0], bias=np.array([1, 2, 3], np.float32)),
    "layer_norm": lambda x, y: mb.layer_norm(x=x, axes=[2], gamma=Y[0, 0], beta=X[0, 0], epsilon=1e-3),
    "shape": lambda x, y: mb.shape(x=x),
    "fill": lambda x, y: mb.fill(shape=[2, 2], value=np.float32(1.5)),
    "range_1d": lambda x, y: mb.range_1d(start=2, end=9, step=3),
}


@pytest.fixture(scope="module")
def inferred(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """What the interpreter gives and what coremltools infers, by case."""
    want: dict[str, np.ndarray] = {}

    def noted(name: str, build: Build) -> Build:
        def run(x: Any, y: Any) -> Any:
            want[name] = build(mb.const(val=X), mb.const(val=Y)).val
            return build(x, y)

        return run

    cases = {name: noted(name, build) for name, build in INFERRED.items()}
    got = evaluate(cases, [X, Y], tmp_path_factory.mktemp("mil") / "inferred.mlpackage")
    return got, want


@pytest.mark.parametrize("name", INFERRED)
def test_operation_gives_what_coremltools_infers(
    name: str, inferred: tuple[dict[str, np.ndarray], dict[str, np.ndarray]]
) -> None:
    got, want = inferred[0][name], inferred[1][name]
    assert want is not None, "coremltools infers nothing here: test this operation against something else"
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=2e-5, atol=1e-6)


def conv(**arguments: Any) -> Build:
    draw = np.random.default_rng(3)
    groups = arguments.get("groups", 1)
    weight = draw.normal(size=(6, 4 // groups, 3, 2)).astype(np.float32)
    return lambda x: mb.conv(x=x, weight=weight, bias=np.arange(6, dtype=np.float32), **arguments)


WEIGHT = np.random.default_rng(3).normal(size=(6, 4, 3, 2)).astype(np.float32)
GROUPED = np.random.default_rng(3).normal(size=(6, 2, 3, 2)).astype(np.float32)
BIAS = torch.arange(6.0)
T = torch.from_numpy
CHANNEL = np.array([0.5, 1, 2, 3], np.float32)
GRID: dict[str, tuple[Build, Callable[[torch.Tensor], torch.Tensor]]] = {
    "conv": (conv(strides=[2, 1]), lambda x: F.conv2d(x, T(WEIGHT), BIAS, (2, 1))),
    "conv_custom": (
        conv(pad_type="custom", pad=[1, 2, 0, 3], dilations=[2, 1]),
        lambda x: F.conv2d(F.pad(x, (0, 3, 1, 2)), T(WEIGHT), BIAS, dilation=(2, 1)),
    ),
    "conv_same": (conv(pad_type="same"), lambda x: F.conv2d(F.pad(x, (0, 1, 1, 1)), T(WEIGHT), BIAS)),
    "conv_same_strided": (
        conv(pad_type="same", strides=[2, 2]),
        lambda x: F.conv2d(F.pad(x, (0, 1, 1, 1)), T(WEIGHT), BIAS, 2),
    ),
    "conv_groups": (conv(groups=2), lambda x: F.conv2d(x, T(GROUPED), BIAS, groups=2)),
    "conv_transpose": (
        lambda x: mb.conv_transpose(
            x=x, weight=WEIGHT.transpose(1, 0, 2, 3), bias=BIAS.numpy(), strides=[2, 1], pad_type="custom",
            pad=[1, 1, 0, 0],
        ),
        lambda x: F.conv_transpose2d(x, T(WEIGHT).transpose(0, 1), BIAS, (2, 1), (1, 0)),
    ),
    "max_pool": (
        lambda x: mb.max_pool(x=x, kernel_sizes=[3, 2], strides=[2, 2], pad_type="valid"),
        lambda x: F.max_pool2d(x, (3, 2), 2),
    ),
    "max_pool_padded": (
        lambda x: mb.max_pool(
            x=x, kernel_sizes=[3, 3], strides=[2, 3], pad_type="custom", pad=[1, 1, 1, 1], ceil_mode=True
        ),
        lambda x: F.max_pool2d(x, 3, (2, 3), 1, ceil_mode=True),
    ),
    "avg_pool": (
        lambda x: mb.avg_pool(x=x, kernel_sizes=[3, 3], strides=[2, 2], pad_type="custom", pad=[1, 1, 1, 1]),
        lambda x: F.avg_pool2d(x, 3, 2, 1),
    ),
    "avg_pool_excluded": (
        lambda x: mb.avg_pool(
            x=x, kernel_sizes=[3, 3], strides=[2, 2], pad_type="custom", pad=[1, 1, 1, 1],
            exclude_padding_from_average=True,
        ),
        lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    ),
    "avg_pool_ceil": (
        lambda x: mb.avg_pool(
            x=x, kernel_sizes=[2, 3], strides=[2, 3], pad_type="custom", pad=[0, 0, 0, 0], ceil_mode=True,
            exclude_padding_from_average=True,
        ),
        lambda x: F.avg_pool2d(x, (2, 3), ceil_mode=True, count_include_pad=False),
    ),
    "avg_pool_ceil_padded": (
        lambda x: mb.avg_pool(
            x=x, kernel_sizes=[3, 3], strides=[2, 3], pad_type="custom", pad=[1, 1, 1, 1], ceil_mode=True
        ),
        lambda x: F.avg_pool2d(x, 3, (2, 3), 1, ceil_mode=True),
    ),
    "upsample": (
        lambda x: mb.upsample_nearest_neighbor(x=x, scale_factor_height=2, scale_factor_width=3),
        lambda x: F.interpolate(x, scale_factor=(2, 3)),
    ),
    "batch_norm": (
        lambda x: mb.batch_norm(
            x=x, mean=CHANNEL, variance=CHANNEL, gamma=2 * CHANNEL, beta=-CHANNEL, epsilon=1e-3
        ),
        lambda x: F.batch_norm(x, T(CHANNEL), T(CHANNEL), 2 * T(CHANNEL), -T(CHANNEL), eps=1e-3),
    ),
    "instance_norm": (
        lambda x: mb.instance_norm(x=x, gamma=CHANNEL, beta=-CHANNEL, epsilon=1e-3),
        lambda x: F.instance_norm(x, weight=T(CHANNEL), bias=-T(CHANNEL), eps=1e-3),
    ),
    "l2_norm": (
        lambda x: mb.l2_norm(x=x, epsilon=1e-9),
        lambda x: x / x.flatten(1).norm(dim=1)[:, None, None, None],
    ),
    "reflect": (
        lambda x: mb.pad(x=x, pad=[2, 1, 1, 3], mode="reflect"),
        lambda x: F.pad(x, (1, 3, 2, 1), mode="reflect"),
    ),
    "replicate": (
        lambda x: mb.pad(x=x, pad=[2, 1, 1, 3], mode="replicate"),
        lambda x: F.pad(x, (1, 3, 2, 1), mode="replicate"),
    ),
    "cumsum_exclusive": (lambda x: mb.cumsum(x=x, axis=2, exclusive=True), lambda x: x.cumsum(2) - x),
    "prelu": (lambda x: mb.prelu(x=x, alpha=CHANNEL), lambda x: F.prelu(x, T(CHANNEL))),
    "silu": (lambda x: mb.silu(x=x), F.silu),
    "gelu": (lambda x: mb.gelu(x=x, mode="EXACT"), F.gelu),
    "gelu_tanh": (lambda x: mb.gelu(x=x, mode="TANH_APPROXIMATION"), lambda x: F.gelu(x, approximate="tanh")),
    "gelu_sigmoid": (lambda x: mb.gelu(x=x, mode="SIGMOID_APPROXIMATION"), lambda x: x * torch.sigmoid(1.702 * x)),
    "attention": (
        lambda x: mb.scaled_dot_product_attention(query=x, key=x, value=x),
        lambda x: F.scaled_dot_product_attention(x, x, x),
    ),
    "attention_masked": (
        lambda x: mb.scaled_dot_product_attention(
            query=x, key=x, value=x, attn_mask=np.triu(np.full((9, 9), -1e4, np.float32), 1)
        ),
        lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True),
    ),
    "attention_bool_mask": (
        lambda x: mb.scaled_dot_product_attention(query=x, key=x, value=x, attn_mask=np.tril(np.ones((9, 9), bool))),
        lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def grids(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    cases = {name: build for name, (build, _) in GRID.items()}
    return evaluate(cases, [IMAGE], tmp_path_factory.mktemp("mil") / "grids.mlpackage")


@pytest.mark.parametrize("name", GRID)
def test_operation_gives_what_torch_gives(name: str, grids: dict[str, np.ndarray]) -> None:
    want = GRID[name][1](torch.from_numpy(IMAGE)).numpy()
    assert grids[name].shape == want.shape
    np.testing.assert_allclose(grids[name], want, rtol=2e-5, atol=2e-6)
