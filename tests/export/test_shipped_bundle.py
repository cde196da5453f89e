"""The bundle in edge_runtime/nano is what the shipped checkpoint exports to today; `make nano` writes it anew."""

from __future__ import annotations

import json
from pathlib import Path

from edge_runtime.bundle import Bundle
from pulse.checkpoint.checkpoint import Checkpoint
from tests.exporting import export

PAGE = Path(__file__).parents[2] / "pulse" / "ecg" / "examples" / "b-normal.png"
# What tells when and with what a bundle was made, and the files that say so.
MADE, ABOUT = ("created", "tools", "files", "sha256"), ("certificate.json", "memory.json")


def said(folder: Path) -> dict[str, object]:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return {key: value for key, value in manifest.items() if key not in MADE}


def test_the_shipped_bundle_is_a_fresh_export_of_the_checkpoint(tmp_path: Path) -> None:
    shipped = Bundle.load("pulse-nano")
    certificate, out = export(Checkpoint.open("pulse-nano"), "onnx", "int4", tmp_path / "nano", [PAGE])
    assert certificate.status == "pass"
    fresh = Bundle.load(out)
    assert said(shipped.folder) == said(fresh.folder)
    ours, theirs = (
        {name: digest for name, digest in bundle.manifest.files.items() if name not in ABOUT}
        for bundle in (shipped, fresh)
    )
    assert ours == theirs
    assert json.loads((shipped.folder / "certificate.json").read_text(encoding="utf-8"))["status"] == "pass"
