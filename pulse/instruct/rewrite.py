"""Has a language model say answers in other words, and takes its words only when they say the same.

ECGInstruct was written by a language model (arXiv 2410.19008); here the facts are the templates', the model only words
them. Answers whose form is fixed (gaps, letters) stay.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from edge_runtime.named import Names
from pulse.ecg.labels import AXES
from pulse.ecg.ptbxl import scp_statements
from pulse.instruct.converse import CHOICE, FILL, Piece
from pulse.instruct.endpoint import Endpoint
from pulse.instruct.questions import Turn
from pulse.instruct.words import phrases

_SYSTEM = (
    "You reword answers about electrocardiograms. Keep every number with its unit, every finding by its exact name, "
    "and whether the answer is yes or no. Add nothing. Answer with the reworded answer alone."
)
_TRIES = 2
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_YES_NO = re.compile(r"\s*(yes|no)\b", re.IGNORECASE)
_NAMES = Names({
    **{code: phrases(code) for code in scp_statements()},
    **{axis: (words,) for axis, words in AXES.items()},
    **{word: (word,) for word in ("normal", "abnormal", "prolonged", "short", "bradycardia", "tachycardia")},
})  # fmt: skip


@dataclass(frozen=True)
class Rewriter:
    endpoint: Endpoint

    def __call__(self, piece: Piece) -> tuple[Piece, bool]:
        """The piece with its answer reworded, and whether it is: after two answers that lose or add a fact, or where
        the form is fixed, it stays as it was. Raises UserError when the endpoint does not answer."""
        if piece.form in (FILL, CHOICE):
            return piece, False
        question, answer = piece.turn.question, piece.turn.answer
        for attempt in range(_TRIES):
            prompt = f"Question:\n{question}\n\nAnswer to reword:\n{answer}"
            # The second try must not be the first one over again.
            words = self.endpoint.complete(_SYSTEM, prompt, temperature=0.7 * attempt).strip()
            if words and says_the_same(answer, words):
                return Piece(piece.family, piece.form, Turn(question, words)), True
        return piece, False


def says_the_same(before: str, after: str) -> bool:
    """Whether both hold the same numbers equally often, name and deny the same findings, axes and assessments, and
    start with the same yes or no, or with neither."""
    return _facts(before) == _facts(after)


def _facts(text: str) -> tuple[object, ...]:
    start = _YES_NO.match(text)
    rest = text[start.end() :] if start else text  # the "No" that answers a question denies nothing
    yes_no = start[1].lower() if start else ""
    return yes_no, Counter(_NUMBER.findall(rest)), set(_NAMES(rest)), set(_NAMES(rest, denied=True))
