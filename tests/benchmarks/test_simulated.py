"""Nobody gets a simulator unasked, nor without one when asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.devices import open_device
from benchmarks.subjects.subject import Subject
from benchmarks.verbs._simulated import check_subjects
from edge_runtime.bundle import Bundle
from edge_runtime.engines.qnn import simulator
from edge_runtime.errors import UserError


def for_hexagon() -> Subject:
    """A bundle that says it is for target qnn; nothing here opens it."""
    bundle = Bundle.read("pulse-nano")
    return Subject(Bundle(Path("nano-qnn"), replace(bundle.manifest, target="qnn")))


@pytest.mark.skipif(not simulator(), reason="no simulator of Hexagon here: pip install 'pulse-edge[npu]' on x86 Linux")
def test_a_simulator_is_asked_for_by_name() -> None:
    with pytest.raises(UserError, match="--simulated hexagon asks it, --limit N fewer pages"):
        check_subjects([for_hexagon()], None)
    check_subjects([Subject.open("pulse-nano"), for_hexagon()], "hexagon")


def test_where_nothing_is_simulated_the_option_is_refused() -> None:
    with pytest.raises(UserError, match="none of the bundles is for a chip that is simulated"):
        check_subjects([Subject.open("pulse-nano")], "hexagon")
    check_subjects([Subject.open("pulse-nano")], None)


def test_a_simulator_that_nobody_knows() -> None:
    with pytest.raises(UserError, match="no simulator of tpu is known; use simulated://hexagon"):
        open_device("simulated://tpu")
