"""Reads the nine subsets as they are published: Parquet files with the pictures inside, or JSON beside its pictures.

Rows have id, image_path, image and conversations. The values of ecgqa-test are lists of single characters there, and
arena's turns are {"question", "answer"} instead of {"from", "value"}.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from benchmarks.task import Asked
from benchmarks.tasks._ecgbench.parsing import joined
from benchmarks.tasks._ecgbench.subset import Subset
from edge_runtime.errors import UserError, shorten
from pulse.instruct.questions import Turn

_IMAGE = "<image>"
_BATCH = 16  # rows held at once: each has a picture of a megabyte or two


def files_of(subset: Subset, data: Path) -> list[Path]:
    """The subset's Parquet files, or its one JSON file, under data/SUBSET or else data itself, in their order.

    Raises UserError when there are none, or several JSON files of which none has the subset's name.
    """
    folder = data / subset.name if (data / subset.name).is_dir() else data
    if found := sorted(folder.rglob("*.parquet")):
        return found
    listed = [folder / f"{subset.name}.json"]
    if not listed[0].is_file():
        listed = sorted(folder.glob("*.json"))
    if len(listed) != 1:
        raise UserError(
            f"{folder}: holds {'no' if not listed else 'several'} Parquet or JSON files; give --data the folder of "
            f"{subset.name} from ECGBench, or the one above it"
        )
    return listed


def record_of(row_id: str) -> str:
    """ "ptb-xl-03215" of "ptb-xl-03215-q_0": the ids tell that several questions are about one ECG, not whose it is."""
    return re.sub(r"-q_\d+$", "", row_id)


def rows(subset: Subset, data: Path, files: Sequence[Path] | None = None) -> Iterator[Asked]:
    """The rows in their order, pictures read one batch at a time; files: what files_of found, if it was called.

    Raises UserError for a row that is none.
    """
    for path in files or files_of(subset, data):
        for number, row in enumerate(_from_parquet(path) if path.suffix == ".parquet" else _from_json(path)):
            try:
                turns = _turns(row.get("conversations", row.get("conversation")))
                name = str(row["id"])
                picture = _picture(row, path.parent, data)
                asked = Asked(name, picture, turns, record_of(name), subset.findings)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise UserError(
                    f"{path}: row {number} is none of ECGBench ({error}); download the file again"
                ) from None
            yield asked


def _from_parquet(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(_BATCH):
                yield from batch.to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        why = str(error).splitlines()[0]
        raise UserError(f"{path}: cannot be read as Parquet ({why}); download the file again") from None


def _from_json(path: Path) -> list[dict[str, Any]]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error}); download the file again") from None
    if not isinstance(entries, list):
        raise UserError(f"{path}: holds no list of rows; download the file again")
    return entries


def _turns(column: Any) -> tuple[Turn, ...]:
    said: Sequence[Mapping[str, Any]] = json.loads(column) if isinstance(column, str) else column
    if said and "question" in said[0]:
        pairs = [(turn["question"], turn["answer"]) for turn in said]
    else:
        if [turn["from"] for turn in said] != ["human", "gpt"] * (len(said) // 2):
            raise ValueError("its turns do not go human, gpt")
        pairs = [(said[k]["value"], said[k + 1]["value"]) for k in range(0, len(said), 2)]
    if not pairs:
        raise ValueError("it has no turns")
    return tuple(Turn(joined(q).replace(_IMAGE, "").strip(), joined(a).strip()) for q, a in pairs)


def _picture(row: Mapping[str, Any], *folders: Path) -> str | bytes:
    """The bytes in the row, or the path of the file that it names, which lies below one of the folders."""
    image = row.get("image")
    if isinstance(image, Mapping) and image.get("bytes"):
        return bytes(image["bytes"])
    if isinstance(image, bytes):
        return image
    name = image if isinstance(image, str) else row["image_path"]
    for folder in folders:
        if (folder / name).is_file():
            return str(folder / name)
    raise ValueError(f"its picture {shorten(name)} is not there")
