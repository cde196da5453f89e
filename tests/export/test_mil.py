"""The interpreter of Core ML packages: each operation from a saved package, against three independent sources.

coremltools' own value inference where an operation has it, torch where torch has the operation, and values worked out
by hand from the operations' documentation.
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from coremltools.converters.mil import Builder as mb
from coremltools.converters.mil.mil import types

from edge_runtime.errors import UserError
from export.mil import MilModel
from export.mil.package import read_package

X = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
Y = np.random.default_rng(1).uniform(0.5, 2, size=(2, 3, 4)).astype(np.float32)
IMAGE = np.random.default_rng(2).normal(size=(2, 4, 9, 11)).astype(np.float32)
Build = Callable[..., Any]


def save(function: Any, specs: list[Any], path: Path, half: bool = False) -> Path:
    """A program as a package, its operations as they are: no optimization passes."""
    program = mb.program(input_specs=specs, opset_version=ct.target.iOS18)(function)
    package = ct.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=ct.target.iOS18,
        compute_precision=ct.precision.FLOAT16 if half else ct.precision.FLOAT32,
        pass_pipeline=ct.PassPipeline.DEFAULT if half else ct.PassPipeline.EMPTY,
        skip_model_load=True,
    )
    package.save(str(path))
    return path


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


CODES = np.array([[-8, -1, 0, 7, 3, -5], [1, 2, -3, 4, -4, 6]], np.int8)
LUT_16 = np.linspace(-1, 1, 16).astype(np.float32)


def hand_made(x: Any) -> dict[str, Any]:
    """Constants in every compressed form, none of them used up by an operation."""
    int4, uint4, uint2, uint3 = (types.np_int4_dtype, types.np_uint4_dtype, types.np_uint2_dtype, types.np_uint3_dtype)
    scale = np.array([[1, 2, 4], [0.5, 0.25, 3]], np.float32)
    tables = np.array([[0, 1, 10, 11], [20, 21, 30, 31]], np.float32).reshape(1, 2, 4, 1)
    return {
        "blocks": mb.constexpr_blockwise_shift_scale(data=CODES.astype(int4), scale=scale),
        "shifted": mb.constexpr_blockwise_shift_scale(
            data=(CODES + 8).astype(uint4), scale=scale[:, :1], offset=np.array([[8], [9]]).astype(uint4)
        ),
        "bytes": mb.constexpr_blockwise_shift_scale(data=CODES * 15, scale=scale[:, :1].astype(np.float16)),
        "tables": mb.constexpr_lut_to_dense(indices=np.array([[0, 1, 2, 3], [3, 2, 1, 0]]).astype(uint2), lut=tables),
        "vectors": mb.constexpr_lut_to_dense(
            indices=np.array([[0, 7], [2, 1]]).astype(uint3),
            lut=np.arange(16, dtype=np.float32).reshape(1, 1, 8, 2),
            vector_axis=0,
        ),
    }


def test_compressed_weights_by_hand(tmp_path: Path) -> None:
    names: list[str] = []

    def function(x: Any) -> tuple[Any, ...]:
        made = hand_made(x)
        names.extend(made)
        # A constant may not be an output, so each is added to the input, a zero.
        return tuple(mb.add(x=mb.cast(x=value, dtype="fp32"), y=x, name=name) for name, value in made.items())

    model = MilModel(save(function, [mb.TensorSpec((1,))], tmp_path / "m.mlpackage"))
    got = model.predict({"x": np.zeros(1, np.float32)})
    assert set(got) == set(names)
    np.testing.assert_array_equal(got["blocks"], [[-8, -1, 0, 14, 12, -20], [0.5, 1, -0.75, 1, -12, 18]])
    np.testing.assert_array_equal(got["shifted"], [[-8, -1, 0, 7, 3, -5], [0, 0.5, -2, 1.5, -2.5, 2.5]])
    np.testing.assert_array_equal(got["bytes"], CODES * 15.0 * [[1], [0.5]])
    # Two tables side by side: columns 0 and 1 use the first, 2 and 3 the second.
    np.testing.assert_array_equal(got["tables"], [[0, 1, 30, 31], [11, 10, 21, 20]])
    # Each index gives two values along axis 0.
    np.testing.assert_array_equal(got["vectors"], [[0, 14], [1, 15], [4, 2], [5, 3]])


def test_weights_of_ios_16_look_up_tables(tmp_path: Path) -> None:
    """Palettized by coremltools itself, for the older format, which packs indices and keeps them in attributes."""
    weight = np.random.default_rng(5).choice([-2.0, 0.5, 1.0, 3.0], (8, 64)).astype(np.float32)

    def function(x: Any) -> Any:
        return mb.linear(x=x, weight=weight, name="y")

    program = mb.program(input_specs=[mb.TensorSpec((2, 64))], opset_version=ct.target.iOS16)(function)
    package = ct.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=ct.target.iOS16,
        compute_precision=ct.precision.FLOAT32,
        skip_model_load=True,
    )
    config = ct.optimize.coreml.OpPalettizerConfig(mode="unique", weight_threshold=1)
    ct.optimize.coreml.palettize_weights(package, ct.optimize.coreml.OptimizationConfig(global_config=config)).save(
        str(tmp_path / "m.mlpackage")
    )
    model = MilModel(tmp_path / "m.mlpackage")
    assert "constexpr_lut_to_dense" in {op.type for op in model.program.operations}
    x = np.random.default_rng(6).normal(size=(2, 64)).astype(np.float32)
    np.testing.assert_allclose(model.predict({"x": x})["y"], x @ weight.T, rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package with a state [4]: writes x [2] at positions 1 and 2, and gives the state before and after."""

    def function(x: Any, rows: Any) -> tuple[Any, ...]:
        before = mb.read_state(input=rows)
        value = mb.slice_update(x=before, update=x, begin=[1], end=[3])
        after = mb.coreml_update_state(state=rows, value=value)
        return mb.mul(x=before, y=np.float16(1), name="before"), mb.mul(x=after, y=np.float16(2), name="twice")

    specs = [mb.TensorSpec((2,), types.fp16), mb.StateTensorSpec((4,), types.fp16)]
    return save(function, specs, tmp_path_factory.mktemp("mil") / "state.mlpackage", half=True)


