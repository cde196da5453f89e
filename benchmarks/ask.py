"""What one question costs a device: each run is a fresh interpreter, as `pulse-ask` is, so nothing is warm.

Peak memory is the process's own high-water mark over that of an interpreter that does nothing.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

from edge_runtime.errors import UserError

# Both print their peak in bytes. Linux's VmHWM starts anew with each program; ru_maxrss would remember the parent.
_PEAK = """
def peak():
    import sys
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    except OSError:
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
"""
_IDLE = _PEAK + "print(peak())"
_ASK = (
    _PEAK
    + """
import dataclasses, json, sys, time
started = time.perf_counter()
from edge_runtime.errors import UserError
from edge_runtime.session import Session
imported = time.perf_counter()
bundle, picture, threads = sys.argv[1:]
try:
    session = Session.open(bundle, int(threads) or None)
    opened = time.perf_counter()
    answer = session.look(picture).ask(anyway=True).finish()
except UserError as error:
    print(json.dumps({"error": str(error)}))
    sys.exit()
result = dataclasses.asdict(answer.timing)
result.update(import_ms=1e3 * (imported - started), open_ms=1e3 * (opened - imported), peak_bytes=peak())
print(json.dumps(result))
"""
)
# What is printed, in the order in which it happens.
ROWS = (
    ("import_ms", "import the runtime", "ms"),
    ("open_ms", "check and load the bundle", "ms"),
    ("preprocess_ms", "picture to pixels", "ms"),
    ("vision_ms", "vision tower", "ms"),
    ("prefill_ms", "prefill", "ms"),
    ("first_token_ms", "picture to first token", "ms"),
    ("decode_tokens_per_s", "decode", "tokens/s"),
    ("findings_ms", "findings", "ms"),
    ("peak_mb", "peak memory over the interpreter's", "MB"),
)


def measure(bundle: Path, picture: Path, runs: int, threads: int = 0) -> dict[str, dict[str, float]]:
    """Median, lowest and highest of each row over `runs` fresh interpreters; threads 0 lets the runtime choose.

    Raises UserError when the runtime refuses the bundle or the picture.
    """
    idle = statistics.median(float(_fresh(_IDLE)) for _ in range(3))
    values: dict[str, list[float]] = {key: [] for key, _, _ in ROWS}
    for _ in range(runs):
        result = json.loads(_fresh(_ASK, str(bundle), str(picture), str(threads)))
        if "error" in result:
            raise UserError(result["error"])
        result["peak_mb"] = (result["peak_bytes"] - idle) / 1e6
        for key, column in values.items():
            column.append(result[key])
    return {key: {"median": statistics.median(v), "min": min(v), "max": max(v)} for key, v in values.items()}


def as_text(result: dict[str, dict[str, float]]) -> str:
    lines = [f"{'':36}  median     min     max"]
    for key, name, unit in ROWS:
        f = result[key]
        lines.append(f"{name:36}{f['median']:8.1f}{f['min']:8.1f}{f['max']:8.1f}  {unit}")
    return "\n".join(lines)


def _fresh(code: str, *argv: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the measured interpreter failed: {done.stderr.strip()}")
    return done.stdout
