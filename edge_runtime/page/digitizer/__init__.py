"""From a flat page to the signals on it: ink, rows, curves, leads."""
