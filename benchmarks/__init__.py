"""Accuracy, latency and retention, each figure with its evidence level."""
