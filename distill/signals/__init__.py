"""A tower that reads the leads themselves, taught beside a student's own: `python -m distill.signals`."""
