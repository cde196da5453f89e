"""The subcommands of pulse-bench: one file a verb, imported when it is named."""

from __future__ import annotations
