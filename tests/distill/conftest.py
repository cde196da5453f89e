"""A PTB-XL folder of 24 records, made of the project's five: enough for every stage to run."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from distill.dataset_cache import DatasetCache, build_dataset_cache
from distill.recipe import Recipe
from distill.runs import DecoderRun, TowerRun
from distill.students.nano import STUDENT as NANO
from distill.teachers.signal import SignalTeacher
from distill.training_set import TrainingSet, split
from pulse.model.config import Decoder
from pulse.model.towers.conv import ConvVision

FIXTURE = Path(__file__).parents[1] / "data" / "ptbxl"


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "ptbxl"
    folder.mkdir()
    for name in ("records100", "scp_statements.csv", "12slv23ToSNOMED.csv"):
        (folder / name).symlink_to(FIXTURE / name)
    numbers: dict[str, list[int]] = {}
    rows = _rows(FIXTURE / "ptbxl_database.csv")
    copies = []
    for number in range(1, 25):
        row = rows[number % len(rows)]
        numbers.setdefault(row["ecg_id"], []).append(number)
        copies.append({**row, "ecg_id": number, "patient_id": number // 2, "strat_fold": 9 if number > 16 else 1})
    _write(folder / "ptbxl_database.csv", copies)
    statements = _rows(FIXTURE / "12sl_statements.csv")
    _write(
        folder / "12sl_statements.csv",
        [{**row, "ecg_id": number} for row in statements for number in numbers.get(row["ecg_id"], [])],
    )
    return folder


@pytest.fixture(scope="session")
def dataset(data: Path) -> DatasetCache:
    return build_dataset_cache(data, data.parent / "dataset-cache")


def with_dataset(data: Path, run: Path) -> Path:
    """A new run folder that has the dataset cache already (of the fixture `dataset`)."""
    shutil.copytree(data.parent / "dataset-cache", run / "dataset-cache")
    return run


@pytest.fixture(scope="session")
def training_set(dataset: DatasetCache) -> TrainingSet:
    return split(dataset, limit=0, batch=8)


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for sys.path with tiny stand-ins of pulse-small's two packages."""
    from tests.distill.small_parts import write_packages

    return write_packages(tmp_path_factory.mktemp("packages"))


@pytest.fixture
def tiny() -> Recipe:
    return tiny_recipe()


def tiny_recipe() -> Recipe:
    """Two epochs of two steps in each stage, two views, saved after every step."""
    student = replace(
        NANO,
        tower=TowerRun(epochs=2, batch=8, workers=0, save_every_s=0),
        decoder=DecoderRun(epochs=2, batch=8, save_every_s=0),
        vision=ConvVision(channels=(4, 8, 16), blocks=(0, 0, 1), batch_norm=True, pool=8),
        text=Decoder(
            vocab_size=400,
            hidden_size=32,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=16,
            max_position_embeddings=1024,
        ),
    )
    return Recipe(student, (SignalTeacher(epochs=2, batch=4, channels=(4, 8)),))


def changed_student(recipe: Recipe, **changes: Any) -> Recipe:
    return replace(recipe, student=replace(recipe.student, **changes))


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _write(path: Path, rows: list[dict]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
