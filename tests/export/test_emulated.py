"""Parity on ARM's kernels: the real wheels under QEMU on a tiny bundle, and what is said when they differ or fail."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.bundle import Bundle, write_manifest
from edge_runtime.errors import UserError
from export.certificate.emulated import emulate
from export.certificate.stages import STAGES, key, results
from export.certificate.userland import Userland, open_userland, runtime_versions, set_up
from export.verify_cli import main
from pulse.checkpoint.checkpoint import Checkpoint
from tests.exporting import export


@pytest.fixture(scope="module")
def userland() -> Userland:
    try:
        return open_userland()
    except UserError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


def test_it_is_another_processor(userland: Userland) -> None:
    code = "import platform, onnxruntime; print(platform.machine(), onnxruntime.__version__)"
    assert userland.run("-c", code).stdout.split() == ["aarch64", runtime_versions()["onnxruntime"]]


def test_arm_kernels_enter_the_certificate(
    userland: Userland, bundle: Path, checkpoint: Checkpoint, pages: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [str(bundle), "--model", str(checkpoint.folder), "--pages", str(pages[0].parent), "--emulated", "aarch64"]
    assert main([*argv, "--json"]) == 0
    certificate = json.loads(capsys.readouterr().out)["certificates"][str(bundle)]
    emulated = certificate["emulated"]
    assert (certificate["status"], emulated["status"], emulated["evidence"]) == ("pass", "pass", "emulated")
    assert emulated["emulator"].startswith("qemu-aarch64")
    assert emulated["packages"] == runtime_versions()
    assert emulated["pages"] == [page.name for page in pages]
    assert [stage["stage"] for stage in emulated["stages"]] == list(STAGES)
    # Other kernels add in another order: were all errors 0, this machine would have been compared with itself.
    assert 0 < emulated["stages"][1]["error"] < 1e-5


class Elsewhere:
    """A userland whose Python is this one, and whose results are ours but for one stage."""

    def __init__(self, bundle: Bundle, pages: list[Path], stage: str) -> None:
        self.about = {"cpu": "c", "qemu": {"version": "q"}, "python": "p", "wheels": {}}
        self.results = results(bundle, pages)
        self.results[key(stage, pages[1])] = self.results[key(stage, pages[1])] + 1

    def run(self, *argv: str) -> object:
        np.savez(argv[3], **self.results)
        return dataclasses.make_dataclass("Done", [("returncode", int, 0)])()


@pytest.mark.parametrize("stage", STAGES)
def test_another_result_is_found_at_its_stage(stage: str, bundle: Path, pages: list[Path]) -> None:
    loaded = Bundle.load(bundle)
    found = emulate(loaded, Elsewhere(loaded, pages, stage), pages)  # type: ignore[arg-type]
    assert [s.stage for s in found.stages if s.status == "fail"] == [stage]
    assert found.as_json()["status"] == "fail"


def test_a_bundle_that_fails_there_is_a_failure_with_its_reason(
    userland: Userland, bundle: Path, pages: list[Path], tmp_path: Path
) -> None:
    loaded = Bundle.load(bundle)
    copy = tmp_path / "copy"
    shutil.copytree(bundle, copy)
    (copy / "vision.onnx").write_bytes(b"not a graph")
    write_manifest(copy, json.loads((copy / "manifest.json").read_text()))

    class Changed(Userland):
        def run(self, *argv: str):  # type: ignore[no-untyped-def]
            return super().run(*(str(copy) if word == str(bundle) else word for word in argv))

    found = emulate(loaded, Changed(userland.folder, userland.about), pages)
    assert {stage.status for stage in found.stages} == {"fail"}
    assert "vision.onnx: ONNX Runtime" in found.stages[0].reason


def test_what_cannot_be_emulated_is_said(
    tmp_path: Path, bundle: Path, pages: list[Path], checkpoint: Checkpoint
) -> None:
    with pytest.raises(
        UserError, match=r"holds no aarch64 userland; make it with: python -m export\.certificate\.userland"
    ):
        open_userland(tmp_path)
    (tmp_path / "userland.json").write_text(json.dumps({"wheels": {"numpy": "1"}}))
    with pytest.raises(UserError, match="not of the versions that are installed here"):
        open_userland(tmp_path)
    loaded = Bundle.load(bundle)
    with pytest.raises(UserError, match="no pages"):
        emulate(loaded, Userland(tmp_path, {}), [])
    other = dataclasses.replace(loaded, manifest=dataclasses.replace(loaded.manifest, target="coreml"))
    with pytest.raises(UserError, match="only bundles for onnx are emulated"):
        emulate(other, Userland(tmp_path, {}), pages)
    with pytest.raises(UserError, match="only bundles for onnx are emulated"):
        export(checkpoint, "coreml", "int4", tmp_path / "x", pages, userland=Userland(tmp_path, {}))


def test_a_system_without_debians_packages_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="made of Debian's packages, and apt-get is not here; use Debian"):
        set_up(tmp_path / "userland")
    assert not (tmp_path / "userland").exists()


def test_a_package_that_cannot_be_had_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, script in (
        ("apt-get", "echo E: no network >&2; exit 100"),
        ("dpkg", "echo amd64"),
        ("dpkg-deb", "exit 1"),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(UserError, match="apt-get: E: no network; see to it first"):
        set_up(tmp_path / "new" / "userland")
    assert list((tmp_path / "new").iterdir()) == []
