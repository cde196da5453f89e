"""The kinds of weights by name, apart from the code that makes them: a command's --help needs no torch."""

from __future__ import annotations

# What an exporter can be asked for; a quantized checkpoint gives its own kind or floats.
WEIGHTS = ("int4", "int8", "nf4", "float16", "float32")
