"""What lowers ExecuTorch programs for a kind of processor: one file a delegate, found by its name here."""

from __future__ import annotations
