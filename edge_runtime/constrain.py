"""Answers out of a list only: a token trie over the options decides which tokens may come next.

Works for any tokenizer, since options are matched as the token ids that it makes of them. What the model thinks of the
answer is kept: its likelihood among the options, not among all that could be said.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from edge_runtime.errors import UserError, shorten
from edge_runtime.sampling import log_softmax
from edge_runtime.tokenizer import Tokenizer

_LETTER = re.compile(r"^([A-H])\. ", re.MULTILINE)
_CLASS = re.compile(r"([^\s,()]+)\(")
_SEVERAL = ("select all that apply", "separate with a semicolon")


@dataclass(frozen=True)
class Choices:
    """What a question lets one answer: one of options, or, with a separator, any of them once each, in their order."""

    options: tuple[str, ...]
    separator: str = ""


def choices(question: str) -> Choices | None:
    """The choices that a question lists, None for an open one. Known forms are ECGBench's (arXiv 2410.19008): lines
    "A. ...", "Options: a, b", and "classes:" with a line of CODE(name)."""
    letters = tuple(_LETTER.findall(question))
    if len(letters) > 1:
        return Choices(letters)
    several = any(words in question for words in _SEVERAL)
    listed = question.partition("Options:")[2].strip().partition("\n")[0]
    if listed:
        options, separator = tuple(part.strip() for part in listed.split(",") if part.strip()), ", "
    else:
        line = question.partition("classes:")[2].strip().partition("\n")[0]
        options, separator = tuple(_CLASS.findall(line)), "; "
    options = tuple(dict.fromkeys(options))
    return Choices(options, separator if several else "") if len(options) > 1 else None


@dataclass
class _Node:
    following: dict[int, _Node] = field(default_factory=dict)
    chosen: tuple[str, ...] | None = None  # the options that are complete here


class Constraint:
    """Keeps one answer inside its choices: `mask` the logits, choose a token, `push` it, until the end token.

    log_likelihood: of what was pushed, among all that the choices allowed. Raises UserError when an option has no
    tokens.
    """

    def __init__(self, choices: Choices, tokenizer: Tokenizer, eos_token_ids: Sequence[int]) -> None:
        self._choices, self._tokenizer, self._eos = choices, tokenizer, list(eos_token_ids)
        self._path: list[int] = []
        self._node = _Node()
        self.log_likelihood = 0.0
        self._grow(())

    @property
    def leaves_choice(self) -> bool:
        """Whether the model has anything to choose; if not, its likelihood says nothing."""
        return len(self._choices.options) > 1

    def mask(self, logits: np.ndarray) -> np.ndarray:
        """logits [V], minus infinity for every token that no option goes on with."""
        allowed = [*self._node.following, *(self._eos if self._node.chosen else [])]
        masked = np.full_like(logits, -np.inf)
        masked[allowed] = logits[allowed]
        return masked

    def push(self, token: int, masked: np.ndarray) -> None:
        """Go on with a token that was chosen from `masked`; an end token ends the answer."""
        self.log_likelihood += float(log_softmax(masked)[token])
        if token in self._eos:
            return
        self._path.append(token)
        self._node = self._node.following[token]
        if self._node.chosen and self._choices.separator:
            self._grow(self._node.chosen)

    def _grow(self, chosen: tuple[str, ...]) -> None:
        """Hang the options that may follow the chosen ones, those listed later, under the node."""
        options = self._choices.options
        for option in options[options.index(chosen[-1]) + 1 :] if chosen else options:
            now = (*chosen, option)
            ids = self._tokenizer.encode(self._choices.separator.join(now))
            kept = ids[: len(self._path)] == self._path
            # A tokenizer that merges over the separator gets the rest encoded on its own.
            rest = ids[len(self._path) :] if kept else self._tokenizer.encode(self._choices.separator + option)
            if not rest:
                raise UserError(f"option {shorten(option)} has no tokens; give it a name")
            node = self._node
            for token in rest:
                node = node.following.setdefault(token, _Node())
            node.chosen = now
