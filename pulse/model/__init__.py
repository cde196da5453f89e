"""The LLaVA family (vision tower, projector, Llama decoder) in plain, export-friendly torch."""
