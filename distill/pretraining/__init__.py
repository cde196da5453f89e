"""Pre-training of the signal teachers' encoder without labels; `python -m distill.pretraining` measures it."""
