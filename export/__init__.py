"""Checkpoint to bundle: one file per target, and the certificate that it answers alike."""
