"""Programs of Core ML operations, saved as packages for the interpreter to read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import coremltools as ct
from coremltools.converters.mil import Builder as mb


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
