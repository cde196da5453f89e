"""The Core ML engine of the runtime with the interpreter in Apple's place: what certificates of that target run."""

from __future__ import annotations

from edge_runtime.bundle import Bundle
from edge_runtime.engines.coreml import CoreMLEngine
from export.mil import MilModel


def open_mil_engine(bundle: Bundle) -> CoreMLEngine:
    """Raises UserError when a package is missing, damaged or has an operation that the interpreter does not know."""
    return CoreMLEngine(bundle, MilModel)
