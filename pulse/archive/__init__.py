"""A hospital's archive of scans and records read to Parquet: `pulse-read`."""

from __future__ import annotations
