"""`pulse-bench latency`: load, first token, decode, memory and energy of bundles on a device, with their spread.

Every round is a fresh process on the device, which opens the bundle, answers once cold and then `runs` times warm. All
bundles and settings take their turn in each round, so that a machine that slows down slows all of them.
"""

from __future__ import annotations

import argparse
import csv
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.devices import DEVICES, Device, open_device
from benchmarks.metrics.spread import Figure, figure
from benchmarks.verbs import Outcome, Verb
from benchmarks.verbs._arguments import count, counts, page_of, words
from benchmarks.verbs._output import check_writable
from edge_runtime.bundle import Bundle
from edge_runtime.errors import UserError

# What is printed, in the order in which it happens: key, title, unit.
ROWS = (
    ("start_ms", "start to first token, cold", "ms"),
    ("open_ms", "check and load the bundle", "ms"),
    ("preprocess_ms", "picture to pixels", "ms"),
    ("vision_ms", "vision tower", "ms"),
    ("prefill_ms", "prefill", "ms"),
    ("first_token_ms", "picture to first token", "ms"),
    ("decode_tokens_per_s", "decode", "tokens/s"),
    ("findings_ms", "findings", "ms"),
    ("total_ms", "picture to whole report", "ms"),
    ("peak_mb", "peak memory of the process", "MB"),
    ("joules", "energy of a report", "J"),
)
HIGHER_IS_BETTER = ("decode_tokens_per_s",)


@dataclass(frozen=True)
class Setting:
    """How a bundle is run; None leaves a choice to the runtime. context: positions before the answer. tiles: of a
    page at most."""

    threads: int | None = None
    context: int | None = None
    provider: str | None = None
    tiles: int | None = None

    def options(self) -> list[str]:
        """As edge_runtime.measure takes them."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        return [word for name, value in given.items() for word in (f"--{name}", str(value))]

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in asdict(self).items() if value is not None) or "default"


def measure(
    device: Device,
    bundles: Sequence[Bundle],
    picture: Path,
    settings: Sequence[Setting] = (Setting(),),
    rounds: int = 3,
    runs: int = 5,
    progress: Callable[[Sequence[Any]], Iterator[Any]] = iter,
) -> list[dict[str, Any]]:
    """One row a bundle and setting: bundle, setting, evidence, figures (ROWS) and the answer's size.

    A bundle that the device cannot run gets the evidence not_run, with the reason, and no figures; an emulated or
    simulated one has none either, but its answer.
    """
    from benchmarks.subjects.subject import about_bundle

    abouts = {bundle.folder: about_bundle(bundle) for bundle in bundles}
    cases = list(itertools.product(abouts, settings))
    taken: dict[tuple[Path, Setting], list[dict[str, Any]]] = {case: [] for case in cases}
    refused: dict[tuple[Path, Setting], str] = {}
    for bundle, setting in progress([case for _ in range(rounds) for case in cases]):
        if (bundle, setting) not in refused:
            options = ["--runs", str(runs), *setting.options()]
            try:
                taken[bundle, setting].append(device.measure(bundle, picture, options))
            except UserError as error:
                refused[bundle, setting] = str(error)
    rows = []
    for bundle, setting in cases:
        row: dict[str, Any] = {"bundle": abouts[bundle], "setting": asdict(setting)}
        if reason := refused.get((bundle, setting)):
            rows.append({**row, "evidence": "not_run", "reason": reason})
        elif device.evidence != "measured":
            rows.append({**row, "evidence": device.evidence, "answer": taken[bundle, setting][0]})
        else:
            rows.append({**row, "evidence": device.evidence, **summary(taken[bundle, setting])})
    return rows


def summary(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Figures of one bundle and setting, from what edge_runtime.measure printed in each round."""

    def column(key: str) -> Figure | None:
        rounds = [_readings(result, key) for result in results]
        return None if None in rounds else figure([each for each in rounds if each is not None])

    sizes = {key: results[0].get(key) for key in ("prompt_positions", "image_positions", "tokens")}
    return {"figures": {key: column(key) for key, _, _ in ROWS}, **sizes}


def _readings(result: dict[str, Any], key: str) -> list[float] | None:
    """One of ROWS in one process; None where the device does not tell it, as a farm or a missing counter."""
    if key in result["warm"]:
        return list(result["warm"][key])
    if key == "start_ms" and "cold" in result:
        # The app's window starts before anything is read: it has no such moment.
        return (
            None
            if result["import_ms"] is None
            else [result["import_ms"] + result["open_ms"] + result["cold"]["first_token_ms"]]
        )
    if key == "peak_mb" and "peak_bytes" in result:
        return [result["peak_bytes"] / 1e6]
    return None if result.get(key) is None else [result[key]]


