"""Target "coreai": Apple's own runtime, on this CPU, says what torch says, from the checkpoint's own integers."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_runtime.bundle import Bundle
from edge_runtime.engines import open_engine
from edge_runtime.errors import CannotRunHere, UserError
from export.certificate.bundle import reference_of
from export.certificate.certify import Certificate
from export.target import find
from export.targets import coreai
from pulse.checkpoint.checkpoint import Checkpoint
from quantize.layers import IntLinear
from quantize.load import load_model
from tests.export.conftest import relative
from tests.exporting import export

Exported = tuple[Certificate, Path]


@pytest.fixture(scope="module")
def made(checkpoint: Checkpoint, pages: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Exported:
    try:
        import coreai_torch  # noqa: F401
    except ImportError:
        if os.environ.get("CI"):
            raise
        pytest.skip("no Core AI here: pip install 'pulse-edge[coreai]'")
    return export(checkpoint, "coreai", "int4", tmp_path_factory.mktemp("coreai") / "tiny-coreai", pages[:1])


@pytest.fixture(scope="module")
def apples(made: Exported) -> Bundle:
    return Bundle.load(made[1])


def test_it_is_certified_on_apples_runtime(made: Exported) -> None:
    certificate, _ = made
    assert certificate.status == "pass", certificate.as_text()
    assert certificate.ran_by == "Apple's Core AI on this machine's CPU; Neural Engine and GPU not_run"
    # Were the differences 0, torch would have been compared with itself.
    errors = {stage.stage: stage.error for stage in certificate.stages}
    assert 0 < (errors["vision_features"] or 0) < 1e-5
    assert any("coreai-torch#115" in warning for warning in certificate.warnings)


def test_its_integers_are_the_checkpoints_own(apples: Bundle, checkpoint: Checkpoint) -> None:
    """Two to a byte, in two's complement, the first in the low half."""
    data = (apples.path("decoder") / "main.mlirb").read_bytes()
    layers = [m for m in load_model(checkpoint, "int4").language_model.modules() if isinstance(m, IntLinear)]
    assert len(layers) == 14
    for layer in layers:
        codes = layer.int_weight.codes.numpy().astype(np.uint8) & 15
        assert (codes[:, 0::2] | codes[:, 1::2] << 4).tobytes() in data


def test_a_conversation_goes_on_and_back(apples: Bundle, checkpoint: Checkpoint) -> None:
    """One token, several, another branch of the same prefix: all as torch has them."""
    engine, reference = open_engine(apples), reference_of(apples, checkpoint)
    embeds = reference.embed(list(range(20, 60)))
    _, ours = engine.decode(embeds, engine.empty_cache())
    _, theirs = reference.decode(embeds, reference.empty_cache())
    for count in (1, 3, 1):
        got, want = engine.decode(embeds[:count], ours)[0], reference.decode(embeds[:count], theirs)[0]
        assert relative(got, want) < 1e-4
    with pytest.raises(UserError, match="260 positions do not fit the model's 256"):
        engine.decode(np.repeat(embeds, 6, axis=0)[:220], ours)


def test_the_readme_has_the_swift_that_loads_it(apples: Bundle) -> None:
    text = (apples.folder / "README.md").read_text()
    for line in (
        "AIModel(contentsOf:",
        'loadFunction(named: "main")',
        '"past_" + name',
        "Neural Engine and GPU: not_run",
    ):
        assert line in text


def test_an_asset_of_another_kind_is_one_line(apples: Bundle, tmp_path: Path) -> None:
    shutil.copytree(apples.folder, tmp_path / "other")
    (tmp_path / "other" / "vision.aimodel" / "metadata.json").write_text("{}")
    with pytest.raises(UserError, match=r"vision.aimodel: Core AI cannot load it .*export the bundle again"):
        open_engine(Bundle(tmp_path / "other", apples.manifest))


def test_without_the_extra(apples: Bundle, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "coreai.authoring", None)
    with pytest.raises(CannotRunHere, match=r"pip install 'pulse-edge\[coreai\]'"):
        open_engine(apples)
    monkeypatch.setattr(coreai.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        UserError, match=r"needs coreai-torch, which is not installed; pip install 'pulse-edge\[coreai\]'"
    ):
        export(checkpoint, "coreai", "int4", Path("never"))


def test_nf4_is_refused(checkpoint: Checkpoint) -> None:
    with pytest.raises(UserError, match="nf4 weights have no form in Core AI here; use --weights int4"):
        export(checkpoint, find("coreai"), "nf4", Path("never"))


class Ends(nn.Module):
    """A graph that ends in one operator."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        match self.kind:
            case "argmax":
                return x.argmax(-1)
            case "topk":
                return torch.topk(x, 2).values
            case "pool":
                return F.avg_pool2d(x, 2, ceil_mode=True)
            case "padded":
                return F.avg_pool2d(x, 2, 2, 1)
            case "half":
                return x.half() @ x.half().transpose(-1, -2)
        return x + 1


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("argmax", "#116"),
        ("topk", "#115"),
        ("pool", "#73"),
        ("padded", "#73"),
        ("half", "#115"),
    ],
)
def test_silent_faults_are_named(kind: str, said: str) -> None:
    from export.targets.coreai.lint import check_program

    x = (torch.zeros(1, 2, 5, 7),)
    check_program(torch.export.export(Ends("none"), x).run_decompositions({}))
    with pytest.raises(UserError, match=said):
        check_program(torch.export.export(Ends(kind), x).run_decompositions({}))


@pytest.mark.parametrize(
    "given",
    [
        {"kernel": [3, 3], "ceil_mode": True},
        {"kernel": [2, 3], "stride": [2, 1], "padding": [1, 1]},
        {"kernel": [2, 2], "stride": [2, 2]},
    ],
)
def test_a_pool_keeps_its_windows(given: dict[str, list[int]]) -> None:
    from export.targets.coreai.pools import POOL, pool_with_its_windows

    x = torch.randn(1, 2, 12, 17)
    stride, padding = given.get("stride", []), given.get("padding", [0, 0])
    want = POOL(x, given["kernel"], stride, padding, given.get("ceil_mode", False), False)
    torch.testing.assert_close(pool_with_its_windows(x, **given, count_include_pad=False), want)
    assert pool_with_its_windows(x, given["kernel"], count_include_pad=True) is NotImplemented
