"""Which question a small model was taught stands for the one that is asked.

A model that learnt a few questions answers any other with pieces of those that it learnt, and nobody can tell that from
an answer. So a bundle may list them (`taught` in its manifest); a model that was taught conversations lists none.
"""

from __future__ import annotations

import re

from edge_runtime.inference import Inference

# Words that leave a question's subject as it is, English and German.
_FILLER = """
a about all an and any anything are at be can could do does ecg ecgs ekg ekgs electrocardiogram for from full give
has have here how i image in is it its lead leads let me of on one page patient patients photo picture please s tell
that the there this to tracing twelve us was we what which will with would write you your 12 heart cardiac electrical
alle auf aus bild bitte das dem den der des die dieses diesem dieser ein eine einen eines elektrokardiogramm es für
gib hat hier im in ist kannst können man mir mit patienten schreib schreibe sie sind und uns von was welche welcher
welches wie zu herz
"""


def as_taught(question: str, inference: Inference) -> str | None:
    """The question in the words in which the model learnt it, None for one that it did not learn.

    In other words it must name nothing but what `taught` lists: of one subject it is that one's question, of several,
    or of none, the report, which has them all.
    """
    asked = _folded(question)
    for spec in inference.taught:
        if asked in map(_folded, spec.questions):
            return spec.questions[0]
    if (own := _yes_no(inference).get(asked)) is not None:
        return own
    filler = _FILLER.split()
    words = [word for word in asked.split() if word not in filler]
    named = [spec for spec in inference.taught if not set(words).isdisjoint(spec.words)]
    if not words or not set(words) <= {word for spec in named for word in spec.words}:
        return None
    subjects = [spec for spec in named if inference.default_question not in spec.questions]
    return subjects[0].questions[0] if len(subjects) == 1 else inference.default_question


def asks_for_report(question: str | None, inference: Inference) -> bool:
    """Whether a question, None for the bundle's own, is answered by the default report."""
    report = inference.default_question
    return question in (None, report) or (bool(inference.taught) and as_taught(question or "", inference) == report)


def not_taught(inference: Inference) -> str:
    """What stands for the answer to a question that the model did not learn."""
    asked = " ".join(spec.questions[0] for spec in inference.taught)
    names = ", ".join(spec.name for spec in inference.findings)
    return f"This model was not taught that question. It was taught: {asked} Does this ECG show ...? ({names})"


def _yes_no(inference: Inference) -> dict[str, str]:
    specs = (*inference.findings, *inference.further, inference.is_ecg, inference.whole, inference.way_up)
    return {_folded(spec.question): spec.question for spec in specs if spec is not None}


def _folded(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
