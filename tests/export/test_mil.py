"""The interpreter of Core ML packages: compressed weights and states worked out by hand from the operations'
documentation, and what it refuses."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb
from coremltools.converters.mil.mil import types

from edge_runtime.errors import UserError
from export.mil import MilModel
from export.mil.package import read_package

from .mil_programs import save

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