def test_a_state_is_read_and_written(counter: Path) -> None:
    model = MilModel(counter)
    state, other = model.make_state(), model.make_state()
    one, two = np.array([1, 2], np.float16), np.array([5, 6], np.float16)
    first = model.predict({"x": one}, state)
    np.testing.assert_array_equal(first["before"], [0, 0, 0, 0])
    np.testing.assert_array_equal(first["twice"], [0, 2, 4, 0])
    second = model.predict({"x": two}, state)
    np.testing.assert_array_equal(second["before"], [0, 1, 2, 0])
    np.testing.assert_array_equal(second["twice"], [0, 10, 12, 0])
    np.testing.assert_array_equal(model.predict({"x": two}, other)["before"], [0, 0, 0, 0])
    np.testing.assert_array_equal(first["twice"], [0, 2, 4, 0])  # results are not the state's own memory
    with pytest.raises(UserError, match="make_state"):
        model.predict({"x": one})


def test_float16_is_rounded_after_each_operation(tmp_path: Path) -> None:
    def function(x: Any) -> Any:
        return mb.sub(x=mb.add(x=x, y=np.float16(1)), y=np.float16(1), name="y")

    path = save(function, [mb.TensorSpec((3,), types.fp16)], tmp_path / "m.mlpackage")
    got = MilModel(path).predict({"x": np.array([2**-11, 2**-10, 70000], np.float32)})["y"]
    assert got.dtype == np.float16
    np.testing.assert_array_equal(got, [0, 2**-10, np.inf])  # 1 + 2^-11 is no float16; 70000 is beyond it


def test_an_operation_that_is_not_known_is_named(tmp_path: Path) -> None:
    path = save(lambda x: mb.topk(x=x, k=2)[0], [mb.TensorSpec((5,))], tmp_path / "m.mlpackage")
    with pytest.raises(UserError, match="does not know the operation topk"):
        MilModel(path)


def test_what_an_operation_does_not_do_here_is_said(tmp_path: Path) -> None:
    def function(x: Any) -> Any:
        return mb.gather(x=x, indices=np.array([[0], [1]], np.int32), axis=1, batch_dims=1, name="rows")

    path = save(function, [mb.TensorSpec((2, 3))], tmp_path / "m.mlpackage")
    with pytest.raises(UserError, match=r"gather rows cannot be evaluated \(gather with batch_dims"):
        MilModel(path).predict({"x": np.zeros((2, 3), np.float32)})


def test_wrong_inputs_are_refused(counter: Path) -> None:
    model = MilModel(counter)
    with pytest.raises(UserError, match=r"takes \['x'\], not \['y'\]"):
        model.predict({"y": np.zeros(2)}, model.make_state())
    with pytest.raises(UserError, match=r"x has shape \[3\], not \[2\]"):
        model.predict({"x": np.zeros(3)}, model.make_state())


@pytest.fixture
def weighted(tmp_path: Path) -> Path:
    return save(
        lambda x: mb.add(x=x, y=np.arange(64, dtype=np.float32)), [mb.TensorSpec((64,))], tmp_path / "w.mlpackage"
    )


def test_weights_come_from_the_blob_file(weighted: Path) -> None:
    blob = weighted / "Data/com.apple.CoreML/weights/weight.bin"
    data = bytearray(blob.read_bytes())
    at = data.index(struct.pack("<4f", 1, 2, 3, 4))
    data[at : at + 4] = struct.pack("<f", -100)
    blob.write_bytes(data)
    (got,) = MilModel(weighted).predict({"x": np.zeros(64, np.float32)}).values()
    assert got[:4].tolist() == [0, -100, 2, 3]


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda p: (p / "Manifest.json").unlink(), "is no Core ML package"),
        (lambda p: (p / "Manifest.json").write_text("[]"), "is no Core ML package"),
        (lambda p: (p / "Data/com.apple.CoreML/model.mlmodel").write_bytes(b"\xff\xff"), "damaged"),
        (lambda p: (p / "Data/com.apple.CoreML/model.mlmodel").write_bytes(b""), "is no ML program"),
        (lambda p: shutil.rmtree(p / "Data/com.apple.CoreML/weights"), "damaged"),
        (lambda p: cut(p / "Data/com.apple.CoreML/weights/weight.bin", 150), "cut off"),
        (lambda p: zero(p / "Data/com.apple.CoreML/weights/weight.bin"), "no weight starts at 64"),
    ],
)
def test_a_damaged_package_is_refused_in_one_line(harm: Callable[[Path], None], reason: str, weighted: Path) -> None:
    harm(weighted)
    with pytest.raises(UserError, match=reason) as caught:
        read_package(weighted)
    assert "\n" not in str(caught.value)


def cut(file: Path, size: int) -> None:
    file.write_bytes(file.read_bytes()[:size])


def zero(file: Path) -> None:
    file.write_bytes(bytes(file.stat().st_size))
