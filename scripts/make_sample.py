"""Pack benchmarks/sample anew: one labelled record each of so many patients of PTB-XL's fold 9, drawn by a fixed seed.

python scripts/make_sample.py PTBXL_DIR 150 benchmarks/sample/ptbxl-fold9-150.tar.xz
"""

from __future__ import annotations

import csv
import io
import random
import sys
import tarfile
from pathlib import Path

from pulse.ecg.ptbxl import PtbXl, superclasses

TABLE, COLUMN = "ptbxl_database.csv", "filename_lr"


def main(source: Path, count: int, out: Path) -> None:
    database = PtbXl(source)
    of_patient: dict[int, list[int]] = {}
    for ecg_id in database.ids([9]):
        if superclasses(database.scp_codes(ecg_id)):
            of_patient.setdefault(database.about(ecg_id)["patient_id"], []).append(ecg_id)
    draw = random.Random(0)
    chosen = {draw.choice(of_patient[patient]) for patient in draw.sample(sorted(of_patient), count)}
    with (source / TABLE).open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        kept = [row for row in rows if int(row["ecg_id"]) in chosen]
        table = io.StringIO()
        writer = csv.DictWriter(table, rows.fieldnames or [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(kept)
    with tarfile.open(out, "w:xz", preset=9) as archive:
        _add(archive, TABLE, table.getvalue().encode())
        for name in ("scp_statements.csv", *(row[COLUMN] + end for row in kept for end in (".hea", ".dat"))):
            _add(archive, name, (source / name).read_bytes())


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)  # no owner and no time: the same records give the same archive
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
