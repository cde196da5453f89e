"""A session behind OpenAI's chat completions, for other systems in the same ward: `pulse-serve`."""

from __future__ import annotations
