"""Evaluates a package's program: the two methods of coremltools' MLModel that an engine needs, on any machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.errors import UserError

# Each import fills the table with its operations.
from export.mil import ops_constexpr, ops_conv, ops_elementwise, ops_nn, ops_shape  # noqa: F401
from export.mil.package import Operation, Reference, Tensor, read_package
from export.mil.registry import OPERATIONS

_STATES = ("read_state", "write_state", "coreml_update_state")
# Their results are elements of operands, rounded already; states are large enough for that to count.
_MOVES = {*_STATES, "slice_update", "slice_by_index", "reshape", "transpose", "split", "stack", "concat", "expand_dims"}


class MilModel:
    """A saved .mlpackage. watch: is shown each operation with operands and result as it is evaluated.

    Raises UserError for one that is damaged or has an operation that is not known here.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.program = read_package(self.path)
        for operation in self.program.operations:
            if operation.type not in OPERATIONS and operation.type not in _STATES:
                raise UserError(f"{self.path}: the interpreter does not know the operation {operation.type}")
        self.watch: Callable[[Operation, dict[str, Any], Any], None] = lambda operation, operands, result: None
        self._constants = {name: _widened(value) for name, value in self.program.constants.items()}
        self._operations = []
        for operation in self.program.operations:
            # What weights are made of is computed once, as Core ML may do.
            if operation.type.startswith("constexpr_"):
                self._evaluate(operation, self._constants, {})
            else:
                self._operations.append(operation)

    def make_state(self) -> dict[str, np.ndarray]:
        """A fresh state, all zero."""
        return {name: np.zeros(_fixed(t), np.float32) for name, t in self.program.states.items()}

    def predict(
        self, data: Mapping[str, np.ndarray], state: dict[str, np.ndarray] | None = None
    ) -> dict[str, np.ndarray]:
        """Outputs by name, in the types that the package declares. `state` is changed.

        Raises UserError when the inputs are not the package's, or the state is missing.
        """
        if set(data) != set(self.program.inputs):
            raise UserError(f"{self.path}: takes {sorted(self.program.inputs)}, not {sorted(data)}")
        if self.program.states and state is None:
            raise UserError(f"{self.path}: keeps states; give one from make_state()")
        values = dict(self._constants)
        for name, tensor in self.program.inputs.items():
            values[name] = _kept(_checked(np.asarray(data[name]), tensor, f"{self.path}: {name}"), tensor.dtype)
        types = dict(self.program.inputs)
        for operation in self._operations:
            self._evaluate(operation, values, state or {})
            types.update(operation.outputs)
        return {name: values[name].astype(types[name].dtype) for name in self.program.outputs}

    def _evaluate(self, operation: Operation, values: dict[str, Any], state: dict[str, np.ndarray]) -> None:
        if operation.type in _STATES:
            result: Any = _use_state(operation, values, state)
        else:
            operands = {name: _operand(given, values) for name, given in operation.inputs.items()}
            try:
                # Overflow is a result like any other here: the certificate finds what is not finite.
                with np.errstate(all="ignore"):
                    result = OPERATIONS[operation.type](**operands)
            except (TypeError, ValueError, IndexError, NotImplementedError) as error:
                label = operation.outputs[0][0] if operation.outputs else ""
                raise UserError(f"{self.path}: {operation.type} {label} cannot be evaluated ({error})") from None
            self.watch(operation, operands, result)
        results = result if isinstance(result, tuple) else (result,)
        for (name, tensor), value in zip(operation.outputs, results, strict=False):
            checked = _checked(np.asarray(value), tensor, f"{self.path}: {name}")
            values[name] = checked if operation.type in _MOVES else _kept(checked, tensor.dtype)


def _use_state(operation: Operation, values: dict[str, Any], state: dict[str, np.ndarray]) -> np.ndarray:
    """read_state(input); write_state(input, data); coreml_update_state(state, value) does one after the other."""
    given = operation.inputs
    name = given["state" if operation.type == "coreml_update_state" else "input"].name
    if operation.type != "read_state":
        # Values are never changed in place, so the state may share one.
        state[name] = _operand(given["value" if operation.type == "coreml_update_state" else "data"], values)
    return state[name]


def _operand(given: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(given, list):
        return [_operand(item, values) for item in given]
    return values[given.name] if isinstance(given, Reference) else _widened(given)


def _widened(value: np.ndarray) -> np.ndarray:
    return value.astype(np.float32) if value.dtype == np.float16 else value


def _kept(value: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """As an operation's result is kept: in its declared type, but float16 as float32 after rounding."""
    if dtype == np.float16:
        with np.errstate(over="ignore"):
            return value.astype(np.float16).astype(np.float32)
    return value.astype(dtype, copy=False)


def _checked(value: np.ndarray, tensor: Tensor, what: str) -> np.ndarray:
    fits = value.ndim == len(tensor.shape) and all(
        n in (None, m) for n, m in zip(tensor.shape, value.shape, strict=True)
    )
    if not fits:
        raise UserError(f"{what} has shape {list(value.shape)}, not {['?' if n is None else n for n in tensor.shape]}")
    return value


def _fixed(tensor: Tensor) -> tuple[int, ...]:
    return tuple(n or 0 for n in tensor.shape)
