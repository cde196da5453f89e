"""What a question asks about: attributes, the place and the level that it names, and how it wants to be answered."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edge_runtime.constrain import Choices, choices
from edge_runtime.leads import LEADS
from edge_runtime.questions.vocabulary import Attribute, Vocabulary

YES, NO = "yes", "no"
_NAMES = "|".join(sorted(LEADS, key=len, reverse=True))
_PLACE = re.compile(rf"(?:\b(?:in|of|on)\s+)?\bleads?\s+({_NAMES})\b", re.IGNORECASE)
_TWO = re.compile(r"\b(?:first|second|previous|prior|other|both|two)\s+(?:\w+\s+)?(?:ecg|tracing)s?\b|\bcompared\b")
_DENIED = re.compile(r"\b(?:no|not|without|absen\w+|free of|lacks?|n't)\b")
_VERIFY = re.compile(r"^(?:is|are|does|do|can|could|has|have|will|would|should)\b", re.IGNORECASE)
_BESIDES = re.compile(r"\b(?:because|why|how|explain|where|when|cause[sd]?|treat\w*|mean\w*)\b", re.IGNORECASE)
_LONGEST = 30  # words of a question that lists no options: a story asks for more than a yes


@dataclass(frozen=True)
class Understood:
    """attributes: named in the question, in its order. lead: the one it is about, "" for the whole page. outside: it
    asks for a quantity outside its normal range, on whichever side. verify: yes or no is wanted; yes and no: the words
    for them. options: what may be answered else."""

    attributes: tuple[Attribute, ...]
    lead: str = ""
    verify: bool = False
    yes: str = "Yes"
    no: str = "No"
    options: tuple[str, ...] = ()

    @property
    def feature(self) -> Attribute | None:
        """The one quantity that it names."""
        return next((a for a in self.attributes if a.feature is not None), None)

    @property
    def level(self) -> str:
        """Where a quantity is asked to lie: "low", "normal", "high", "" where none is named."""
        return next((a.level for a in self.attributes if a.level), "")


def understand(question: str, listed: Choices | None, vocabulary: Vocabulary) -> Understood | None:
    """None for a question that is not understood: of two ECGs, of nothing that is known by name, with a denial, or open
    and without options. listed: the options that it lists."""
    asked = _asked(question)
    if _TWO.search(asked.lower()) or _DENIED.search(asked.lower()):
        return None
    place = _PLACE.search(asked)
    lead = "" if place is None else _lead(place[1])
    attributes = tuple(vocabulary.named(_PLACE.sub(" ", asked)))
    options = () if listed is None else listed.options
    lower = {option.lower(): option for option in options}
    if listed is not None:
        if {YES, NO} <= set(lower):
            return Understood(attributes, lead, True, lower[YES], lower[NO]) if attributes else None
        return Understood(attributes, lead, options=options)
    plain = _VERIFY.match(asked) and not _BESIDES.search(asked) and len(asked.split()) <= _LONGEST
    about = [a for a in attributes if not a.level or any(b.feature is not None for b in attributes)]
    named = [a for a in about if not a.level]
    if plain and len(named) > 1 and " or " in asked and all(a.feature is None for a in named):
        return Understood(tuple(named), lead, options=tuple(a.name for a in named))
    return Understood(tuple(about), lead, True) if plain and len(named) == 1 else None


def _asked(question: str) -> str:
    """The question itself, without instructions before it and options behind it."""
    after = question.partition("Question:")[2] or question
    return " ".join(after.partition("Options:")[0].split())


def _lead(name: str) -> str:
    return next(lead for lead in LEADS if lead.lower() == name.lower())


def lead_of(option: str) -> str:
    """The lead that an option is, "" for another option."""
    match = _PLACE.fullmatch(option.strip())
    return "" if match is None else _lead(match[1])


def needs_measuring(question: str) -> bool:
    """Whether the page has to be measured to answer, as far as the words tell."""
    vocabulary = Vocabulary()
    asked = understand(question, choices(question), vocabulary)
    if asked is None:
        return False
    options = [vocabulary.exact(option) for option in asked.options]
    return any(a is not None and a.measured for a in (*asked.attributes, *options))
