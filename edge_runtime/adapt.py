"""`pulse-adapt`: teach a bundle a new finding from a few marked pages, on the device.

The old artifacts are copied byte for byte; what is new stands in the manifest. LEARNT_CERTIFICATE says what was checked
of it, beside the bundle's own certificate, which goes on to speak of the artifacts.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.bundle import Bundle, sha256_file, write_manifest
from edge_runtime.commandline import Parser, run
from edge_runtime.errors import UserError, shorten
from edge_runtime.files import replacing_folder
from edge_runtime.inference import Calibration, FindingSpec
from edge_runtime.learnt import Background, Fitted, fit, told
from edge_runtime.manifest import MANIFEST
from edge_runtime.named import Names
from edge_runtime.observation import Observation
from edge_runtime.session import Session
from edge_runtime.sign import signer
from edge_runtime.signature import SIGNATURE

LEARNT_CERTIFICATE = "certificate-learnt.json"
_CHECKED_PAGES = 4
_POINT = 0.5


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0 done, 1 an old answer changed (nothing is written), 2 wrong use."""
    return run("pulse-adapt", lambda: _run(_parser().parse_args(argv)))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="pulse-adapt", description="Teach a bundle a new finding from a few marked pages.")
    parser.add_argument("bundle", metavar="BUNDLE", help="pulse-nano, or a folder that pulse-export wrote")
    parser.add_argument("--examples", metavar="CSV", required=True, help="columns file, label: 1 has it, 0 has not")
    parser.add_argument("--label", required=True, help="short name in the table, such as JUNC")
    parser.add_argument("--name", required=True, help='the finding in words, such as "junctional rhythm"')
    parser.add_argument("--question", metavar="TEXT", help='what asks for it (default: "Does this ECG show NAME?")')
    parser.add_argument(
        "--background", metavar="NPZ", help="from pulse-bench fewshot (default: that of the model, if it comes along)"
    )
    parser.add_argument("--sign", metavar="KEY", help="sign the new bundle with this Ed25519 private key (PEM)")
    parser.add_argument("--threads", type=int, metavar="N", help="default: every physical core")
    parser.add_argument("--out", metavar="BUNDLE", required=True, help="the new bundle's folder, which must not exist")
    return parser


def _run(args: argparse.Namespace) -> int:
    out = Path(args.out)
    if out.exists():
        raise UserError(f"{out}: is there already; give another --out")
    sign = None if args.sign is None else signer(Path(args.sign))
    marked = read_examples(Path(args.examples))
    bundle = Bundle.load(args.bundle)
    question = args.question or f"Does this ECG show {args.name}?"
    spec = FindingSpec(args.label.strip(), args.name.strip(), question.strip(), "Yes", "No", (args.name.strip(),))
    _check_new(spec, bundle)
    background = background_of(bundle, None if args.background is None else Path(args.background))
    session = Session.of(bundle, args.threads)
    pages = [_look(session, one) for one in marked]
    fitted = _fitted(background, pages, marked)
    learnt = replace(
        spec,
        learnt=fitted.head,
        calibration=Calibration(point=_POINT, sensitivity=fitted.sensitivity, positives=fitted.head.positives),
    )
    new = Session(
        session.engine,
        replace(session.inference, findings=(*session.inference.findings, learnt)),
        session.tokenizer,
    )
    checked = [_unchanged(session, new, one) for one in marked[:_CHECKED_PAGES]]
    if not all(checked):
        print("pulse-adapt: an old answer changed; nothing was written", file=sys.stderr)
        return 1
    _write(bundle, new, learnt, fitted, marked, out)
    if sign is not None:
        sign(out)
    _tell(bundle, learnt, fitted, out, args.sign)
    return 0


@dataclass(frozen=True)
class Marked:
    """A page's file, and whether it has the finding."""

    file: Path
    present: bool


