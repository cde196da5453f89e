"""A model at work: look at a page once, then ask about it as often as you like.

session = Session.open("pulse-nano.bundle")
page = session.look("ecg.jpg")
for piece in page.ask("What is the rhythm?"): ...
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from edge_runtime.bundle import Bundle
from edge_runtime.engines import Cache, Engine, open_engine
from edge_runtime.errors import UserError
from edge_runtime.evidence import ByLeads, Evidence, by_leads, evidence, of_recording, untold
from edge_runtime.findings import FindingScorer
from edge_runtime.generate import check_fits
from edge_runtime.inference import Inference
from edge_runtime.observation import Cost, Observation
from edge_runtime.page.digitizer.signals import FS
from edge_runtime.page.quality import BEATS, worst
from edge_runtime.page.redraw import redrawn
from edge_runtime.prefix import Picture, Prefix, page_prefix
from edge_runtime.prompt import Prompt
from edge_runtime.recording import Recording
from edge_runtime.signal_net import ARTIFACT as SIGNALS
from edge_runtime.signal_net import SignalNet
from edge_runtime.similar import ARTIFACT, CaseIndex
from edge_runtime.tokenizer import Tokenizer


class Session:
    """An engine at work, of a bundle or of a torch checkpoint. Not for several threads at once."""

    def __init__(
        self,
        engine: Engine,
        inference: Inference,
        tokenizer: Tokenizer,
        cases: Path | None = None,
        signals: Path | None = None,
    ) -> None:
        """cases, signals: the bundle's index of similar cases and its network of signals, read when they are first
        asked; None where it has none."""
        model = inference.model
        if tokenizer.vocab_size > model.vocab_size:
            raise UserError(
                f"tokenizer.json has {tokenizer.vocab_size} tokens but the model {model.vocab_size}; "
                "export the bundle again"
            )
        self.inference = inference
        self.engine = engine
        self._cases_file, self._signals_file = cases, signals
        self.tokenizer = tokenizer
        self.prompt = Prompt.of(inference, tokenizer)
        self.scorer = FindingScorer(engine, self.prompt, tokenizer, model.context_length)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        threads: int | None = None,
        public_key: str | os.PathLike[str] | None = None,
        provider: str | None = None,
    ) -> Session:
        """Check and load the bundle folder at `path`; threads None uses every physical core this process may.

        public_key: the PEM file of whom the bundle must be signed by (None: a signature is not looked at).
        provider: ONNX Runtime's execution provider, see engines.open_engine.

        Raises UserError.
        """
        return cls.of(Bundle.load(path, public_key), threads, provider)

    @classmethod
    def of(
        cls,
        bundle: Bundle,
        threads: int | None = None,
        provider: str | None = None,
        flatten: bool | None = None,
    ) -> Session:
        """A session on a bundle that is loaded already, with its own engine. flatten: whether photographs are flattened
        first, None as the bundle says. Raises UserError as `open` does."""
        engine, inference = open_engine(bundle, threads, provider), bundle.manifest.inference
        if flatten is not None:
            inference = replace(inference, flatten=flatten)
        return cls(engine, inference, Tokenizer(bundle.path("tokenizer")), cases_of(bundle), signals_of(bundle))

    @cached_property
    def cases(self) -> CaseIndex:
        """The index of similar cases. Raises UserError where the bundle has none."""
        if self._cases_file is None:
            raise UserError("this bundle has no similar cases; export a checkpoint that has them, such as pulse-nano")
        return CaseIndex(self._cases_file)

    @cached_property
    def signal_net(self) -> SignalNet | None:
        """What reads signals, None where the bundle has nothing that does."""
        return None if self._signals_file is None else SignalNet(self._signals_file)

    def look(self, picture: Picture | Recording, page: int | None = None, measure: bool = False) -> Observation:
        """Read a picture: a path, a file's bytes, a PIL image, or a uint8 array [H, W] or [H, W, 3]; or a recording,
        whose page is drawn and whose signals are read beside it.

        page: of a PDF or multi-page TIFF, from 1. measure: rate, intervals and axes on the page itself, for answers to
        have these numbers. A page that lies on its side or upside down is turned first, where the model can tell that
        it does, or the bundle's `flatten` has the page's leads read; with that, a page whose curves show no heartbeats
        is no ECG, and one that the model takes for none although its leads are known is drawn anew for it. Raises
        UserError.
        """
        if isinstance(picture, Recording):
            return self._look_at_recording(picture, measure)
        seen, told = self._look(picture, page, measure=measure)
        if turns := self._lies_turned(seen._prefix) if self.inference.way_up else told.turns:
            again, _ = self._look(picture, page, turns, read_leads=False)
            # A page that was turned for nothing would be misread: it has to be an upright ECG now.
            if again.looks_like_ecg and self._lies_turned(again._prefix) == 0:
                seen = again.instead_of(seen)
        if not seen.looks_like_ecg and told.signals is not None:
            again, _ = self._look(redrawn(Recording(told.signals.mv, FS)), read_leads=False)
            if again.looks_like_ecg:
                again.turns, again.redrawn = told.turns, True
                seen = again.instead_of(seen)
        return seen

    def _look_at_recording(self, recording: Recording, measure: bool) -> Observation:
        seen, _ = self._look(redrawn(recording), read_leads=False)
        if self.signal_net is not None:
            seen.by_signals = self.signal_net.read(recording)
        if measure:
            seen.evidence = of_recording(recording)
        return seen

    def _look(
        self,
        picture: Picture,
        page: int | None = None,
        turns: int = 0,
        measure: bool = False,
        read_leads: bool = True,
    ) -> tuple[Observation, ByLeads]:
        """The page after so many quarter turns to the right, and what its leads tell where they are to be read."""
        before = page_prefix(picture, self.engine, self.inference, self.prompt, page, turns)
        started = time.perf_counter()
        check_fits(len(before.embeds), self.inference.model.context_length)
        _, prefix = self.engine.decode(before.embeds, self.engine.empty_cache())
        is_ecg = None
        if self.inference.is_ecg is not None:
            is_ecg = self.scorer.score(prefix, self.inference.is_ecg).probability
        ended = time.perf_counter()
        measured = evidence(picture, page, before.reading) if measure else None
        done = time.perf_counter()
        told = self._by_leads(before, measured) if read_leads else ByLeads()
        if told.beatless and is_ecg is not None:
            is_ecg = 0.0
        reading_ms = before.preprocess_ms + 1e3 * (time.perf_counter() - done)
        cost = Cost(reading_ms, before.vision_ms, 1e3 * (ended - started), 1e3 * (done - ended))
        seen = Observation(self, prefix, before.seen, turns, is_ecg, cost, before.features)
        seen.evidence = measured
        seen.pooled = before.pooled
        if not seen.looks_like_ecg:
            seen.problem = BEATS if told.beatless else worst(before.picture)  # the picture itself is not kept
        elif told.turns % 2 and self.inference.way_up is None:
            # Such a model takes no page on its side for an ECG: leads that were read across this one are not its leads.
            if measured is not None:
                seen.evidence = untold(measured.flat, measured.size)
            told = ByLeads()
        return seen, told

    def _by_leads(self, before: Prefix, measured: Evidence | None) -> ByLeads:
        if before.reading is None:
            return ByLeads()
        if measured is not None and measured.signals is not None:
            return ByLeads(measured.signals)
        return by_leads(before.picture, before.reading)

    def _lies_turned(self, prefix: Cache) -> int:
        """Quarter turns to the left by which the page likely lies turned; 0 for a model that cannot tell."""
        asked = self.inference.way_up
        if asked is None:
            return 0
        shares = self.scorer.choose(prefix, asked.question, asked.answers)
        return max(range(len(shares)), key=shares.__getitem__)


def cases_of(bundle: Bundle) -> Path | None:
    """The file of a bundle's similar cases, None where it has none."""
    return bundle.path(ARTIFACT) if ARTIFACT in bundle.manifest.artifacts else None


def signals_of(bundle: Bundle) -> Path | None:
    """The file of a bundle's network of signals, None where it has none."""
    return bundle.path(SIGNALS) if SIGNALS in bundle.manifest.artifacts else None
