"""Files that hold an ECG as samples: one file a format, with its FORMAT."""

from __future__ import annotations

from edge_runtime.registry import Registry
from pulse.ecg.format import Format

REGISTRY: Registry[Format] = Registry("pulse.ecg.formats", "FORMAT", "format of records")
