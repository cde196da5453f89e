"""Training of edge_runtime.similar's embedding and index on a run of pulse-distill: `python -m distill.retrieval`."""
