"""Graphs compiled for one chip each, as QNN context binaries: a phone loads them at once, where it would compile the
graphs for seconds to minutes.

Beside each binary lies the graph of one node, EPContext, by which ONNX Runtime finds it.
https://onnxruntime.ai/docs/execution-providers/QNN-ExecutionProvider.html#qnn-context-binary-cache-feature
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnxruntime as ort

from edge_runtime.engines._onnx_plugins import PLUGINS, devices, load_plugin
from edge_runtime.engines.qnn import GRAPHS, stdout_to_stderr
from edge_runtime.errors import UserError, shorten

FOLDER = "contexts"


def compile_contexts(
    folder: Path, artifacts: Mapping[str, str], chips: Mapping[str, tuple[str, str]]
) -> dict[str, str]:
    """Compile a bundle's graphs for `chips` (name -> Qualcomm's numbers of the chip and of its Hexagon); returns new
    artifacts, "sm8650_vision" and so on. Raises UserError for a graph that the compiler does not take."""
    library, found = load_plugin("qnn"), {}
    for chip, (model, architecture) in chips.items():
        (folder / FOLDER / chip).mkdir(parents=True)
        backend = {"backend_path": str(library.get_qnn_htp_path()), "soc_model": model, "htp_arch": architecture}
        for name in GRAPHS:
            path = f"{FOLDER}/{chip}/{name}.onnx"
            _compile(folder / artifacts[name], folder / path, backend)
            found[f"{chip}_{name}"] = path
    return found


def sizes(folder: Path, chips: Sequence[str]) -> dict[str, int]:
    """Bytes of a bundle's context binaries, by chip."""
    return {chip: sum(path.stat().st_size for path in (folder / FOLDER / chip).iterdir()) for chip in chips}


def _compile(graph: Path, context: Path, backend: Mapping[str, str]) -> None:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    options.add_session_config_entry("ep.context_enable", "1")
    options.add_session_config_entry("ep.context_embed_mode", "0")
    options.add_session_config_entry("ep.context_file_path", str(context))
    options.add_provider_for_devices(devices(PLUGINS["qnn"].long)[:1], dict(backend))
    try:
        with stdout_to_stderr():
            ort.InferenceSession(str(graph), options)
    except Exception as error:  # the runtime's exceptions share no base class but Exception
        raise UserError(f"{graph.name}: Hexagon's compiler does not take it ({shorten(str(error), 160)})") from None
