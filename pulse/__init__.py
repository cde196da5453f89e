"""PULSE as code: the LLaVA family in torch, ECG records and pages, conversations."""
