"""GGUF bundles are run by llama.cpp's own programs."""

from __future__ import annotations

from edge_runtime.bundle import Bundle


def explain(bundle: Bundle) -> str:
    """The command that asks such a bundle."""
    return (
        f"{bundle.folder}: is run by llama.cpp's own programs: llama-mtmd-cli -m {bundle.path('decoder')} "
        f"--mmproj {bundle.path('vision')} --jinja --temp 0 --image PAGE -p QUESTION"
    )
