"""Conversations in PULSE's own JSON, made from labels and reports."""
