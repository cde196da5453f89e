"""How others store integer weights: a file for each `quant_method` of config.json, read into our own layout."""

from __future__ import annotations
