"""A task in one file: is the ECG normal? Asked about the pictures in DIR/yes and DIR/no, scored by the answer's word.

Put it into benchmarks/tasks/ as normal.py; then `pulse-bench accuracy BUNDLE --task normal --data DIR` asks it.
"""

from __future__ import annotations

import numpy as np

from benchmarks.metrics.score import bootstrap
from benchmarks.task import Asked, Marks, Questions, Shown
from edge_runtime.errors import UserError
from pulse.instruct.questions import Turn


class Normal:
    title = "is the ECG normal: yes or no"
    data = "a folder with pictures in yes/ and no/"
    sample, group = False, "picture"
    shown, headline, margin = (Shown("accuracy", "accuracy", column="accuracy"),), "accuracy", 5.0

    def add_arguments(self, parser):
        parser.add_argument("--question", default="Is this a normal ECG?", metavar="TEXT", help="(%(default)s)")

    def about(self, options):
        return {"question": options.question}

    def ask(self, data, options):
        pictures = sorted(path for answer in ("yes", "no") for path in (data / answer).glob("*"))
        if not pictures:
            raise UserError(f"{data}: holds no pictures in yes/ or no/; give --data the folder above them")
        asked = [
            Asked(path.name, str(path), (Turn(options.question, path.parent.name),), path.name) for path in pictures
        ][: options.limit or None]
        return Questions(len(asked), asked)

    def marks(self, rows):
        truth = np.array([[row.turns[0].answer == "yes"] for row in rows], int)
        said = np.array([[row.answers[0].lower().startswith("yes")] for row in rows], int)
        right = (truth == said)[:, 0]
        measures = {"accuracy": lambda at: 100 * float(right[at].mean())}
        return Marks(measures, ("normal",), truth, said, np.full(truth.shape, np.nan))

    def score(self, rows, options):
        accuracy = self.marks(rows).measures["accuracy"]
        interval = bootstrap(accuracy, np.array([row.group for row in rows]), 500)
        return {"pictures": len(rows), "accuracy": [accuracy(np.arange(len(rows))), *interval]}

    def intervals(self, figures):
        return {"accuracy": figures["accuracy"]}

    def as_text(self, figures):
        value, low, high = figures["accuracy"]
        return f"{figures['pictures']} pictures\n  accuracy {value:.1f}  ({low:.1f} to {high:.1f})"


TASK = Normal()
