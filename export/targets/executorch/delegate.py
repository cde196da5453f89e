"""What a delegate is, and whether it can lower a model here."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_runtime.errors import UserError
from edge_runtime.registry import Registry

_EXTRA = "pip install pulse-edge[targets]"


@dataclass(frozen=True)
class Delegate:
    """What lowers the graphs for a kind of processor.

    backend: its name in ExecuTorch's runtime. needs: modules without which it cannot lower, and fix: how to get them.
    quantize_activations: whether its 4-bit operator wants int8 activations. own_attention: whether the decoder keeps
    its cache in ExecuTorch's own attention operator, which runs outside the delegate.
    """

    backend: str
    partitioner: Callable[[], Any]
    needs: tuple[str, ...] = ()
    fix: str = _EXTRA
    quantize_activations: bool = False
    own_attention: bool = False


DELEGATES: Registry[Delegate] = Registry("export.targets.executorch.delegates", "DELEGATE", "delegate")


def usable(name: str) -> Delegate:
    """The delegate of that name. Raises UserError when there is none, or what it needs to lower a model is not
    installed here."""
    if name not in DELEGATES.names():
        raise UserError(f"delegate {name} is not available; this version lowers to {', '.join(DELEGATES.names())}")
    for need in ("executorch", "torchao"):
        if not _present(need):
            raise UserError(f"target executorch needs {need}, which is not installed; {_EXTRA}")
    delegate = DELEGATES.load(name)
    missing = [need for need in delegate.needs if not _present(need)]
    if missing:
        raise UserError(f"delegate {name} cannot be lowered here, {missing[0]} is missing; {delegate.fix}")
    return delegate


def _present(need: str) -> bool:
    """A module that can be imported, or an environment variable ("$NAME") that names a folder."""
    if need.startswith("$"):
        folder = os.environ.get(need[1:], "")
        return folder != "" and Path(folder).is_dir()
    try:
        return importlib.util.find_spec(need) is not None
    except ModuleNotFoundError:  # of the package around it
        return False
