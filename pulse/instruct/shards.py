"""Samples as WebDataset tars, written in parallel: what a shard holds depends on the settings alone.

So a run that was cut off goes on with the shards that are missing, and ends in the same bytes. Unpacked together the
tars are the image folder that ECGInstruct.json, written last, points into.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import webdataset

from edge_runtime.errors import UserError
from edge_runtime.files import replacing
from pulse.ecg.ptbxl import PtbXl
from pulse.files.resume import check_same, write_recipe
from pulse.instruct.items import machine_words
from pulse.instruct.plan import Plan
from pulse.instruct.rewrite import Rewriter
from pulse.instruct.samples import entries, known, page
from pulse.runner import run

LIST = "ECGInstruct.json"
Job = tuple[Path, list[int]]
"""A shard, and the records that are to be in it."""


def write(data: Path, out: Path, plan: Plan, workers: int) -> Iterator[tuple[int, int]]:
    """Write the shards that `out` lacks, and then ECGInstruct.json; yields (shards done, shards in all) as they come.

    Raises UserError when `out` holds a run with other settings or cannot be written, RecordError for bad data.
    """
    database = PtbXl(data)
    ids = database.ids(plan.folds)[: plan.limit or None]
    if not ids:
        raise UserError(f"{data}: folds {', '.join(map(str, plan.folds))} hold no record; give other --folds")
    _begin(out, plan)
    parts = [ids[first : first + plan.per_shard] for first in range(0, len(ids), plan.per_shard)]
    jobs = [(shard_path(out, number), part) for number, part in enumerate(parts)]
    missing = [job for job in jobs if not job[0].exists()]
    done = len(jobs) - len(missing)
    yield done, len(jobs)
    for _ in run(missing, partial(_writer, data, plan), min(workers, len(missing))):
        done += 1
        yield done, len(jobs)
    _write_list(out, [path for path, _ in jobs])


def shard_path(out: Path, number: int) -> Path:
    return out / "shards" / f"ecginstruct-{number:06d}.tar"


def tally(path: Path) -> dict[str, Any]:
    """What an ECGInstruct.json holds: images, conversations, turns by kind, and how many of them were rewritten."""
    made = json.loads(path.read_text(encoding="utf-8"))
    return {
        "images": len({entry["image"] for entry in made}),
        "conversations": len(made),
        "turns": dict(sorted(Counter(kind for entry in made for kind in entry["kinds"]).items())),
        "rewritten": sum(sum(entry.get("rewritten", ())) for entry in made),
    }


def _begin(out: Path, plan: Plan) -> None:
    """A run goes on with the settings that it was begun with."""
    check_same(out, asdict(plan))
    try:
        (out / "shards").mkdir(parents=True, exist_ok=True)
        write_recipe(out, asdict(plan))
    except OSError as error:
        raise UserError(f"{out}: cannot write there ({error.strerror}); give another --out") from None


def _writer(data: Path, plan: Plan) -> Callable[[Job], None]:
    cv2.setNumThreads(0)  # the processes are the parallelism
    return partial(_shard, PtbXl(data), plan)


def _shard(database: PtbXl, plan: Plan, job: Job) -> None:
    path, ids = job
    rewriter = Rewriter(plan.rewrite) if plan.rewrite else None
    # Times and owners are left out of the tar, or no two runs would give the same bytes.
    with (
        replacing(path) as aside,
        aside.open("wb") as file,
        webdataset.TarWriter(file, "", "", encoder=False, mtime=0) as tar,
    ):
        for ecg_id in ids:
            record, rng = database[ecg_id], np.random.default_rng([plan.seed, ecg_id])
            key = f"ptb-xl/{ecg_id:05d}"
            image = page(record, plan.look, rng)
            about = known(record, machine_words(database.sl12(ecg_id), database.sl12_texts))
            samples = entries(f"ptb-xl-{ecg_id:05d}", f"{key}.jpg", about, plan.count, rng, rewriter)
            tar.write({"__key__": key, "jpg": image, "json": json.dumps(samples, ensure_ascii=False).encode()})


def _write_list(out: Path, shards: list[Path]) -> None:
    with replacing(out / LIST) as aside, aside.open("w", encoding="utf-8") as file:
        first = True
        for sample in webdataset.WebDataset([str(path) for path in shards], shardshuffle=False, empty_check=False):
            for entry in json.loads(sample["json"]):
                file.write(("[\n" if first else ",\n") + json.dumps(entry, ensure_ascii=False))
                first = False
        file.write("\n]\n")
