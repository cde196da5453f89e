"""Estimates: work counted by hand on small graphs, a fit that finds what it was made from, and device files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from benchmarks.cli import main
from benchmarks.estimate.graph_work import Work, graph_work, phases
from benchmarks.estimate.profile import FOLDER, read_profile
from benchmarks.estimate.roofline import PHASES, Fit, Peak, Run, estimate, fit, left_out, probe
from edge_runtime.bundle import Bundle
from edge_runtime.errors import UserError
from pulse.checkpoint.checkpoint import Checkpoint
from tests.exporting import export

PAGE = Path(__file__).parents[2] / "pulse" / "ecg" / "examples" / "b-normal.png"


@pytest.fixture(scope="module")
def bundles(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """pulse-nano in both ONNX styles."""
    folder = tmp_path_factory.mktemp("styles") / "qdq"
    export(Checkpoint.open("pulse-nano"), "onnx", "int4", folder, [PAGE], onnx_style="qdq")
    return {"nbits": bundle, "qdq": folder}


def graph(tmp_path: Path, text: str, weights: dict[str, np.ndarray]) -> Path:
    model = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 20, "com.microsoft" : 1]> {text}')
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    onnx.save(onnx.shape_inference.infer_shapes(model), tmp_path / "graph.onnx")
    return tmp_path / "graph.onnx"


def test_convolution_by_hand(tmp_path: Path) -> None:
    text = """g (float[n, 3, 8, 8] pixels) => (float[n, 4, 4, 4] out) {
        wide = Cast<to = 1>(w)
        out = Conv<kernel_shape = [2, 2], strides = [2, 2]>(pixels, wide)
    }"""
    path = graph(tmp_path, text, {"w": np.zeros((4, 3, 2, 2), np.float16)})
    # 2 tiles x 4 x 4 x 4 outputs of 3 x 2 x 2 multiply-adds; 48 weights as float32, for the cast is done at loading;
    # the output written and read.
    assert graph_work(path, {"pixels": 2}, 0) == Work(2 * 128 * 12, 4 * 48 + 2 * 4 * 128, 1)


def test_a_product_of_4_bit_weights_reads_them_as_they_are_stored(tmp_path: Path) -> None:
    text = """g (float[1, s, 8] embeds) => (float[1, s, 16] out) {
        wide = DequantizeLinear<axis = 0, block_size = 4>(w, scale)
        out = MatMul(embeds, wide)
    }"""
    path = graph(tmp_path, text, {"scale": np.ones((2, 16), np.float32)})
    model = onnx.load(path)
    model.graph.initializer.append(helper.make_tensor("w", TensorProto.INT4, [8, 16], [0] * 128))
    model.graph.value_info.append(helper.make_tensor_value_info("wide", TensorProto.FLOAT, [8, 16]))
    onnx.save(model, path)
    assert graph_work(path, {"embeds": 5}, 5) == Work(2 * 5 * 8 * 16, 64 + 4 * 32 + 2 * 4 * 5 * 16, 1)


def test_a_shape_that_is_not_told_is_said(tmp_path: Path) -> None:
    path = graph(tmp_path, "g (float[a, b] x, float[b, c] y) => (float[a, c] z) { z = MatMul(x, y) }", {})
    with pytest.raises(UserError, match="the shape of 'x' does not follow from its inputs"):
        graph_work(path, {}, 0)


def test_both_styles_compute_the_same(bundles: dict[str, Path]) -> None:
    """One has its attention in a single operator, the other in standard ones: two ways to the same count."""
    ours, standard = (phases(Bundle.load(bundles[style]), 1, 100, 120) for style in ("nbits", "qdq"))
    for phase in PHASES:
        assert ours[phase].flops == standard[phase].flops > 0
        assert ours[phase].bytes <= standard[phase].bytes
    # A token's products take each weight of the decoder once, and the picture is read once whatever is asked.
    longer = phases(Bundle.load(bundles["nbits"]), 2, 200, 220)
    assert longer["vision"].flops == 2 * ours["vision"].flops
    assert 2 < longer["prefill"].flops / ours["prefill"].flops < 2.5  # attention grows with the square
    assert ours["decode"].flops < longer["decode"].flops < 1.2 * ours["decode"].flops


def made(truth: Fit) -> list[Run]:
    """Runs that take exactly what `truth` says."""
    runs = []
    for name, weight in (("a", 1.0), ("b", 2.0), ("c", 5.0)):
        work = {
            "vision": Work(2e9, 3e7 * weight, 40),
            "prefill": Work(5e8, 1e7 * weight, 150),
            "decode": Work(4e6, 4e6 * weight, 150),
        }
        peak = Peak(100.0, 30.0)
        runs.append(Run(name, 2, work, {phase: truth.ms(phase, work[phase], peak) for phase in PHASES}, peak))
    return runs


def test_the_fit_finds_what_the_runs_were_made_from() -> None:
    truth = Fit({"vision": 0.6, "prefill": 0.5, "decode": 0.8}, 2.5)
    runs = made(truth)
    found = fit(runs)
    assert found.overhead_us == pytest.approx(2.5, rel=1e-3)
    assert found.efficiency == pytest.approx(truth.efficiency, rel=1e-3)
    rows = left_out(runs)
    assert len(rows) == 9
    assert all(abs(row["error"]) < 1e-3 for row in rows)
    assert left_out(runs[:1]) == []
    # A bundle that takes twice as long as it should is off by half, and the roof is never beaten.
    slow = Run("d", 2, runs[0].work, {phase: 2 * ms for phase, ms in runs[0].ms.items()}, runs[0].peak)
    assert [row["error"] for row in left_out([*runs, slow])[-3:]] == pytest.approx([-0.5] * 3, abs=1e-3)
    fast = [Run(run.bundle, 2, run.work, {phase: ms / 10 for phase, ms in run.ms.items()}, run.peak) for run in runs]
    assert max(fit(fast).efficiency.values()) <= 1


def test_published_figures_become_an_estimate() -> None:
    work = made(Fit(dict.fromkeys(PHASES, 1.0), 0.0))[0].work
    half = Fit(dict.fromkeys(PHASES, 0.5), 0.0)
    found = estimate(read_profile("jetson-orin-nano-8gb"), work, half)
    assert found["evidence"] == "estimated"
    assert found["figures"]["vision_ms"] == pytest.approx(2 * 2e9 / 144e6)  # 6 cores x 1.5 GHz x 16, half reached
    assert found["figures"]["decode_tokens_per_s"] == pytest.approx(68e9 / 4e6 / 2)
    lacking = estimate(read_profile("pixel-8"), work, half)
    assert lacking == {"device": "Google Pixel 8", "evidence": "not_run", "reason": "bandwidth_gb_s not published"}


def test_the_probe_reads_and_multiplies() -> None:
    peak = probe(1)
    assert 1 < peak.gflops < 1000
    assert 0.5 < peak.gb_s < 1000


def test_command(bundles: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured, paths = tmp_path / "latency.json", [str(path) for path in bundles.values()]
    argv = ["latency", *paths, "--rounds", "1", "--runs", "1", "--image", str(PAGE), "--out", str(measured)]
    assert main([*argv, "--threads", "1"]) == 0
    capsys.readouterr()
    argv = ["estimate", *paths, "--measured", str(measured), "--devices", "jetson-orin-nano-8gb,iphone-16"]
    assert main([*argv, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [row["evidence"] for row in result["rows"]] == ["estimated", "not_run"] * 2
    assert len(result["left_out"]) == 6
    assert all(0 < share <= 1 for share in result["fit"]["efficiency"].values())
    assert main(argv) == 0
    printed = capsys.readouterr().out
    assert "of a bundle left out is off by" in printed
    assert "not_run: bandwidth_gb_s and cpu_gflops not published" in printed
    for bad, said in ((PAGE, "is not what pulse-bench latency --out writes"), (tmp_path / "none", "is not what")):
        assert main(["estimate", *paths, "--measured", str(bad)]) == 2
        assert said in capsys.readouterr().err
    assert main(["estimate", str(tmp_path), "--measured", str(measured)]) == 2
    assert "has no manifest.json, so it is no bundle" in capsys.readouterr().err
    measured.write_text(json.dumps({"rows": []}))
    assert main(argv) == 2
    assert "holds no measured row of these bundles" in capsys.readouterr().err


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_figure_of_a_device_file_has_a_source(path: Path) -> None:
    profile = read_profile(path.stem)
    for name in ("memory_gb", "bandwidth_gb_s", "int8_tops", "cpu_gflops"):
        assert (getattr(profile, name) is None) == (name not in profile.sources)
    assert all("https://" in source for source in profile.sources.values())
    assert profile.memory_gb


GOOD = "name: X\nkind: android\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a", "is no mapping"),
        ("name: [", "is not YAML"),
        ("kind: android", "name must be text"),
        ("name: X\nkind: toaster", "kind must be one of jetson, android, iphone"),
        (GOOD + "colour: red", "colour is not known"),
        (GOOD + "memory_gb: 8", "memory_gb must be {value, source}"),
        (GOOD + "memory_gb: {value: -8, source: a}", "memory_gb must be a number above 0"),
        (GOOD + "memory_gb: {value: true, source: a}", "memory_gb must be a number above 0"),
        (GOOD + "cores: []", "cores need cores_source"),
        (GOOD + "cores: [{name: A, count: 1}]\ncores_source: b", "cores must be a list of {name, count, ghz"),
    ],
)
def test_bad_device_files_are_one_line(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "device.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read_profile(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="is not there; give a path or one of galaxy-s24"):
        read_profile("abacus")