def read_examples(path: Path) -> list[Marked]:
    """The rows of a CSV with the columns file (from the CSV's own folder on) and label (1 or 0).

    Raises UserError naming the first bad row; one row at least must be marked 1.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as CSV ({error}); give a table with the columns file, label") from None
    if not rows or not {"file", "label"} <= set(rows[0]):
        raise UserError(f"{path}: has no rows under the columns file, label; write them in its first line")
    marked = [_marked(path, number, row) for number, row in enumerate(rows, 2)]
    if len({one.file for one in marked}) < len(marked):
        raise UserError(f"{path}: names a file twice; name each once")
    if not any(one.present for one in marked):
        raise UserError(f"{path}: no row is marked 1; mark at least one page that has the finding")
    return marked


def _marked(path: Path, number: int, row: dict[str, Any]) -> Marked:
    name, label = (str(row[key] or "").strip() for key in ("file", "label"))
    if label not in ("0", "1"):
        raise UserError(f"{path}: line {number}: label must be 1 or 0, not {shorten(label)}")
    file = path.parent / name
    if not name or not file.is_file():
        raise UserError(f"{path}: line {number}: {shorten(name)} is no file beside the table; correct its path")
    return Marked(file, label == "1")


def background_of(bundle: Bundle, given: Path | None) -> Background:
    """The background of the bundle's model: the given file, or one that comes with the package.

    Raises UserError when it is another model's, or none is there.
    """
    source = json.loads((bundle.folder / MANIFEST).read_bytes())["source"].get("sha256")
    files = [given] if given is not None else sorted((Path(__file__).parent / "backgrounds").glob("*.npz"))
    width = bundle.manifest.inference.model.hidden_size
    for file in files:
        found = Background.load(file)
        if source and found.model == source and len(found.mean) == width:
            return found
    what = f"{given}: is the background of another model" if given else f"{bundle.folder}: no background comes with it"
    raise UserError(f"{what}; write one with pulse-bench fewshot BUNDLE --data PTBXL_DIR --background NPZ")


def _check_new(spec: FindingSpec, bundle: Bundle) -> None:
    """Raises UserError for a finding that the bundle has, by label, name or question."""
    if not all((spec.label, spec.name, spec.question)):
        raise UserError("--label, --name and --question must not be blank")
    own = bundle.manifest.inference.findings
    # The guard would take what the model says of its own finding for the new one.
    named = Names({one.label: one.words for one in own})(spec.name)
    same = [one for one in own if one.label == spec.label or one.question == spec.question or one.label in named]
    if same:
        raise UserError(
            f"{spec.label} ({spec.name}): the bundle has {same[0].label} ({same[0].name}) already; give "
            "another --label, --name and --question"
        )


def _look(session: Session, one: Marked) -> Observation:
    page = session.look(one.file)
    if not page.looks_like_ecg:
        raise UserError(f"{one.file}: {page.not_ecg_notice} Leave it out of the examples.")
    return page


def _fitted(background: Background, pages: Sequence[Observation], marked: Sequence[Marked]) -> Fitted:
    features, present = np.stack([page.features for page in pages]), np.array([one.present for one in marked])
    examples = tuple(sha256_file(one.file) for one in marked)
    return fit(background, features[present], features[~present], examples)


def _unchanged(old: Session, new: Session, one: Marked) -> bool:
    """Whether the model's words and the old findings' probabilities are the same, whatever the new finding is."""
    pages = old.look(one.file), new.look(one.file)
    before, after = (page.ask(unconstrained=True, temperature=0.0).finish() for page in pages)
    return before.token_ids == after.token_ids and before.findings == after.findings[: len(before.findings)]


def _write(
    bundle: Bundle, new: Session, learnt: FindingSpec, fitted: Fitted, marked: Sequence[Marked], out: Path
) -> None:
    """The new folder, whole or not at all."""
    data = json.loads((bundle.folder / MANIFEST).read_bytes())
    data["learnt"] = new.inference.to_dict()["learnt"]
    data.pop("sha256", None)
    certificate = {
        "status": "pass",
        "of": {"manifest_sha256": sha256_file(bundle.folder / MANIFEST)},
        "checks": [
            {"stage": "artifacts", "measure": "files whose bytes changed", "error": 0, "status": "pass"},
            {
                "stage": "old_answers",
                "measure": "pages whose words or old probabilities changed",
                "pages": [sha256_file(one.file) for one in marked[:_CHECKED_PAGES]],
                "error": 0,
                "status": "pass",
            },
        ],
        "learnt": {"label": learnt.label, "name": learnt.name, **_judged(fitted)},
    }
    with replacing_folder(out) as aside:
        for name, (digest, _) in bundle.manifest.files.items():
            target = aside / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(bundle.folder / name, target)
            if sha256_file(target) != digest:
                raise UserError(f"{bundle.folder / name}: changed while it was copied; run it again")
        text = json.dumps(certificate, indent=2, ensure_ascii=False) + os.linesep
        (aside / LEARNT_CERTIFICATE).write_text(text, encoding="utf-8")
        write_manifest(aside, data)


def _judged(fitted: Fitted) -> dict[str, Any]:
    """How many of the examples fall on the right side when each is left out; None where one cannot be."""
    head, single = fitted.head, fitted.head.positives == 1
    return {
        "positives": head.positives,
        "negatives": head.negatives,
        "positives_right_when_left_out": None if single else int((fitted.positives >= 0).sum()),
        "negatives_right_when_left_out": int((fitted.negatives < 0).sum()),
    }


def _tell(bundle: Bundle, learnt: FindingSpec, fitted: Fitted, out: Path, key: str | None) -> None:
    judged = _judged(fitted)
    right, wrong = judged["positives_right_when_left_out"], judged["negatives_right_when_left_out"]
    print(f"{out}: {learnt.label}, {told(learnt.name, fitted.head.positives)}; old artifacts and answers unchanged")
    with_it = "one page with it cannot be left out" if right is None else f"{right} of {judged['positives']} with it"
    print(f"left out one by one, on the right side: {with_it}, {wrong} of {judged['negatives']} without it")
    if key is None and (bundle.folder / SIGNATURE).exists():
        print("the old bundle was signed, the new one is not: run it again with --sign KEY", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
