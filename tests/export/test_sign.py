"""pulse-export --sign: signs with keys that openssl makes, and refuses others before any work."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from edge_runtime.bundle import Bundle
from edge_runtime.signature import SIGNATURE
from export.cli import main
from export.verify_cli import main as verify
from pulse.checkpoint.checkpoint import Checkpoint
from tests.exporting import without_weights


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Made by the commands of the README."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    folder = tmp_path_factory.mktemp("keys")
    private, public = folder / "key.pem", folder / "public.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    return private, public


def test_exported_signed_and_verified(
    keys: tuple[Path, Path], checkpoint: Checkpoint, pages: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    onnx = [str(checkpoint.folder), "--target", "onnx", "--out", str(out)]
    assert main([*onnx, "--pages", str(pages[0].parent), "--sign", str(keys[0])]) == 0
    assert Bundle.load(out, keys[1]).folder == out
    arguments = [str(out), "--model", str(checkpoint.folder), "--pages", str(pages[0].parent)]
    assert verify([*arguments, "--require-signature", str(keys[1])]) == 0
    (out / SIGNATURE).write_bytes(bytes(64))
    assert verify([*arguments, "--require-signature", str(keys[1])]) == 2


def test_keys_that_cannot_sign_are_refused_before_any_work(
    keys: tuple[Path, Path],
    checkpoint: Checkpoint,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    weightless = without_weights(checkpoint, tmp_path)  # so any work would fail otherwise
    locked = tmp_path / "locked.pem"
    subprocess.run(["openssl", "pkey", "-in", keys[0], "-aes256", "-passout", "pass:x", "-out", locked], check=True)
    cases = {
        keys[1]: "is no Ed25519 private key in PEM; make one with openssl genpkey",
        locked: "is encrypted; decrypt it first",
        tmp_path / "absent": "cannot be read",
    }
    for key, reason in cases.items():
        assert main([str(weightless), "--target", "onnx", "--out", str(tmp_path / "out"), "--sign", str(key)]) == 2
        assert reason in capsys.readouterr().err
        assert not (tmp_path / "out").exists()
