"""The output folder: parts in Parquet, each written whole, and a recipe that a run goes on with."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from edge_runtime.errors import UserError
from pulse.archive.places import Folder
from pulse.archive.reading import Row
from pulse.files.resume import check_text, recipe_text

_RECIPE = "_recipe.json"  # what reads a folder of Parquet files passes over names that begin so
_PART = re.compile(r"part-(\d+)\.parquet")
SCHEMA = pa.schema(
    [
        pa.field("input", pa.string(), nullable=False),
        pa.field("page", pa.int32(), nullable=False),
        pa.field("sha256", pa.string()),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("answer", pa.string()),
        pa.field("refused", pa.bool_(), nullable=False),
        pa.field("error", pa.string()),
        pa.field("is_ecg", pa.float64()),
        pa.field("turns", pa.int8(), nullable=False),
        pa.field("findings", pa.map_(pa.string(), pa.float64())),
        pa.field("named", pa.list_(pa.string())),
        pa.field("measurements", pa.map_(pa.string(), pa.float64())),
        pa.field("repairs", pa.list_(pa.string())),
    ]
)
_MEASURED = pa.field("measured", pa.map_(pa.string(), pa.float64()))  # where that was asked for


class Parts:
    """The parts in `out`. about: of the model, kept in every part's metadata as text. Raises UserError when the folder
    holds a run with other settings, a damaged part, or cannot be written to."""

    def __init__(self, out: Folder, settings: Mapping[str, Any], about: Mapping[str, str]) -> None:
        self._out = out
        schema = SCHEMA.append(_MEASURED) if settings.get("measure") else SCHEMA
        self._schema = schema.with_metadata({f"pulse.{key}": value for key, value in about.items()})
        try:
            out.make()
            names = out.names()
            if _RECIPE in names:
                with out.open(_RECIPE) as file:
                    check_text(file.read().decode(), out.place, settings)
            out.write(_RECIPE, recipe_text(settings).encode())
        # Those of other machines' file systems are not all OSErrors.
        except Exception as error:
            if isinstance(error, UserError):
                raise
            reason = getattr(error, "strerror", None) or error
            raise UserError(f"{out.place}: cannot write there ({reason}); give another --out") from None
        numbers = {int(found[1]): name for name in names if (found := _PART.fullmatch(name))}
        self._number = max(numbers, default=-1) + 1
        self.done = {name for part in numbers.values() for name in self._inputs(part)}

    def write(self, rows: Sequence[Row]) -> None:
        """Another part. Raises OSError."""
        columns = [asdict(row) for row in rows]
        for column in columns:
            for key in ("findings", "measurements", "measured"):
                column[key] = list(column[key].items())
        file = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(columns, schema=self._schema), file, compression="zstd")
        self._out.write(f"part-{self._number:05d}.parquet", file.getvalue())
        self._number += 1
        self.done.update(row.input for row in rows)

    def _inputs(self, part: str) -> list[str]:
        """Names of the inputs that are in a part."""
        try:
            with self._out.open(part) as file:
                names: list[str] = pq.read_table(file, columns=["input"]).column("input").to_pylist()
                return names
        except (pa.ArrowInvalid, OSError, KeyError) as error:
            raise UserError(
                f"{self._out.place}/{part}: is damaged ({error}); remove it, and its inputs are read again"
            ) from None
