"""What reading one page costs this device, as raw figures in JSON.

python -m edge_runtime.measure BUNDLE PICTURE [--runs N]

It needs nothing but the runtime, so the same file measures a workstation, a Jetson over ssh and a phone. A process is
measured from its start: the first reading is the cold one, and peak memory is the process's own high-water mark.
"""

from __future__ import annotations

import time

_STARTED = time.perf_counter()  # before the runtime is imported, whose cost is a figure too

# ruff: noqa: E402
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edge_runtime.commandline import Parser
from edge_runtime.engines import simulator_of
from edge_runtime.errors import UserError
from edge_runtime.observation import Observation
from edge_runtime.prefix import Picture
from edge_runtime.preprocess import fewer_tiles
from edge_runtime.session import Session

# Each reading's figures, in the order in which they happen.
FIGURES = (
    "preprocess_ms",
    "vision_ms",
    "prefill_ms",
    "first_token_ms",
    "decode_tokens_per_s",
    "findings_ms",
    "total_ms",
)
_FILLER = " Look at every lead again before you answer."
_RAPL = Path("/sys/class/powercap")


def measure(
    bundle: str | Path,
    picture: str | Path,
    runs: int = 5,
    threads: int | None = None,
    provider: str | None = None,
    context: int | None = None,
    tiles: int | None = None,
    max_new_tokens: int | None = None,
    simulated: bool = False,
) -> dict[str, object]:
    """Read and answer `picture` 1 + `runs` times, greedily.

    context: positions before the answer; the question is made longer by a repeated sentence until it fills them.
    tiles: of a page at most, for a model that cuts pages into tiles. simulated: on a simulator of its chip too.

    Returns import_ms and open_ms; cold and warm (FIGURES -> value, -> one value a run); prompt_positions, tokens,
    token_ids and probabilities of the answer; peak_bytes; joules a warm reading where a counter can be read, else None.
    Raises UserError as Session does, for a bundle that only a simulator runs here unless `simulated`, and when the
    question alone has more positions than `context`.
    """
    opening = time.perf_counter()
    session = Session.open(bundle, threads, provider=provider)
    if (by := simulator_of(session.engine)) and not simulated:
        raise UserError(f"{bundle}: only {by} runs it here; --device simulated://hexagon asks that, without times")
    opened = time.perf_counter()
    if tiles is not None:
        session.inference = replace(session.inference, preprocess=fewer_tiles(session.inference.preprocess, tiles))
    question = session.inference.default_question
    if context is not None:
        question = _fill(session, session.look(picture), question, context)

    cold, page, ids = reading(session, picture, question, max_new_tokens)
    before = energy_used()
    warm = [reading(session, picture, question, max_new_tokens)[0] for _ in range(runs)]
    after = energy_used()
    return {
        "import_ms": 1e3 * (opening - _STARTED),
        "open_ms": 1e3 * (opened - opening),
        "cold": cold,
        "warm": {name: [figures[name] for figures in warm] for name in FIGURES},
        **result(session, question, page, ids),
        "peak_bytes": peak_bytes(),
        "joules": None if before is None or after is None or after < before else (after - before) / 1e6 / runs,
    }


def reading(
    session: Session, picture: Picture, question: str | None = None, max_new_tokens: int | None = None
) -> tuple[dict[str, float], Observation, list[int]]:
    """Look and answer once, greedily; the FIGURES, what was seen, and the answer's tokens."""
    started = time.perf_counter()
    page = session.look(picture)
    answer = page.ask(question, temperature=0, max_new_tokens=max_new_tokens, allow_non_ecg=True).finish()
    total = 1e3 * (time.perf_counter() - started)
    figures = {name: getattr(answer.timing, name) for name in FIGURES[:-1]} | {"total_ms": total}
    return figures, page, answer.token_ids


def result(session: Session, question: str, page: Observation, ids: Sequence[int]) -> dict[str, object]:
    """What was read and answered, beside what it cost."""
    return {
        "prompt_positions": page.positions + len(session.prompt.after_image(question)),
        "image_positions": page.positions,
        "tokens": len(ids),
        "token_ids": list(ids),
        "probabilities": {finding.label: finding.probability for finding in page.findings()},
    }


def peak_bytes() -> int:
    """The most memory this process has had, in bytes."""
    try:
        # Linux's VmHWM starts anew with each program; ru_maxrss would remember the parent.
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    except OSError:
        try:
            import resource
        except ImportError:  # Windows
            import psutil

            return int(psutil.Process().memory_info().peak_wset)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def energy_used(root: Path = _RAPL) -> int | None:
    """Microjoules that the processor packages have used since some point; None where there is no readable counter.

    The counters of RAPL, as Linux's powercap shows them (Documentation/power/powercap); intel-rapl:0 is a package and
    intel-rapl:0:0 a part of it, which would count twice.
    """
    packages = [p for p in root.glob("*-rapl:*") if p.name.count(":") == 1]
    try:
        return sum(int((package / "energy_uj").read_text()) for package in packages) if packages else None
    except OSError:  # for root only, since it can be read as a side channel
        return None


def _fill(session: Session, page: Observation, question: str, context: int) -> str:
    """The question with the filler repeated as often as `context` positions hold."""

    def positions(text: str) -> int:
        return page.positions + len(session.prompt.after_image(text))

    if positions(question) > context:
        raise UserError(f"context {context}: page and question take {positions(question)} positions; give more")
    while positions(question + _FILLER) <= context:
        question += _FILLER
    return question


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0 done, 2 wrong use."""
    parser = Parser(prog="python -m edge_runtime.measure", description="Measure a bundle here.")
    parser.add_argument("bundle", metavar="BUNDLE")
    parser.add_argument("picture", metavar="PICTURE")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="readings after the cold one (%(default)s)")
    parser.add_argument("--threads", type=int, metavar="N")
    parser.add_argument("--provider", metavar="P")
    parser.add_argument("--context", type=int, metavar="N", help="positions before the answer")
    parser.add_argument("--tiles", type=int, metavar="N", help="of a page at most")
    parser.add_argument("--max-new-tokens", type=int, metavar="N")
    parser.add_argument("--simulated", action="store_true", help="where a simulator of the bundle's chip runs it")
    try:
        print(json.dumps(measure(**vars(parser.parse_args(argv)))))
        return 0
    except UserError as error:
        print(f"edge_runtime.measure: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
