"""The seam between the session and whatever runs the graphs: one file per target, imported only when it is used.

NAME.py has open_engine(bundle, threads), and takes `provider` too where its library has execution providers. Where a
system's libraries are others, _NAME_android.py or _NAME_ios.py stands in for it. A target that other programs run has a
file in _elsewhere.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from edge_runtime.bundle import Bundle
from edge_runtime.errors import UserError
from edge_runtime.registry import Registry


class Cache(Protocol):
    """Keys and values of the tokens decoded so far. A value, never changed: several questions can follow one image."""

    @property
    def length(self) -> int:
        """Positions held."""
        ...


class Engine(Protocol):
    """What a session needs from a target. D: hidden size, V: vocabulary size; all arrays float32."""

    def vision(self, pixels: np.ndarray) -> np.ndarray:
        """Image features [T, D], projector included, all tiles in order, for pixels [N, C, H, W]."""
        ...

    def embed(self, ids: Sequence[int]) -> np.ndarray:
        """Token embeddings [S, D] for S ids."""
        ...

    def empty_cache(self) -> Cache:
        """The cache before the first token."""
        ...

    def decode(self, embeds: np.ndarray, cache: Cache) -> tuple[np.ndarray, Cache]:
        """Logits [V] after embeds [S, D] (S of 1 or more) that follow `cache`, and the cache that holds both."""
        ...


def simulator_of(engine: Engine) -> str:
    """What imitates the chip that the engine is for, "" where nothing does. Then answers count, and times do not."""
    return str(getattr(engine, "simulator", ""))


ENGINES: Registry[Callable[..., Engine]] = Registry("edge_runtime.engines", "open_engine", "target")
_ELSEWHERE: Registry[Callable[[Bundle], str]] = Registry("edge_runtime.engines._elsewhere", "explain", "target")


def open_engine(
    bundle: Bundle, threads: int | None = None, provider: str | None = None, system: str | None = None
) -> Engine:
    """The engine for the bundle's target, computing with `threads` threads (None: one per usable physical core).

    provider: which execution provider runs the bundle, where its library has several (None: its default). system:
    "android", "ios" or "" for all others; by default the one that this is. Raises UserError when the target cannot be
    run here, the bundle lacks what its engine needs, or threads is below 1.
    """
    target = bundle.manifest.target
    if target in _ELSEWHERE.names():
        raise UserError(_ELSEWHERE.load(target)(bundle))
    if target not in ENGINES.names():
        raise UserError(
            f"{bundle.folder}: target {target} is not one this version runs (it runs {', '.join(ENGINES.names())}); "
            "upgrade pulse-edge (pip install -U pulse-edge), or export for one of these"
        )
    opener = _opener(target, this_system() if system is None else system)
    if provider is None:
        return opener(bundle, threads)
    if "provider" not in inspect.signature(opener).parameters:
        raise UserError(f"{bundle.folder}: what runs target {target} has no execution providers; give none")
    return opener(bundle, threads, provider=provider)


def this_system() -> str:
    """ "android", "ios", or "" for those whose Python has the libraries themselves."""
    if "ANDROID_ARGUMENT" in os.environ:  # python-for-android sets it
        return "android"
    return "ios" if sys.platform == "ios" else ""


def _opener(target: str, system: str) -> Callable[..., Engine]:
    variant = f"{__name__}._{target.replace('-', '_')}_{system}"
    if system and importlib.util.find_spec(variant):
        opener: Callable[..., Engine] = importlib.import_module(variant).open_engine
        return opener
    return ENGINES.load(target)
