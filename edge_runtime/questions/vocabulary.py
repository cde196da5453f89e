"""The attributes of an ECG that a question may name: vocabulary.json, and a model's own words for its findings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from edge_runtime.inference import FindingSpec


@dataclass(frozen=True)
class Attribute:
    """What decides whether an ECG has it, one of: labels of findings, any of which is enough; absent, a label that must
    not hold; kinds of noise; the name of a QRS axis; a stage of infarction.

    feature: the attribute is a quantity, a key of Measurements or "" for one that is not measured; level: it is where a
    quantity lies, "low", "normal" or "high". general: gives way to a narrower one that the question names as well.
    """

    name: str
    also: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    absent: str = ""
    noise: tuple[str, ...] = ()
    axis: str = ""
    stage: bool = False
    feature: str | None = None
    level: str = ""
    general: bool = False

    @property
    def measured(self) -> bool:
        """Whether the page has to be measured to know it."""
        return bool(self.noise or self.axis or self.feature)


@cache
def attributes() -> tuple[Attribute, ...]:
    """All of vocabulary.json."""
    listed = json.loads(Path(__file__).with_name("vocabulary.json").read_text(encoding="utf-8"))["attributes"]
    return tuple(_attribute(name, about) for name, about in listed.items())


def _attribute(name: str, about: dict[str, Any]) -> Attribute:
    lists: dict[str, Any] = {key: tuple(about[key]) for key in ("also", "labels", "noise") if key in about}
    return Attribute(name, **{**about, **lists})


class Vocabulary:
    """Finds attributes in words. specs: the findings of a model, whose words name them too, unless vocabulary.json has
    the words for something else."""

    def __init__(self, specs: Iterable[FindingSpec] = ()) -> None:
        self._by_phrase: dict[str, Attribute] = {}
        for attribute in attributes():
            for phrase in (attribute.name, *attribute.also):
                self._by_phrase.setdefault(_plain(phrase), attribute)
        for spec in sorted(specs, key=lambda spec: len(spec.words)):  # of two that share a phrase the narrower
            own = next((a for a in attributes() if a.labels == (spec.label,)), Attribute(spec.name, (), (spec.label,)))
            for phrase in (spec.name, *spec.words):
                self._by_phrase.setdefault(_plain(phrase), own)
        longest_first = sorted(self._by_phrase, key=len, reverse=True)
        self._phrase = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, longest_first))})s?(?!\w)")

    def exact(self, words: str) -> Attribute | None:
        """The attribute that these words, and nothing else, name."""
        words = _plain(words)
        return self._by_phrase.get(words) or self._by_phrase.get(words.removesuffix("s"))

    def named(self, text: str) -> list[Attribute]:
        """Each attribute that a text names, once, in its order; a general one not beside one of its kind."""
        found = list(dict.fromkeys(self._by_phrase[match[1]] for match in self._phrase.finditer(_plain(text))))
        return [a for a in found if not (a.general and any(_kind(a) == _kind(b) and b is not a for b in found))]


def _kind(attribute: Attribute) -> str:
    return "noise" if attribute.noise else "labels" if attribute.labels else "other"


def _plain(words: str) -> str:
    return " ".join(words.lower().split())
