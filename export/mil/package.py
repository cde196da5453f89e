"""A saved .mlpackage as plain data: the operations of its program, with weights read from the blob file.

Formats: https://github.com/apple/coremltools/tree/main/mlmodel/format (Model.proto, MIL.proto) and, for weight.bin,
https://github.com/apple/coremltools/tree/main/mlmodel/src/MILBlob/Blob (StorageFormat.hpp).
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.errors import UserError
from export.targets.coreml.tools import quiet_coremltools

with quiet_coremltools():
    from coremltools.proto import MIL_pb2, Model_pb2

_SENTINEL = 0xDEADBEEF
_SCHEME = "@model_path/"
_TYPES = {
    "BOOL": np.dtype(bool),
    "STRING": np.dtype(object),
    "FLOAT16": np.dtype(np.float16),
    "FLOAT32": np.dtype(np.float32),
    "FLOAT64": np.dtype(np.float64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
}
# Integers of less than a byte, packed without gaps, the first in the lowest bits; each becomes a byte here.
_PACKED = {"INT4": 4, "UINT6": 6, "UINT4": 4, "UINT3": 3, "UINT2": 2, "UINT1": 1}


@dataclass(frozen=True)
class Tensor:
    """A type: the dtype of its elements as they are kept here, and its shape, None where it is not fixed."""

    dtype: np.dtype
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class Reference:
    """An operand that is another operation's result, an input or a state."""

    name: str


@dataclass(frozen=True)
class Operation:
    """inputs: operands by parameter, each a Reference or an array, or a list of them where it takes several."""

    type: str
    inputs: dict[str, Any]
    outputs: tuple[tuple[str, Tensor], ...]


@dataclass(frozen=True)
class Program:
    """The main function. constants are the values of its const operations; operations exclude those."""

    inputs: dict[str, Tensor]
    states: dict[str, Tensor]
    constants: dict[str, np.ndarray]
    operations: tuple[Operation, ...]
    outputs: tuple[str, ...]


def read_package(path: Path) -> Program:
    """Read a package. Raises UserError when a part is missing or damaged, or it is no ML program with a main."""
    model_file = _model_file(path)
    try:
        model = Model_pb2.Model()
        model.ParseFromString(model_file.read_bytes())
        if model.WhichOneof("Type") != "mlProgram" or "main" not in model.mlProgram.functions:
            raise UserError(f"{path}: is no ML program with a function main; export the bundle again")
        function = model.mlProgram.functions["main"]
        block = function.block_specializations[function.opset]
        constants: dict[str, np.ndarray] = {}
        operations = []
        for op in block.operations:
            if op.blocks:
                raise UserError(f"{path}: operation {op.type} has nested blocks, which this interpreter does not run")
            if op.type == "const":
                constants[op.outputs[0].name] = _value(op.attributes["val"], model_file.parent)
            else:
                operations.append(_operation(op, model_file.parent))
        named = [(i.name, i.type) for i in function.inputs]
        return Program(
            inputs={n: _tensor(t.tensorType) for n, t in named if t.HasField("tensorType")},
            states={n: _tensor(t.stateType.wrappedType.tensorType) for n, t in named if t.HasField("stateType")},
            constants=constants,
            operations=tuple(operations),
            outputs=tuple(block.outputs),
        )
    except UserError:
        raise
    # protobuf's DecodeError, a field of a later format, a weights file that is cut off or missing.
    except Exception as error:
        raise UserError(f"{path}: damaged ({error}); export the bundle again") from None


def _model_file(path: Path) -> Path:
    try:
        manifest = json.loads((path / "Manifest.json").read_text(encoding="utf-8"))
        item = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]
        return Path(path) / "Data" / str(item["path"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: is no Core ML package ({error}); export the bundle again") from None


def _operation(op: Any, folder: Path) -> Operation:
    inputs = {}
    for name, argument in op.inputs.items():
        bound = [
            Reference(a.name) if a.WhichOneof("binding") == "name" else _value(a.value, folder)
            for a in argument.arguments
        ]
        inputs[name] = bound[0] if len(bound) == 1 else bound
    # The constexpr operations of iOS 16 keep their operands in attributes.
    inputs |= {name: _value(value, folder) for name, value in op.attributes.items() if name != "name"}
    return Operation(op.type, inputs, tuple((o.name, _tensor(o.type.tensorType)) for o in op.outputs))


def _tensor(kind: Any) -> Tensor:
    name = MIL_pb2.DataType.Name(kind.dataType)
    dtype = _TYPES.get(name) or np.dtype(np.int8 if name == "INT4" else np.uint8)
    shape = tuple(d.constant.size if d.WhichOneof("dimension") == "constant" else None for d in kind.dimensions)
    return Tensor(dtype, shape)


def _value(value: Any, folder: Path) -> np.ndarray:
    """A constant: float16 as float16, integers of less than a byte in a byte each, text as objects."""
    kind = value.type.tensorType
    name = MIL_pb2.DataType.Name(kind.dataType)
    shape = tuple(d.constant.size for d in kind.dimensions)
    if value.WhichOneof("value") == "blobFileValue":
        return _elements(_blob(value.blobFileValue, folder), name, shape)
    tensor = value.immediateValue.tensor
    field = tensor.WhichOneof("value")
    if field == "bytes":
        return _elements(tensor.bytes.values, name, shape)
    values = [] if field is None else list(getattr(tensor, field).values)
    return np.array(values, _TYPES[name]).reshape(shape)


def _blob(reference: Any, folder: Path) -> bytes:
    file = folder / reference.fileName.removeprefix(_SCHEME)
    with file.open("rb") as blob:
        blob.seek(reference.offset)
        sentinel, _, size, offset = struct.unpack("<IIQQ", blob.read(24))
        if sentinel != _SENTINEL:
            raise ValueError(f"no weight starts at {reference.offset} of {file.name}")
        blob.seek(offset)
        data = blob.read(size)
    if len(data) != size:
        raise ValueError(f"{file.name} is cut off")
    return data


def _elements(data: bytes, name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name not in _PACKED:
        return np.frombuffer(data, _TYPES[name]).reshape(shape)
    bits, count = _PACKED[name], int(np.prod(shape, dtype=np.int64))
    stream = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[: count * bits].reshape(count, bits)
    codes = np.packbits(stream, axis=1, bitorder="little")[:, 0]
    if name == "INT4":
        codes = ((codes ^ 8).astype(np.int16) - 8).astype(np.int8)  # two's complement of four bits
    return codes.reshape(shape)
