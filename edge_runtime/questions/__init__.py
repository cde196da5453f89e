"""Questions about attributes of one ECG, answered from what is known of it: findings, further questions, measurements.

"Does this ECG show X?", "Which does it show, A or B?", "What ... does it show?" with the options listed: the kinds of
single questions of ECG-QA (Oh et al. 2023, arXiv 2306.15681), in these or other words. What is not understood, and what
cannot be known, is left to the decoder, where it was taught to answer it (taught).
"""

from __future__ import annotations

from edge_runtime.questions.decide import Because, Decision, Known, decide
from edge_runtime.questions.taught import as_taught, asks_for_report, not_taught
from edge_runtime.questions.understand import needs_measuring

__all__ = [
    "Because",
    "Decision",
    "Known",
    "as_taught",
    "asks_for_report",
    "decide",
    "needs_measuring",
    "not_taught",
]
