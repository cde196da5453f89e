"""Target "qnn": what is exported runs on a simulator of Hexagon as torch says, and nothing of it on the CPU."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_runtime.bundle import Bundle
from edge_runtime.engines.qnn import simulator
from export.certificate.certify import Certificate
from pulse.checkpoint.checkpoint import Checkpoint
from tests.exporting import export

Exported = tuple[Certificate, Path]


@pytest.fixture(scope="module", autouse=True)
def hexagon() -> None:
    if simulator():
        return
    why = "no simulator of Hexagon here: pip install 'pulse-edge[npu]' on x86 Linux"
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture(scope="module")
def made(checkpoint: Checkpoint, pages: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export(
        checkpoint, "qnn", "int4", tmp_path_factory.mktemp("qnn") / "qnn", pages[:1], window=128, soc="sm8650"
    )


@pytest.fixture(scope="module")
def bundle(made: Exported) -> Bundle:
    return Bundle.read(made[1])


def test_it_is_certified_on_the_simulator(made: Exported) -> None:
    certificate, _ = made
    print(certificate.as_text())
    assert certificate.status == "pass"
    assert "simulator of Hexagon" in certificate.ran_by
