"""--simulated of the verbs that ask models: a simulator takes a minute for a page, so nobody gets it unasked."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmarks.sample import data_folder
from benchmarks.tasks import TASKS
from benchmarks.verbs._tasks import data_of
from edge_runtime.bundle import Bundle
from edge_runtime.errors import UserError
from export.simulated import check_simulated, simulators
from export.target import find
from export.tosa.environment import open_environment

if TYPE_CHECKING:
    from benchmarks.subjects.subject import Subject
    from pulse.checkpoint.checkpoint import Checkpoint

TOSA = "tosa"


def add_simulated(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--simulated", choices=sorted(simulators()), help="ask bundles for this chip on its simulator")


def add_simulated_or_tosa(parser: argparse.ArgumentParser) -> None:
    """The same, with TOSA, which takes checkpoints and all of their pages at once."""
    choices = sorted([*simulators(), TOSA])
    parser.add_argument(
        "--simulated", choices=choices, help="ask bundles for this chip on its simulator; tosa: checkpoints' towers"
    )


def on_tosa(subjects: Sequence[Subject], args: argparse.Namespace) -> list[Subject]:
    """The reference as it is, then the others with towers of Arm's reference model. Raises UserError for a bundle among
    them, and where its tools are not (docs/tosa.md)."""
    from benchmarks.subjects.tosa import OnTosa

    reference, *others = subjects
    checkpoints = [_checkpoint(subject) for subject in others]
    environment, task = open_environment(), TASKS.load(args.task)
    with data_folder(data_of(task, args)) as folder:
        asked = list(task.ask(folder, args).asked)
        return [reference, *(OnTosa.compute(checkpoint, asked, environment) for checkpoint in checkpoints)]


def _checkpoint(subject: Subject) -> Checkpoint:
    if isinstance(subject.opened, Bundle):
        raise UserError(f"{subject.folder}: is a bundle, and TOSA simulates checkpoints; name one, such as pulse-nano")
    return subject.opened


def check_subjects(subjects: Sequence[Subject], wanted: str | None) -> None:
    """Raises UserError when a bundle would be simulated and nobody asked for it, or the other way round."""
    simulated = [s.opened for s in subjects if isinstance(s.opened, Bundle) and s.evidence == "simulated"]
    if wanted is not None and not simulated:
        raise UserError(f"--simulated {wanted}: none of the bundles is for a chip that is simulated; leave it out")
    if wanted is not None:
        check_simulated(wanted, simulated)
    if wanted is None and simulated:
        raise UserError(
            f"{simulated[0].folder}: its chip is not here, and its simulator takes a minute a page; --simulated "
            f"{find(simulated[0].manifest.target).simulator} asks it, --limit N fewer pages"
        )
