"""`pulse-bench estimate`: bundles on devices that are not here, from device files and runs of this machine."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.estimate.profile import Profile, names, read_profile
from benchmarks.verbs import Outcome, Verb
from benchmarks.verbs._arguments import page_of, words
from edge_runtime.bundle import Bundle
from edge_runtime.errors import UserError

if TYPE_CHECKING:
    from benchmarks.estimate.roofline import Run


def add_arguments(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    parser.add_argument("bundles", metavar="BUNDLE", nargs="+", help="folder that pulse-export --target onnx wrote")
    parser.add_argument(
        "--measured", type=Path, required=True, metavar="FILE", help="what pulse-bench latency --out wrote of them here"
    )
    parser.add_argument(
        "--devices",
        type=words,
        default=names(),
        metavar="D,D",
        help="device files, by path or name (default: all of the project's)",
    )
    parser.add_argument("--image", type=Path, metavar="FILE", help="the page that was measured (default: latency's)")


def run(args: argparse.Namespace) -> Outcome:
    """Fit, report the fit's error, estimate; returns the JSON and the text.

    Raises UserError for a file that latency did not write, or one without rows of these bundles.
    """
    from benchmarks.estimate.roofline import runs_of

    profiles = [read_profile(name) for name in args.devices]
    picture = page_of(args.image)
    try:
        rows = json.loads(args.measured.read_text(encoding="utf-8"))["rows"]
        runs = runs_of(rows, [Bundle.load(bundle) for bundle in args.bundles], picture)
    except UserError:  # of a bundle; it is a ValueError too
        raise
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f"{args.measured}: is not what pulse-bench latency --out writes; measure with it first"
        ) from None
    if not runs:
        raise UserError(
            f"{args.measured}: holds no measured row of these bundles; measure them with pulse-bench latency"
        )
    result = estimates(runs, profiles)
    return result, as_text(result)


def estimates(runs: Sequence[Run], profiles: Sequence[Profile]) -> dict[str, Any]:
    """Fit, its error on bundles left out of it, and a row a bundle and device file."""
    from benchmarks.estimate.roofline import estimate, fit, left_out

    fitted, errors = fit(runs), left_out(runs)
    work = {each.bundle: each.work for each in runs}
    rows = [{"bundle": bundle, **estimate(profile, work[bundle], fitted)} for bundle in work for profile in profiles]
    return {
        "fit": {**asdict(fitted), "runs": len(runs)},
        "peaks": {str(each.threads): asdict(each.peak) for each in runs},
        "left_out": errors,
        "median_error": None if not errors else median([abs(row["error"]) for row in errors]),
        "rows": rows,
    }


def as_text(result: dict[str, Any]) -> str:
    """The fit with its errors, then a table of estimates; what lacks figures says not_run."""
    from benchmarks.estimate.roofline import PHASES

    fitted = result["fit"]
    reached = ", ".join(f"{phase} {share:.0%}" for phase, share in fitted["efficiency"].items())
    lines = [f"fitted to {fitted['runs']} runs here: of the roof {reached}; {fitted['overhead_us']:.1f} us an operator"]
    if result["left_out"]:
        for phase in PHASES:
            errors = [abs(row["error"]) for row in result["left_out"] if row["phase"] == phase]
            lines.append(f"  {phase:8} of a bundle left out is off by {median(errors):.0%}, at most {max(errors):.0%}")
    else:
        lines.append("  error not_run: it takes two bundles, one to fit and one to foretell")
    lines.append(f"{'estimated':40}{'bundle':22}{'vision ms':>10}{'prefill ms':>11}{'tokens/s':>10}")
    for row in result["rows"]:
        head = f"{row['device']:40}{row['bundle']:22}"
        if row["evidence"] == "not_run":
            lines.append(f"{head}  not_run: {row['reason']}")
        else:
            f = row["figures"]
            lines.append(f"{head}{f['vision_ms']:10.1f}{f['prefill_ms']:11.1f}{f['decode_tokens_per_s']:10.1f}")
    return "\n".join(lines)


VERB = Verb(
    "what devices that are not here would take, from published figures; estimated, not measured", add_arguments, run
)
