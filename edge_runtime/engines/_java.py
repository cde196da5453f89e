"""Java classes from Python, for the two engines that Android runs through Java libraries."""

from __future__ import annotations

from typing import Any

from edge_runtime.errors import UserError


def java_class(name: str) -> Any:
    """A Java class by its name. Raises UserError where there is no bridge to Java."""
    try:
        from jnius import autoclass
    except ImportError:
        raise UserError("this bundle needs pyjnius, which is missing; build the app with buildozer.spec") from None
    return autoclass(name)
