"""The output folder: parts in Parquet, each written whole, and a recipe that a run goes on with."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from edge_runtime.errors import UserError
from edge_runtime.files import replacing
from pulse.archive.reading import Row
from pulse.files.resume import check_same, write_recipe

_PART = "part-{:05d}.parquet"
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


class Parts:
    """The parts in `out`. about: of the model, kept in every part's metadata as text. Raises UserError when the folder
    holds a run with other settings, a damaged part, or cannot be written to."""

    def __init__(self, out: Path, settings: Mapping[str, Any], about: Mapping[str, str]) -> None:
        self.out = out
        self._schema = SCHEMA.with_metadata({f"pulse.{key}": value for key, value in about.items()})
        try:
            out.mkdir(parents=True, exist_ok=True)
            check_same(out, settings)
            write_recipe(out, settings)
        except OSError as error:
            raise UserError(f"{out}: cannot write there ({error.strerror}); give another --out") from None
        self.done = self._inputs()

    def write(self, rows: Sequence[Row]) -> Path:
        """Another part. Raises OSError."""
        columns = [asdict(row) for row in rows]
        for column in columns:
            for key in ("findings", "measurements"):
                column[key] = list(column[key].items())
        path = next(path for path in self._paths() if not path.exists())
        with replacing(path) as aside:
            pq.write_table(pa.Table.from_pylist(columns, schema=self._schema), aside, compression="zstd")
        self.done.update(row.input for row in rows)
        return path

    def _paths(self) -> Iterable[Path]:
        return (self.out / _PART.format(number) for number in itertools.count())

    def _inputs(self) -> set[str]:
        """Names of the inputs that are in parts already."""
        found: set[str] = set()
        for path in sorted(self.out.glob("part-*.parquet")):
            try:
                found.update(pq.read_table(path, columns=["input"]).column("input").to_pylist())
            except (pa.ArrowInvalid, OSError, KeyError) as error:
                raise UserError(f"{path}: is damaged ({error}); remove it, and its inputs are read again") from None
        return found
