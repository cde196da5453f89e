"""Records drawn as pages of ECG paper."""

from __future__ import annotations
