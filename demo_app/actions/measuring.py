"""The benchmark, and the report that it leaves."""

from __future__ import annotations

import json
import time
from typing import Any

from demo_app import benchmark, settings
from demo_app.actions.core import Core
from demo_app.paths import EXAMPLES
from demo_app.state import Bench
from demo_app.worker import Job
from edge_runtime import image as pictures


class Measuring(Core):
    """This device is measured."""

    def benchmark(self, runs: int = benchmark.RUNS) -> None:
        """Measure with the first example; the JSON goes to reports/ in the data folder."""
        if self.state.model.stage != "ready":
            return
        self.cancel()
        self.state.case = None  # the model will have looked at another page
        self.state.bench = Bench(0, self.state.bench.result, self.state.bench.saved)
        self.show()
        self.frames(True)
        example = min(EXAMPLES.glob("*.jpg"))

        def step(done: int) -> None:
            if self.state.bench.runs is not None:
                self.state.bench.runs = done
                self.follow()

        def work(job: Job) -> None:
            page = pictures.load(example)
            measured = benchmark.measure(self.reader, page, job, lambda done: job.post(lambda: step(done)), runs)
            job.post(lambda: done(measured))

        def done(measured: dict[str, Any]) -> None:
            result = benchmark.report(self.reader, measured, self.frames(False))
            path = self.data / "reports" / f"app-{time.strftime('%Y%m%d-%H%M%S')}.json"
            settings.write_whole(path, (json.dumps(result, indent=1, allow_nan=False) + "\n").encode())
            self.state.bench = Bench(None, result, str(path))
            self.show()

        def failed(message: str) -> None:
            self.state.bench.runs = None
            self.fail(self.explain("benchmark", message))

        self._job = self._model_worker.submit(work, failed)
