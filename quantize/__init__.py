"""4-bit weights: the integers, the checkpoint on disk, and the layers that run it."""
