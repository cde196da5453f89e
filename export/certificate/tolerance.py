"""How far a bundle may be from the model that it came from: each target's Tolerance comes from measured noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Tolerance:
    """What a target that computes less exactly may differ by; the default is for targets that compute in float32.

    thresholds: by stage, in place of those in certify.CHECKS. near_tie: a greedy token may differ where the reference's
    own two logits are closer together than this share of all its logits' root mean square. Both come from measured
    noise, and the target's module says from which.
    """

    thresholds: Mapping[str, float] = field(default_factory=dict)
    near_tie: float = 0.0


EXACT = Tolerance()
# Whole pages of a bundle with 8-bit activations, held against what does not round just so: another processor's kernels
# (export.certificate.emulated) or, for GGUF, float32. Measured with XNNPACK on pulse-nano and 44 pages: features are
# off by up to 2.2e-3, logits by 1.1e-2 (each relative to its norm), probabilities by 0.011; tokens that differed were
# within 0.002 of each other (0.04 on small random models). The thresholds leave a factor of about five, and a near tie
# is one that logits off by as much can decide; a doubled scale in one layer is off by more.
EIGHT_BIT_ACTIVATIONS = Tolerance(
    {"vision_features": 1e-2, "first_logits": 5e-2, "label_probabilities": 5e-2}, near_tie=0.05
)
