"""The app; it needs nothing but edge_runtime."""
