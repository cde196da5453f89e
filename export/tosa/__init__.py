"""Arm's NPUs (Ethos-U, and VGF's graphs): a vision tower in 8 bits on Arm's TOSA reference model, and through Vela.

`python -m export.tosa`; docs/tosa.md. Arm's packages hold numpy and flatbuffers back, so they have an environment of
their own, which `python -m export.tosa --setup` makes; `child` is what runs there.
"""
