"""An interpreter of saved Core ML packages, so that an artifact can be verified where Core ML does not run.

It reads what is on disk (the protobuf and the weights file) and evaluates the MIL operations by their documentation.
A float16 value is rounded to float16 after every operation and summed in float32 within one; Apple's hardware may sum
in another order and precision. So this verifies the artifact (weights, wiring, states), not Apple's runtime.

Documentation of the operations: https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html
"""

from __future__ import annotations

from export.mil.run import MilModel

__all__ = ["MilModel"]
