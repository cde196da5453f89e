"""Core ML bundles on iOS: the packages of coreml.py through Apple's own library, by rubicon-objc.

coremltools predicts on a Mac only. The calls are those of the iOS 18 SDK (MLModel.h, MLModel+MLState.h,
MLMultiArray.h); arrays are copied into and out of MLMultiArrays. docs/phones.md says what of this was checked.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from edge_runtime.bundle import Bundle
from edge_runtime.engines.coreml import CoreMLEngine
from edge_runtime.errors import UserError, shorten

# MLMultiArrayDataType, from MLMultiArray.h.
_TYPES: dict[int, np.dtype[Any]] = {
    0x10000 | 16: np.dtype(np.float16),
    0x10000 | 32: np.dtype(np.float32),
    0x10000 | 64: np.dtype(np.float64),
    0x20000 | 32: np.dtype(np.int32),
}
# Read as values and not called; rubicon cannot tell where Apple declares them in a category.
_PROPERTIES = {
    "MLModel": ("modelDescription",),
    "MLModelDescription": ("inputDescriptionsByName", "outputDescriptionsByName"),
    "MLFeatureDescription": ("multiArrayConstraint",),
    "MLMultiArrayConstraint": ("dataType",),
    "MLFeatureValue": ("multiArrayValue",),
    "MLMultiArray": ("dataType", "shape", "strides", "dataPointer"),
    "NSError": ("localizedDescription",),
}


class ApplePackage:
    """A package on the device, as coreml.Package wants it. Raises UserError when Core ML cannot load or run it."""

    def __init__(self, path: Path) -> None:
        self._objc, self._path = _bridge(), path
        ml = self._objc.ObjCClass("MLModel")
        with self._objc.runtime.autoreleasepool():
            url = self._objc.ObjCClass("NSURL").fileURLWithPath(str(path))
            compiled = self._call("load", lambda error: ml.compileModelAtURL(url, error=error))
            self._model = self._call("load", lambda error: ml.modelWithContentsOfURL(compiled, error=error))
            inputs = self._model.modelDescription.inputDescriptionsByName
            self._types = {str(name): int(inputs[name].multiArrayConstraint.dataType) for name in inputs}
            self._outputs = [str(name) for name in self._model.modelDescription.outputDescriptionsByName]

    def make_state(self) -> Any:
        """A fresh MLState, all zero."""
        return self._model.newState()

    def predict(self, data: dict[str, Any], state: Any = None) -> dict[str, Any]:
        """Output arrays by name, float32."""
        objc, model = self._objc, self._model
        value, provider = objc.ObjCClass("MLFeatureValue"), objc.ObjCClass("MLDictionaryFeatureProvider")
        # A worker's thread has no pool of its own: without one every step would leave its arrays behind.
        with objc.runtime.autoreleasepool():
            given = {name: value.featureValueWithMultiArray(self._to(name, array)) for name, array in data.items()}
            features = self._call("fill", lambda error: provider.alloc().initWithDictionary(given, error=error))
            if state is None:
                out = self._call("run", lambda error: model.predictionFromFeatures(features, error=error))
            else:
                out = self._call(
                    "run", lambda error: model.predictionFromFeatures(features, usingState=state, error=error)
                )
            return {name: self._from(out.featureValueForName(name).multiArrayValue) for name in self._outputs}

    def _to(self, name: str, array: np.ndarray) -> Any:
        """An MLMultiArray with a copy of the array, in the type that the package asks for."""
        kind = self._types[name]
        rows = np.ascontiguousarray(array, _TYPES[kind])
        allocated = self._objc.ObjCClass("MLMultiArray").alloc()
        target = self._call("fill", lambda error: allocated.initWithShape(list(rows.shape), dataType=kind, error=error))
        # Made from a shape alone it is contiguous, the last dimension the fastest.
        ctypes.memmove(_address(target), rows.ctypes.data, rows.nbytes)
        return target

    def _from(self, array: Any) -> np.ndarray:
        """A float32 copy; what Core ML hands out may have gaps between its rows."""
        kind = _TYPES[int(array.dataType)]
        shape, strides = ([int(self._objc.py_from_ns(n)) for n in sides] for sides in (array.shape, array.strides))
        elements = 1 + sum((side - 1) * stride for side, stride in zip(shape, strides, strict=True))
        memory = (ctypes.c_char * (elements * kind.itemsize)).from_address(_address(array))
        steps = [stride * kind.itemsize for stride in strides]
        return np.array(np.ndarray(shape, kind, memoryview(memory).cast("B"), strides=steps), np.float32)

    def _call(self, what: str, call: Any) -> Any:
        """The result of a method whose last argument is an NSError **."""
        error = self._objc.objc_id()
        result = call(ctypes.byref(error))
        if result is None:
            reason = str(self._objc.ObjCInstance(error).localizedDescription) if error.value else "no reason given"
            raise UserError(
                f"{self._path}: Core ML cannot {what} it ({shorten(reason, 120)}); iOS 18 or newer is needed"
            )
        return result


def _address(array: Any) -> int:
    pointer = array.dataPointer
    return int(pointer if isinstance(pointer, int) else pointer.value)


def _bridge() -> ModuleType:
    """rubicon.objc with Core ML loaded. Raises UserError where it is missing."""
    try:
        from rubicon import objc
    except ImportError:
        raise UserError("this bundle needs rubicon-objc, which is missing; build the app with phones/ios.sh") from None
    objc.runtime.load_library("CoreML")
    for name, properties in _PROPERTIES.items():
        for one in properties:
            objc.ObjCClass(name).declare_property(one)
    module: ModuleType = objc
    return module


def open_engine(bundle: Bundle, threads: int | None = None) -> CoreMLEngine:
    """What the registry calls. Core ML chooses its own threads: `threads` has no effect. Raises UserError."""
    return CoreMLEngine(bundle, ApplePackage)
