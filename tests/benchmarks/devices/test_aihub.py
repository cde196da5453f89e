"""aihub://: what is said without qai-hub or a token, and every call held against qai-hub's own signatures.

qai-hub needs an older protobuf than the rest, so these run where it is installed; on the farm nothing is run.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from unittest import mock

import onnx
import pytest
from onnx import parser

from benchmarks.devices import open_device
from benchmarks.devices.aihub import AiHub, input_specs
from edge_runtime.errors import UserError

HERE = importlib.util.find_spec("qai_hub") is not None


@pytest.mark.skipif(HERE, reason="qai-hub is installed")
def test_without_the_package() -> None:
    with pytest.raises(UserError, match=r"No module named 'qai_hub'.*; pip install 'pulse-edge\[aihub\]'") as caught:
        open_device("aihub://Samsung Galaxy S24")
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not HERE, reason="qai-hub is not installed")
def test_without_a_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("QAIHUB_CLIENT_INI", str(tmp_path / "none.ini"))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UserError, match=r"Failed to load client configuration file\.; is there a token") as caught:
        open_device("aihub://Samsung Galaxy S24")
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not HERE, reason="qai-hub is not installed")
def test_calls_fit_qai_hubs_own_signatures(tmp_path: Path) -> None:
    """The farm's answers are made up; that the calls would be taken is not."""
    import qai_hub

    hub = mock.create_autospec(qai_hub)
    hub.client.Error = qai_hub.client.Error
    hub.__version__ = qai_hub.__version__
    hub.get_devices.return_value = [qai_hub.Device("Phone", "14")]
    compiled = mock.create_autospec(qai_hub.CompileJob, instance=True)
    timed = mock.create_autospec(qai_hub.InferenceJob, instance=True)
    hub.submit_compile_job.return_value, hub.submit_inference_job.return_value = compiled, timed
    timed.download_profile.return_value = {"execution_summary": {"all_inference_times": [2000, 4000]}}
    device = AiHub("Phone", hub)
    assert device.about()["model"] == "Phone"
    assert device.times(graph(tmp_path), {"embeds": 1, "past": 7}) == [2000, 4000]
    sent = hub.submit_compile_job.call_args.kwargs
    assert sent["input_specs"]["past_key_0"] == ((1, 2, 7, 4), "float32")
    compiled.get_target_model.return_value = None
    with pytest.raises(UserError, match="the farm did not compile it"):
        device.times(graph(tmp_path), {"embeds": 1, "past": 7})
    hub.get_devices.return_value = []
    with pytest.raises(UserError, match="has none of that name"):
        AiHub("Phone", hub)


def graph(folder: Path, operator: str = "Identity", domain: str = "") -> Path:
    model = parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 20, "com.microsoft" : 1]> '
        "g (float[1, s, 8] embeds, float[1, 2, p, 4] past_key_0) => (float[1, s, 8] y) { y = Identity(embeds) }"
    )
    model.graph.node[0].op_type, model.graph.node[0].domain = operator, domain
    onnx.save(model, folder / "graph.onnx")
    return folder / "graph.onnx"


def test_inputs_get_fixed_shapes(tmp_path: Path) -> None:
    assert input_specs(graph(tmp_path), {"embeds": 1, "past": 256}) == {
        "embeds": ((1, 1, 8), "float32"),
        "past_key_0": ((1, 2, 256, 4), "float32"),
    }
    with pytest.raises(UserError, match="is in ONNX Runtime's own operators; export with --onnx-style qdq"):
        input_specs(graph(tmp_path, "MatMulNBits", "com.microsoft"), {})
    with pytest.raises(UserError, match="has no name"):
        open_device("aihub://")
