"""app://FILE: what the app's own benchmark wrote on a phone, tablet or desktop, taken into latency and reports.

The app measures with edge_runtime.measure in its one process. Its readings are handed out a few at a time, each once:
a reading that stood in several rounds would make the interval look narrower than it is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.subjects.environment import bundle_digest
from edge_runtime.errors import UserError, shorten

# Readings a round: the app's ten are enough for five rounds.
_A_ROUND = 2


class App:
    """See benchmarks.devices.Device. Raises UserError for a file that the app did not write."""

    evidence = "measured"

    def __init__(self, path: Path) -> None:
        self._name = path.name
        try:
            self._report = json.loads(path.read_text(encoding="utf-8"))
            self._measured, self._bundle = self._report["measured"], self._report["bundle"]
            self._left = min(len(values) for values in self._measured["warm"].values())
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror}); give the file that the app wrote") from None
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise UserError(
                f"{path}: is no report of the app's benchmark ({shorten(str(error))}); give app-....json"
            ) from None
        self._taken = 0

    def about(self) -> dict[str, Any]:
        return {**self._report["environment"], "app": {"longest_frame_ms": self._report["longest_frame_ms"]}}

    def measure(self, bundle: Path, picture: Path, options: Sequence[str]) -> dict[str, Any]:
        """The next readings. Raises UserError for another bundle, other settings, or when none are left."""
        if bundle_digest(bundle) != self._bundle["sha256"]:
            raise UserError(f"{self._name} is of another bundle ({self._bundle['name']}, {self._bundle['target']})")
        if set(options[::2]) - {"--runs"}:
            raise UserError(f"{self._name}: the app measures with its own settings; give none")
        if self._taken + _A_ROUND > self._left:
            rounds = self._left // _A_ROUND
            raise UserError(f"{self._name}: holds readings for {rounds} rounds; give --rounds {rounds} or fewer")
        start, self._taken = self._taken, self._taken + _A_ROUND
        warm = {name: values[start : self._taken] for name, values in self._measured["warm"].items()}
        return {**self._measured, "warm": warm}

    def close(self) -> None:
        """Nothing is held."""


def open_device(address: str) -> App:
    """What the registry calls."""
    return App(Path(address.removeprefix("app://")))
