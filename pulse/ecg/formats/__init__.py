"""Files that hold an ECG as samples: one file a format."""

from __future__ import annotations
