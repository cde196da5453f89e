"""Training of edge_runtime/waves' network on LUDB: `python -m distill.delineator`."""