def as_text(rows: Sequence[dict[str, Any]]) -> str:
    """A table for each row."""
    blocks = []
    for row in rows:
        bundle, setting = row["bundle"], Setting(**row["setting"])
        head = (
            f"{bundle['folder']} ({bundle['target']}, {bundle['weights']}, {bundle['bytes'] / 1e6:.1f} MB; {setting})"
        )
        if row["evidence"] == "not_run":
            blocks.append(f"{head}\n  not_run: {row['reason']}")
            continue
        if row["evidence"] in ("emulated", "simulated"):
            tokens, by = row["answer"]["tokens"], row["evidence"].replace("ed", "or")
            blocks.append(f"{head}: {row['evidence']}\n  an answer of {tokens} tokens; times would be the {by}'s own")
            continue
        lines = [f"{head}: {row['evidence']}", f"  {'':30}  median   95 % interval         min       max"]
        for key, title, unit in ROWS:
            f = row["figures"][key]
            if f is None:
                lines.append(f"  {title:30}       -   not told by this device")
                continue
            low, high = f["interval"]
            lines.append(
                f"  {title:30}{f['median']:8.1f}{low:9.1f} to{high:8.1f}{f['min']:10.1f}{f['max']:10.1f}  {unit}"
            )
        if row["image_positions"] is not None:
            lines.append(
                f"  {row['prompt_positions']} positions before the answer, {row['image_positions']} of them the page"
            )
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """One line a row and figure; what was not run, emulated or simulated has one line without numbers."""
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(
            [
                "bundle",
                "target",
                "weights",
                "bytes",
                "sha256",
                "threads",
                "context",
                "provider",
                "tiles",
                "evidence",
                "figure",
            ]
            + ["unit", "median", "low", "high", "min", "max"]
        )
        for row in rows:
            bundle = [row["bundle"][key] for key in ("folder", "target", "weights", "bytes", "sha256")]
            head = [*bundle, *row["setting"].values(), row["evidence"]]
            if "figures" not in row:
                out.writerow(head)
            for key, _, unit in ROWS:
                f = row.get("figures", {}).get(key)
                if f is not None:
                    out.writerow([*head, key, unit, f["median"], *f["interval"], f["min"], f["max"]])


def add_arguments(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    parser.add_argument("bundles", metavar="BUNDLE", nargs="+", help="pulse-nano, or folders that pulse-export wrote")
    parser.add_argument(
        "--device",
        default="local",
        metavar="D",
        help=f"local or KIND://ADDRESS, KIND one of {', '.join(DEVICES.names())} (%(default)s)",
    )
    parser.add_argument(
        "--image", type=Path, metavar="FILE", help="picture of an ECG page (default: one of the project's)"
    )
    parser.add_argument("--threads", type=counts, default=(None,), metavar="N,N", help="(default: every physical core)")
    parser.add_argument("--context", type=counts, default=(None,), metavar="N,N", help="positions before the answer")
    parser.add_argument(
        "--provider", type=words, default=(None,), metavar="P,P", help="ONNX Runtime's: cpu, tensorrt ..."
    )
    parser.add_argument("--tiles", type=counts, default=(None,), metavar="N,N", help="of a page at most, base included")
    parser.add_argument("--rounds", type=count, default=3, metavar="N", help="fresh processes each (%(default)s)")
    parser.add_argument("--runs", type=count, default=5, metavar="N", help="warm readings a process (%(default)s)")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the figures there as CSV")


def run(args: argparse.Namespace) -> Outcome:
    """Measure; returns the JSON and the text. Raises UserError when no bundle could be run."""
    from tqdm import tqdm

    if args.csv:
        check_writable(args.csv)
    settings = [Setting(*each) for each in itertools.product(args.threads, args.context, args.provider, args.tiles)]
    picture = page_of(args.image)
    bundles = [Bundle.load(bundle) for bundle in args.bundles]
    device = open_device(args.device)
    try:
        about = device.about()
        rows = measure(
            device,
            bundles,
            picture,
            settings,
            args.rounds,
            args.runs,
            lambda cases: iter(tqdm(cases, "processes", disable=None)),
        )
    finally:
        device.close()
    if all(row["evidence"] == "not_run" for row in rows):
        raise UserError(rows[0]["reason"])
    if args.csv:
        write_csv(args.csv, rows)
    about = {"device": args.device, "about": about, "image": picture.name, "rounds": args.rounds, "runs": args.runs}
    return {**about, "rows": rows}, as_text(rows)


VERB = Verb("load, first token, decode, memory and energy of bundles on a device", add_arguments, run)
